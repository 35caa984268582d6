"""Batches of log objects: what becomes one part, and what one worker lands in a row."""

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from bedrock_sluice.lake.logs.landed import (
    MAX_BATCH_BYTES,
    MAX_BATCH_OBJECTS,
    batch_runs,
    batches,
)
from bedrock_sluice.lake.logs.source import LogObject
from bedrock_sluice.lake.stores.store import Entry

NOON = datetime(2026, 10, 1, 12, tzinfo=UTC)
HOUR = "111122223333/us-east-1/2026/10/01/12"


def log(size: int = 10, partition: str = HOUR) -> LogObject:
    """A listed log object."""
    return LogObject(Entry("a", size, "e1", NOON), partition)


@pytest.mark.parametrize(
    ("objects", "cut"),
    [
        ([], []),
        ([log()], [1]),
        ([log(size=MAX_BATCH_BYTES // 2)] * 3, [2, 1]),
        ([log(size=MAX_BATCH_BYTES), log(size=1), log(size=1)], [1, 2]),
        ([log(size=3 * MAX_BATCH_BYTES), log(size=3 * MAX_BATCH_BYTES)], [1, 1]),
        ([log(size=0)] * (MAX_BATCH_OBJECTS + 1), [MAX_BATCH_OBJECTS, 1]),
        ([log(partition="x"), log(partition="x"), log(partition="y")], [2, 1]),
    ],
    ids=["none", "one", "bytes", "exactly full", "too large alone", "number", "partitions"],
)
def test_batches_are_bounded_and_of_one_partition(
    objects: Sequence[LogObject], cut: list[int]
) -> None:
    expected = [(each, None) for each in objects]
    whole_batches = list(batches(expected))
    assert [len(batch) for batch in whole_batches] == cut
    assert [each for batch in whole_batches for each in batch] == expected
    assert all(len({each.partition for each, _ in batch}) == 1 for batch in whole_batches)


@pytest.mark.parametrize(
    ("sizes", "cut"),
    [
        ([], []),
        ([1, 1, 1], [3]),
        ([MAX_BATCH_BYTES // 2] * 3, [2, 1]),
        ([3 * MAX_BATCH_BYTES, 1, 1, 3 * MAX_BATCH_BYTES], [1, 2, 1]),
        ([0] * (MAX_BATCH_OBJECTS + 1), [MAX_BATCH_OBJECTS, 1]),
    ],
    ids=["none", "small", "bytes", "large ones alone", "number"],
)
def test_small_batches_are_landed_in_one_run(sizes: list[int], cut: list[int]) -> None:
    """What a worker holds at once is bounded as one batch is, however many hours it has."""
    hours = [log(size=size, partition=f"{n}") for n, size in enumerate(sizes)]
    whole_batches = list(batches((each, None) for each in hours))
    runs = list(batch_runs(whole_batches))
    assert [len(run) for run in runs] == cut
    assert [batch for run in runs for batch in run] == whole_batches
