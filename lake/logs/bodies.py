"""Bodies that Bedrock stored apart from their record: fetched from where they may lie.

A record names them by `inputBodyS3Path` and `outputBodyS3Path`. Records are hostile, so a path is
followed only below the places that the recipe names; all others are refused without a request.
Layout: AWS user guide, "Monitor model invocation"; `…/HH/data/<requestId>_input.json.gz`, gzip of
the bare body, there up to a minute after the record.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from bedrock_sluice.lake.logs.fetch import fetch
from bedrock_sluice.lake.logs.source import TOP
from bedrock_sluice.lake.stores.store import S3_SCHEME, Entry, ObjectRefusedError, Store
from bedrock_sluice.transforms.decode.lines import read_whole
from bedrock_sluice.transforms.errors import InputError, IntegrityError
from bedrock_sluice.transforms.reasons import Reason

MAX_PACKED_BYTES = 64 << 20  # a larger body is not fetched
MAX_KEY_BYTES = 1_024  # S3 has no longer keys
MAX_PART_CHARS = 200  # of a key between slashes; folders hardly take longer names
SIDES = ("input", "output")

Row = dict[str, Any]

_NO_PARTS = frozenset({"", ".", ".."})


@dataclass(frozen=True, slots=True)
class Bodies:
    """The stores in which bodies may lie: the source's own, and what the recipe adds to it."""

    stores: Sequence[Store]

    def count_waiting(self, rows: Iterable[Row]) -> int:
        """How many (landed) rows `resolve` would leave waiting for a body; nothing is fetched."""
        return sum(map(self._is_waiting, rows))

    def _is_waiting(self, row: Row) -> bool:
        for uri in stored_apart([row]):
            try:
                self._find(uri)
            except InputError as error:
                return error.reason == Reason.PULL_BODY_MISSING  # nothing more is looked for
        return False

    def _find(self, uri: str) -> tuple[Store, Entry]:
        """The first of the stores that may hold a URI and has it, and its entry there.

        Raises:
            InputError: no store may hold it, or none has it (yet).
        """
        keys = [(store, _key_in(store, uri)) for store in self.stores]
        if all(key is None for _, key in keys):
            raise InputError(Reason.PULL_BODY_REFUSED)
        entries = ((store, store.entry(key)) for store, key in keys if key is not None)
        for store, entry in entries:
            if entry is not None:
                return store, entry
        raise InputError(Reason.PULL_BODY_MISSING)

    def resolve(self, row: Row) -> Row:
        """A landed row with the bodies that were stored apart, or with why they can't be had."""
        if row.get("input_body_uri") is None and row.get("output_body_uri") is None:
            return row
        try:
            return row | {
                f"{side}_body": self.fetch(row[f"{side}_body_uri"])
                for side in SIDES
                if row[f"{side}_body"] is None and row[f"{side}_body_uri"] is not None
            }
        except InputError as error:
            return row | {"reason": error.reason}

    def fetch(self, uri: str) -> str:
        """The body (JSON text) at an `s3://` URI.

        Raises:
            InputError: it lies elsewhere, is not there (yet), or is damaged or too large.
        """
        store, entry = self._find(uri)
        if entry.size > MAX_PACKED_BYTES:
            raise InputError(Reason.PULL_BODY_DAMAGED)
        try:
            return read_whole(fetch(store, entry)).decode()
        except ObjectRefusedError as error:
            raise InputError(error.reason) from None
        except (InputError, IntegrityError, UnicodeDecodeError):
            raise InputError(Reason.PULL_BODY_DAMAGED) from None


def stored_apart(rows: Iterable[Row]) -> Iterator[str]:
    """The URIs of the bodies that are not in the (landed) rows themselves."""
    for row in rows:
        for side in SIDES:
            uri = row.get(f"{side}_body_uri")
            if uri is not None and row[f"{side}_body"] is None:
                yield uri


def _key_in(store: Store, uri: str) -> str | None:
    """The key of a URI below a store's root; None if it is not below it.

    A folder is a copy of a bucket from `AWSLogs/` on, so there the key begins with that.
    """
    root = f"{store.uri}/"
    if not uri.startswith(S3_SCHEME):
        return None
    if root.startswith(S3_SCHEME):
        key = uri.removeprefix(root) if uri.startswith(root) else ""
    else:
        _, top, rest = uri.partition(f"/{TOP}/")
        key = f"{TOP}/{rest}" if top else ""
    # The key comes from a log: it must not climb out of the store, nor break a file system.
    parts = key.split("/")
    is_short = len(key.encode(errors="replace")) <= MAX_KEY_BYTES
    is_sound = key.isprintable() and is_short and max(map(len, parts)) <= MAX_PART_CHARS
    return key if is_sound and not _NO_PARTS.intersection(parts) else None
