"""Reviews of lines in the lake: immutable records, which the next builds read.

reviews/<name>/<release id>/<SHA-256 of the content>.json     one reviewer's file, as applied

The name is the digest of the content, so the same file applied twice is one record, and a record
that was changed is noticed.
"""

import re
from hashlib import sha256
from typing import NamedTuple

from bedrock_sluice.lake.stores.store import Store
from bedrock_sluice.transforms.errors import IntegrityError
from bedrock_sluice.transforms.review.review_files import (
    ReviewRecord,
    decode_record,
    encode_record,
)

_FILE = re.compile(r"(?P<release>[^/]+)/(?P<digest>[0-9a-f]{64})\.json")


class StoredReview(NamedTuple):
    """A record and the SHA-256 of its bytes."""

    sha256: str
    record: ReviewRecord


def put_review(lake: Store, record: ReviewRecord) -> bool:
    """Put a record into the lake; return whether it is new there."""
    content = encode_record(record)
    digest = sha256(content).hexdigest()
    folder = f"reviews/{record.release.name}/{record.release.id}/"
    return lake.put_new(f"{folder}{digest}.json", content)


def read_reviews(lake: Store, name: str, release_id: str | None = None) -> list[StoredReview]:
    """Read all reviews of the releases of a name, or of one of them, by release and digest.

    Raises:
        IntegrityError: a record was changed after it was written, or is not one.
    """
    root = f"reviews/{name}/"
    folder = f"{root}{release_id}/" if release_id else root
    reviews = list[StoredReview]()
    for entry in lake.entries(folder):
        place = f"{lake.uri}/{entry.key}"
        match = _FILE.fullmatch(entry.key.removeprefix(root))
        content = lake.read(entry)
        if match is None or sha256(content).hexdigest() != match["digest"]:
            raise IntegrityError(
                "does not have the name of its content: it was changed, or Sluice did not write it",
                place=place,
                hint="restore it from a copy, or find out who wrote it and move it away",
            )
        record = decode_record(content, place)
        if (record.release.name, record.release.id) != (name, match["release"]):
            raise IntegrityError(
                "is the review of another release",
                place=place,
                hint="find out who moved it, and move it back",
            )
        reviews.append(StoredReview(match["digest"], record))
    return reviews
