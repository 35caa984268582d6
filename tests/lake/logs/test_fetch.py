"""What came damaged is fetched again: only what came the same twice is believed."""

import gzip
from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import md5

import pytest

from bedrock_sluice.lake.logs.fetch import FETCH_ATTEMPTS, fetch
from bedrock_sluice.lake.stores.s3 import S3Store
from bedrock_sluice.lake.stores.store import Entry
from bedrock_sluice.transforms.errors import TransientError

WHOLE = gzip.compress(b'{"a": 1}\n', mtime=0)
MAGIC, MIDDLE = b"\x1e" + WHOLE[1:], WHOLE[:12] + b"?" + WHOLE[13:]
PLAIN, CHANGED = b'{"a": 1}\n', b'{"a": 2}\n'


class Flaky:
    """A store on S3 whose reads give these bytes, one after the other; the last for ever."""

    uri = "s3://bucket"

    def __init__(self, *contents: bytes) -> None:
        self.contents: Sequence[bytes] = contents
        self.reads = 0

    def read(self, _entry: Entry) -> bytes:
        """The next bytes."""
        self.reads += 1
        return self.contents[min(self.reads, len(self.contents)) - 1]


def entry(etag: str = "of-another-kind") -> Entry:
    """A listed object; its size does not matter here."""
    return Entry("a.json.gz", 1, etag, datetime(2026, 10, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("contents", "expected", "reads"),
    [
        ([WHOLE], WHOLE, 1),
        ([MIDDLE, WHOLE], WHOLE, 2),
        ([MAGIC, WHOLE], WHOLE, 2),
        ([MIDDLE, MAGIC, WHOLE], WHOLE, 3),
        ([MIDDLE, MIDDLE], MIDDLE, 2),
        ([PLAIN], PLAIN, 2),
        ([CHANGED, PLAIN], PLAIN, 3),
        ([b"", b""], b"", 2),
    ],
)
def test_what_is_not_proven_must_come_the_same_twice(
    contents: list[bytes], expected: bytes, reads: int
) -> None:
    store = Flaky(*contents)
    assert fetch(store, entry()) == expected  # type: ignore[arg-type]
    assert store.reads == reads


@pytest.mark.parametrize("content", [MIDDLE, PLAIN])
def test_an_etag_that_is_the_md5_proves_the_bytes(content: bytes) -> None:
    store = Flaky(CHANGED, content, CHANGED)
    log_entry = entry(md5(content, usedforsecurity=False).hexdigest())
    assert fetch(store, log_entry) == content  # type: ignore[arg-type]
    assert store.reads == 2


def test_bytes_that_differ_each_time_are_told_and_not_landed() -> None:
    store = Flaky(*(MIDDLE + bytes([n]) for n in range(FETCH_ATTEMPTS)))
    with pytest.raises(TransientError, match=r"a\.json\.gz came with other bytes each time"):
        fetch(store, entry())  # type: ignore[arg-type]


def test_an_object_of_a_bucket_that_was_stored_damaged_is_fetched_once(bucket: str) -> None:
    store = S3Store(f"s3://{bucket}")
    store.put_new("a.json.gz", MIDDLE)
    (log_entry,) = store.entries("a.json.gz")
    assert fetch(store, log_entry) == MIDDLE
