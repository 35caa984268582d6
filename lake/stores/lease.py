"""A lease in a lake: who works on it, and until when.

leases/<name>/<number>.json         a term: its owner, and when it ends
              <number>.end.json     the owner ended that term early

The last number is the term that counts. Stores cannot compare and swap, so who wants the lease puts
the next number, and of several only one can; then it removes old terms. A lease saves work; nothing
relies on it, for a clock may be wrong, and an owner may live on after its term.
"""

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated

import msgspec

from bedrock_sluice.lake.stores.store import Entry, Store
from bedrock_sluice.transforms.errors import SluiceError

TERM = timedelta(hours=1)
KEPT_TERMS = 20
"""A process that read the terms, and then took long, gets no number that was there before."""
MAX_REMOVED_OBJECTS = 1_000  # by one process

_NAME = re.compile(r"(\d{10})\.json", re.ASCII)

Clock = Callable[[], datetime]
Moment = Annotated[datetime, msgspec.Meta(tz=True)]


class Term(msgspec.Struct, frozen=True):
    """What a lease says: `owner` works on the lake until `expires`."""

    owner: str
    expires: Moment


@dataclass(slots=True)
class Lease:
    """A lease that this process has."""

    store: Store
    folder: str
    owner: str
    clock: Clock
    number: int
    expires: datetime

    def renew(self) -> None:
        """Extend the lease once half of its term is over; if another process took it, let it be."""
        now = self.clock()
        if self.expires - now > TERM / 2:
            return
        term = Term(self.owner, now.astimezone(UTC) + TERM)
        if self.store.put_new(_key(self.folder, self.number + 1), msgspec.json.encode(term)):
            self.number, self.expires = self.number + 1, term.expires

    def end(self) -> None:
        """End the lease now, so that the next process need not wait."""
        self.store.put_new(_end_key(self.folder, self.number), b"{}\n")


def take_lease(store: Store, name: str, owner: str, clock: Clock) -> Lease | Term:
    """Take the lease `name` of a lake; return the term of another process if that has it.

    Raises:
        OutsideError: The lake cannot be read or written.
    """
    folder = f"leases/{name}/"
    while True:
        entries = {entry.key.removeprefix(folder): entry for entry in store.entries(folder)}
        number, term = _last_term(store, entries)
        now = clock()
        if term and term.expires > now:
            return term
        own = Term(owner, now.astimezone(UTC) + TERM)
        if store.put_new(_key(folder, number + 1), msgspec.json.encode(own)):
            _remove_old(store, entries, number + 1)
            return Lease(store, folder, owner, clock, number + 1, own.expires)


def _remove_old(store: Store, entries: Mapping[str, Entry], number: int) -> None:
    """Delete all but the last terms before `number`, if the caller may do so."""
    first_kept = f"{max(number - KEPT_TERMS, 0):010}"
    old = [entries[name] for name in sorted(entries) if name < first_kept]
    with suppress(SluiceError):
        store.delete(old[:MAX_REMOVED_OBJECTS], "leases")


def _last_term(store: Store, entries: Mapping[str, Entry]) -> tuple[int, Term | None]:
    """The last number, and its term unless that was ended or cannot be read."""
    names = [name for name in entries if _NAME.fullmatch(name)]
    if not names:
        return 0, None
    name = max(names)
    number = int(name.partition(".")[0])
    if _end_key("", number) in entries:
        return number, None
    try:
        return number, msgspec.json.decode(store.read(entries[name]), type=Term)
    except ValueError:
        return number, None


def _key(folder: str, number: int) -> str:
    return f"{folder}{number:010}.json"


def _end_key(folder: str, number: int) -> str:
    return f"{folder}{number:010}.end.json"
