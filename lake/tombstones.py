"""Tombstones: immutable records of which requests were forgotten, by digests of their ids.

    tombstones/<digest of the record>.json

Each is written once and never deleted: builds drop what they name, and so does `pull`. They hold no
id and no content.
"""

from collections.abc import Collection, Iterable
from datetime import datetime
from hashlib import sha256
from typing import Annotated, Literal

import msgspec

from bedrock_sluice.lake.stores.store import Store
from bedrock_sluice.transforms.errors import IntegrityError

FOLDER = "tombstones/"
NAME_DIGITS = 24

RequestDigest = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]


class Tombstone(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One run of `sluice forget`: when it was, and the SHA-256 of each request id, sorted."""

    schema_version: Literal[1] = 1
    at: Annotated[datetime, msgspec.Meta(tz=True)]
    requests: list[RequestDigest]


def bury(lake: Store, digests: Iterable[str], at: datetime) -> Tombstone | None:
    """Record that requests are forgotten, by their digests; None if all of them were before."""
    earlier = read_digests(lake)
    if not (new_digests := sorted(set(digests) - earlier)):
        return None
    tombstone = Tombstone(at=at, requests=new_digests)
    content = msgspec.json.encode(tombstone) + b"\n"
    lake.put_new(f"{FOLDER}{_name(content)}", content)
    return tombstone


def read_tombstones(lake: Store) -> list[Tombstone]:
    """Read all tombstones of a lake, the first one first.

    Raises:
        IntegrityError: one is not what was written.
    """
    tombstones = list[Tombstone]()
    for entry in lake.entries(FOLDER):
        content, place = lake.read(entry), f"{lake.uri}/{entry.key}"
        try:
            tombstone = msgspec.json.decode(content, type=Tombstone)
        except ValueError:
            tombstone = None
        if tombstone is None or entry.key != f"{FOLDER}{_name(content)}":
            raise IntegrityError(
                "not a tombstone as Sluice wrote it", place=place, hint="restore it from a copy"
            )
        tombstones.append(tombstone)
    return sorted(tombstones, key=lambda each: (each.at, each.requests))


def read_digests(lake: Store) -> frozenset[str]:
    """Read the digests of all requests that were forgotten."""
    return frozenset(each for tombstone in read_tombstones(lake) for each in tombstone.requests)


def find_moment(lake: Store, digests: Collection[str]) -> datetime | None:
    """Return when the first of these requests was forgotten; None if none of them was."""
    moments = (t.at for t in read_tombstones(lake) if not set(digests).isdisjoint(t.requests))
    return next(moments, None)


def _name(content: bytes) -> str:
    return f"{sha256(content).hexdigest()[:NAME_DIGITS]}.json"
