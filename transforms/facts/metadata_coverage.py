"""How many records carry each key of request metadata: what a filter of a recipe can ask for."""

from collections import Counter
from collections.abc import Mapping
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

COVERAGE_COLUMNS = ("reason", "timestamp", "request_metadata")


def count_keys(
    landed: pa.RecordBatch, since: datetime | None, until: datetime | None
) -> Counter[str | None]:
    """Count the records that carry each metadata key; None stands for no key at all.

    `landed` has `COVERAGE_COLUMNS` (schema `LANDED`). Quarantined lines don't count, nor records
    outside of the window: half open, and open where it has no end.
    """
    times = landed["timestamp"]
    is_counted = pc.is_null(landed["reason"])
    if since:
        is_counted = pc.and_(is_counted, pc.greater_equal(times, pa.scalar(since, times.type)))
    if until:
        is_counted = pc.and_(is_counted, pc.less(times, pa.scalar(until, times.type)))
    maps = landed["request_metadata"].filter(is_counted)
    keys = pa.ListArray.from_arrays(maps.offsets, maps.keys, mask=maps.is_null())
    tallies = pc.value_counts(pc.list_flatten(keys))
    counts = Counter[str | None](
        dict(zip(tallies.field(0).to_pylist(), tallies.field(1).to_pylist(), strict=True))
    )
    with_keys = pc.sum(pc.greater(pc.list_value_length(keys), 0)).as_py() or 0
    counts[None] = len(maps) - with_keys
    return counts


def most_frequent(counts: Mapping[str | None, int], most: int) -> dict[str, int]:
    """Return the `most` frequent keys and their counts, the most frequent first."""
    keys = sorted((-number, key) for key, number in counts.items() if key is not None)
    return {key: -number for number, key in keys[:most]}
