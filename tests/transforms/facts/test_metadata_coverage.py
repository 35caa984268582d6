"""Coverage of metadata keys: each record of the window counts once for each key, or for none."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from bedrock_sluice.transforms.facts.metadata_coverage import (
    COVERAGE_COLUMNS,
    count_keys,
    most_frequent,
)
from bedrock_sluice.transforms.tables import LANDED

NOON = datetime(2026, 10, 1, 12, tzinfo=UTC)
TIMES = st.sampled_from([NOON + timedelta(hours=hour) for hour in range(4)])
RECORDS = st.fixed_dictionaries(
    {
        "reason": st.sampled_from([None, None, "pull_bad_json"]),
        "timestamp": st.none() | TIMES,
        "request_metadata": st.none() | st.dictionaries(st.sampled_from("abc"), st.text()),
    }
)
SCHEMA = pa.schema([LANDED.field(name) for name in COVERAGE_COLUMNS])


@given(st.lists(RECORDS), st.none() | TIMES, st.none() | TIMES, st.integers(0, 3))
def test_each_record_of_the_window_counts(
    records: list[dict[str, Any]], since: datetime | None, until: datetime | None, start: int
) -> None:
    rows = [
        {**row, "request_metadata": tags and list(tags.items())}
        for row in records
        for tags in (row["request_metadata"],)
    ]
    batch = pa.RecordBatch.from_pylist(rows, schema=SCHEMA)
    expected = Counter[str | None]()
    for row in records[start:]:
        time = row["timestamp"]
        is_late_enough = since is None or (time is not None and time >= since)
        is_early_enough = until is None or (time is not None and time < until)
        if row["reason"] is None and is_late_enough and is_early_enough:
            expected.update(list(row["request_metadata"] or [None]))
    assert count_keys(batch.slice(start), since, until) == expected


def test_the_most_frequent_keys_come_first() -> None:
    counts = {"b": 3, None: 9, "c": 1, "a": 3, "d": 5}
    assert list(most_frequent(counts, 3).items()) == [("d", 5), ("a", 3), ("b", 3)]
    assert most_frequent({}, 3) == {}
