"""Approvals that were written before decisions had numbers: one file a person. Only read.

approvals/<name>/<release id>/<12 hex of the approver>.json
"""

from datetime import datetime
from hashlib import sha256
from typing import Annotated

import msgspec
from msgspec.structs import replace

from bedrock_sluice.lake.releases.decisions import MAX_NAME_CHARS, Decision, text_fault
from bedrock_sluice.lake.releases.release import ID_DIGITS, Release
from bedrock_sluice.lake.stores.store import Entry
from bedrock_sluice.transforms.errors import IntegrityError


class ApprovalV1(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One person's approval of one release.

    `manifest` is the SHA-256 of its manifest.json, `checksum` that of the record without it.
    """

    release: str
    name: str
    digest: str
    manifest: str
    by: str
    at: Annotated[datetime, msgspec.Meta(tz=True)]
    checksum: str = ""


def read_old_approvals(release: Release) -> list[Decision]:
    """Read the approvals of a release as decisions without a number or a role, the first one first.

    Raises:
        IntegrityError: One was changed after it was written.
    """
    entries = release.lake.entries(approvals_folder(release))
    approvals = [_read(release, entry) for entry in entries]
    approvals.sort(key=lambda each: (each.at, each.by))
    return [
        Decision(
            verdict="approved",
            name=each.name,
            release=each.release,
            digest=each.digest,
            manifest_sha256=each.manifest,
            by=each.by,
            at=each.at,
        )
        for each in approvals
    ]


def approvals_folder(release: Release) -> str:
    """Return the folder of these approvals in the lake."""
    return f"approvals/{release.name}/{release.id}/"


def _read(release: Release, entry: Entry) -> ApprovalV1:
    place = f"{release.lake.uri}/{entry.key}"
    try:
        approval = msgspec.json.decode(release.lake.read(entry), type=ApprovalV1)
    except ValueError:
        raise IntegrityError("not an approval", place=place, hint="find out who wrote it") from None
    file_name = f"{sha256(approval.by.encode()).hexdigest()[:ID_DIGITS]}.json"
    is_own = entry.key == approvals_folder(release) + file_name
    is_whole = approval.checksum == _checksum(approval)
    if text_fault(approval.by, MAX_NAME_CHARS) or not (is_own and is_whole):
        raise IntegrityError(
            "changed after it was written", place=place, hint="find out who changed it"
        )
    return approval


def _checksum(approval: ApprovalV1) -> str:
    content = msgspec.json.encode(replace(approval, checksum=""), order="deterministic")
    return sha256(content).hexdigest()
