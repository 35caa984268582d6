"""Reviews of lines in the lake: immutable records, which the next builds read.

reviews/<name>/<release id>/<SHA-256 of the content>.json     one reviewer's file, as applied

The name is the digest of the content, so the same file applied twice is one record, and a record
that was changed is noticed. Only `sluice forget` removes one, and puts one without the
forgotten lines in its place.
"""

import re
from collections.abc import Collection
from hashlib import sha256
from typing import NamedTuple

import msgspec

from bedrock_sluice.lake.stores.store import Store
from bedrock_sluice.transforms.errors import IntegrityError
from bedrock_sluice.transforms.review.review_files import (
    ReviewRecord,
    decode_record,
    encode_record,
)
from bedrock_sluice.transforms.rights.tombstones import is_forgotten

FOLDER = "reviews/"
_FILE = re.compile(r"(?P<release>[^/]+)/(?P<digest>[0-9a-f]{64})\.json")


class StoredReview(NamedTuple):
    """A record and the SHA-256 of its bytes."""

    sha256: str
    record: ReviewRecord

    @property
    def key(self) -> str:
        """The key of the file in the lake."""
        return _key(self.record, self.sha256)


def put_review(lake: Store, record: ReviewRecord) -> bool:
    """Put a record into the lake; return whether it is new there."""
    content = encode_record(record)
    return lake.put_new(_key(record, sha256(content).hexdigest()), content)


def read_reviews(lake: Store, name: str, release_id: str | None = None) -> list[StoredReview]:
    """Read all reviews of the releases of a name, or of one of them, by release and digest.

    Raises:
        IntegrityError: a record was changed after it was written, or is not one.
    """
    root = f"{FOLDER}{name}/"
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


def find_reviews(lake: Store, digests: Collection[str]) -> list[StoredReview]:
    """Find the reviews with lines of these requests, by the digests of their ids.

    Raises:
        IntegrityError: as `read_reviews` does.
    """
    names = lake.folders(FOLDER)
    reviews = (each for name in names for each in read_reviews(lake, name))
    return [
        each
        for each in reviews
        if any(is_forgotten(line.id, digests) for line in each.record.lines)
    ]


def erase_lines(lake: Store, review: StoredReview, digests: Collection[str]) -> None:
    """Replace a review by one without the lines of these requests; without a line left, by none.

    The other lines keep their verdicts: the sample that an error rate is estimated from is drawn
    from the lines of the release, and does not change.
    """
    rest = without_requests(review.record, digests)
    if rest.lines:
        put_review(lake, rest)
    # Last: as long as it is there, the next run finds what was not done.
    if entry := lake.entry(review.key):
        lake.delete([entry], "reviews")


def without_requests(record: ReviewRecord, digests: Collection[str]) -> ReviewRecord:
    """Return a record without the lines of these requests."""
    lines = [line for line in record.lines if not is_forgotten(line.id, digests)]
    return msgspec.structs.replace(record, lines=lines)


def _key(record: ReviewRecord, digest: str) -> str:
    return f"{FOLDER}{record.release.name}/{record.release.id}/{digest}.json"
