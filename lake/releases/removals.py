"""Removals: records that a release was removed on purpose, because it held forgotten records.

removals/<name>/<release id>.json

A release that is gone without one was lost.
"""

from typing import Literal

import msgspec

from bedrock_sluice.lake.stores.store import Store

FOLDER = "removals"
_SUFFIX = ".json"


class Removal(msgspec.Struct, frozen=True, kw_only=True):
    """That a release was removed: its name and its id are those of the key."""

    schema_version: Literal[1] = 1
    cause: Literal["forgotten"] = "forgotten"


def record_removal(lake: Store, name: str, release_id: str) -> None:
    """Record that a release is about to be removed."""
    content = msgspec.json.encode(Removal()) + b"\n"
    lake.put_new(f"{FOLDER}/{name}/{release_id}{_SUFFIX}", content)


def removed_releases(lake: Store, name: str) -> set[str]:
    """Return the ids of the releases of a name that were removed on purpose."""
    entries = lake.entries(f"{FOLDER}/{name}/")
    return {entry.key.rpartition("/")[2].removesuffix(_SUFFIX) for entry in entries}
