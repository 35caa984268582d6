"""Exclusions by columns give the same as entry by entry, record by record."""

from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from bedrock_sluice.transforms.rights.exclusions import find_excluded, tabulate
from bedrock_sluice.transforms.rights.settings import SUBJECTS, Exclusion

NAMES = ("a", "ab", "b*", "?", "", "'; drop table x --", "[ab]", "é\n")
PATTERNS = (*NAMES, "*", "a?", "*b")
START = datetime(2026, 10, 1, tzinfo=UTC)

moments = st.none() | st.integers(0, 4).map(lambda hours: START + timedelta(hours=hours))
record = st.fixed_dictionaries(
    {**dict.fromkeys(SUBJECTS, st.none() | st.sampled_from(NAMES)), "timestamp": moments}
)
exclusion = st.builds(
    Exclusion,
    place=st.uuids().map(str),
    tenant=st.none() | st.sampled_from(NAMES[:4]),
    caller=st.none() | st.sampled_from([name for name in PATTERNS if name]),
    contract=st.none() | st.sampled_from(NAMES[:4]),
    since=moments,
    until=moments,
).filter(lambda each: each.fault() is None)


def is_excluded(row: dict[str, Any], entry: Exclusion) -> bool:
    """Whether an entry excludes a record, as the documentation words it."""
    for subject in ("tenant", "contract"):
        expected = getattr(entry, subject)
        if expected is not None and row[subject] != expected:
            return False
    if entry.caller is not None:
        has_wildcard = "*" in entry.caller or "?" in entry.caller
        if row["caller"] is None or not (
            fnmatchcase(row["caller"], entry.caller)
            if has_wildcard
            else row["caller"] == entry.caller
        ):
            return False
    at = row["timestamp"]
    if at is None:
        return True
    return (entry.since is None or entry.since <= at) and (entry.until is None or at < entry.until)


@given(st.lists(record, max_size=8), st.lists(exclusion, max_size=6, unique_by=lambda e: e.place))
def test_the_first_entry_that_matches_excludes(
    records: list[dict[str, Any]], entries: list[Exclusion]
) -> None:
    schema = {**dict.fromkeys(SUBJECTS, pl.String()), "timestamp": pl.Datetime("us", "UTC")}
    frame = pl.DataFrame(records, schema=schema)
    expected = [next((e.place for e in entries if is_excluded(r, e)), None) for r in records]
    assert find_excluded(frame, tabulate(entries)).to_list() == expected
