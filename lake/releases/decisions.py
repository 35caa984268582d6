"""Decisions about releases: numbered records in the lake, each bound to the one before it.

decisions/<name>/000001.json    one decision, about any release of the name

Each record holds the SHA-256 of the record before, and each manifest the number of records at the
time of its build, with the SHA-256 of the last one. So a record that was edited, moved or removed
is noticed, unless nothing was decided or built after it. docs/approval.md describes the fields.
"""

import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from hashlib import sha256
from typing import Annotated, Final, Literal

import msgspec
from msgspec.structs import replace

from bedrock_sluice.lake.releases.manifest import DecisionsHead, Digest
from bedrock_sluice.lake.stores.store import Store
from bedrock_sluice.transforms.errors import IntegrityError

SCHEMA_VERSION: Final = 1
MAX_NAME_CHARS = 128  # of a person
MAX_ROLE_CHARS = 64
MAX_NOTE_CHARS = 2_000
PUT_ATTEMPTS = 100  # one of several writers succeeds each time
READ_WORKERS = 16

_RECORD_NAME = re.compile(r"\d{6}\.json", re.ASCII)
_FIND_OUT = "find out who changed it, and restore it from a copy"

DecisionVerdict = Literal["approved", "declined"]


class Decision(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One decision of one person about one release.

    `digest` and `manifest_sha256` identify the release's data and its manifest. `override` is the
    reason to approve a release that the gate rejected. `previous_sha256` is that of the bytes of
    the record before, None for the first one. `checksum` is the SHA-256 of the record without it.
    """

    schema_version: Literal[1] = SCHEMA_VERSION
    number: Annotated[int, msgspec.Meta(ge=0)] = 0  # 0 of approvals before records had numbers
    verdict: DecisionVerdict
    name: str
    release: str
    digest: Digest
    manifest_sha256: Digest
    by: str
    role: str | None = None
    note: str | None = None
    override: str | None = None
    at: Annotated[datetime, msgspec.Meta(tz=True)]
    previous_sha256: Digest | None = None
    checksum: str = ""


def text_fault(text: str, max_chars: int) -> str | None:
    """Return what a text of a decision must be if it is not that: one line that prints."""
    if text == text.strip() and 0 < len(text) <= max_chars and text.isprintable():
        return None
    return f"must be 1 to {max_chars:,} printable characters on one line"


def text_faults(decision: Decision) -> list[tuple[str, str]]:
    """Return the texts of a decision that nobody may write, by field, and what is wrong."""
    texts = {
        "by": (decision.by, MAX_NAME_CHARS),
        "role": (decision.role, MAX_ROLE_CHARS),
        "note": (decision.note, MAX_NOTE_CHARS),
        "override": (decision.override, MAX_NOTE_CHARS),
    }
    faults = [
        (field, text_fault(text, max_chars))
        for field, (text, max_chars) in texts.items()
        if text is not None
    ]
    return [(field, fault) for field, fault in faults if fault]


def append_decision(lake: Store, draft: Decision, earlier: Sequence[Decision]) -> Decision | None:
    """Write a decision as the next record after `earlier`; None if another writer was faster."""
    record = replace(
        draft,
        number=len(earlier) + 1,
        previous_sha256=_record_sha256(earlier[-1]) if earlier else None,
    )
    record = replace(record, checksum=_checksum(record))
    is_new = lake.put_new(_key(record.name, record.number), _encode(record))
    return record if is_new else None


def read_decisions(lake: Store, name: str) -> list[Decision]:
    """Read all decisions about releases of a name, in their order.

    Raises:
        IntegrityError: A record was edited, moved or removed; the error names the record.
    """
    entries = list(lake.entries(_folder(name)))
    for entry in entries:
        if not _RECORD_NAME.fullmatch(entry.key.removeprefix(_folder(name))):
            raise IntegrityError(
                "not a decision", place=f"{lake.uri}/{entry.key}", hint="find out who wrote it"
            )
    with ThreadPoolExecutor(READ_WORKERS) as pool:
        contents = list(pool.map(lake.read, entries))
    decisions = list[Decision]()
    for number, (entry, content) in enumerate(zip(entries, contents, strict=True), start=1):
        if entry.key != _key(name, number):
            raise _missing_error(lake, name, number, f"{entry.key.rpartition('/')[2]} follows it")
        decision = _decode(content, f"{lake.uri}/{entry.key}", name, number)
        if decisions and decision.previous_sha256 != _record_sha256(decisions[-1]):
            raise IntegrityError(
                f"not the record that {number:06}.json follows: one of them was changed after it "
                "was written",
                place=f"{lake.uri}/{_key(name, number - 1)}",
                hint=_FIND_OUT,
            )
        decisions.append(decision)
    return decisions


def decisions_head(decisions: Sequence[Decision]) -> DecisionsHead | None:
    """Return the number of decisions and the SHA-256 of the last one; None without any."""
    if not decisions:
        return None
    return DecisionsHead(count=len(decisions), sha256=_record_sha256(decisions[-1]))


def check_head(
    lake: Store, name: str, decisions: Sequence[Decision], head: DecisionsHead, release_id: str
) -> None:
    """Compare the decisions with what the manifest of a release says about those before it.

    Raises:
        IntegrityError: One of them was changed or removed since.
    """
    if len(decisions) < head.count:
        reason = f"there were {head.count:,} decisions when release {release_id} was built"
        raise _missing_error(lake, name, len(decisions) + 1, reason)
    if _record_sha256(decisions[head.count - 1]) != head.sha256:
        raise IntegrityError(
            f"not the record that release {release_id} was built after: it was changed after it "
            "was written",
            place=f"{lake.uri}/{_key(name, head.count)}",
            hint=_FIND_OUT,
        )


def _decode(content: bytes, place: str, name: str, number: int) -> Decision:
    try:
        decision = msgspec.json.decode(content, type=Decision)
    except (ValueError, RecursionError):
        raise IntegrityError(
            "not a decision, or one of a newer version", place=place, hint=_FIND_OUT
        ) from None
    if (decision.name, decision.number) != (name, number):
        raise IntegrityError(
            f"holds decision {decision.number:,} about {decision.name}: it was moved",
            place=place,
            hint=_FIND_OUT,
        )
    is_clean = not any(fault for _, fault in text_faults(decision))
    # A record has one form only, so that no byte of it can change unnoticed.
    is_whole = decision.checksum == _checksum(decision) and content == _encode(decision)
    if not (is_clean and is_whole):
        raise IntegrityError("changed after it was written", place=place, hint=_FIND_OUT)
    return decision


def _missing_error(lake: Store, name: str, number: int, reason: str) -> IntegrityError:
    return IntegrityError(
        f"missing, but {reason}",
        place=f"{lake.uri}/{_key(name, number)}",
        hint="find out who removed it, and restore it from a copy",
    )


def _folder(name: str) -> str:
    return f"decisions/{name}/"


def _key(name: str, number: int) -> str:
    return f"{_folder(name)}{number:06}.json"


def _encode(decision: Decision) -> bytes:
    return msgspec.json.encode(decision) + b"\n"


def _record_sha256(decision: Decision) -> str:
    return sha256(_encode(decision)).hexdigest()


def _checksum(decision: Decision) -> str:
    return sha256(msgspec.json.encode(replace(decision, checksum=""))).hexdigest()
