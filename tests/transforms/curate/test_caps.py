"""Bursts count once, nobody passes their cap, and the report sees who sent how much."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock_sluice.transforms.curate.caps import (
    caller,
    cap_identities,
    cap_systems,
    drop_bursts,
)
from bedrock_sluice.transforms.fates import FilterResult

NOON = datetime(2026, 10, 1, 12, tzinfo=UTC)
NOBODY = pl.Series(dtype=pl.String)
ROLE = "arn:aws:sts::123456789012:assumed-role/app"

_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "object": pl.String,
    "line": pl.UInt32,
    "request_id": pl.String,
    "prompt_digest": pl.String,
    "identity_arn": pl.String,
    "system_digest": pl.String,
    "label": pl.String,
    "timestamp": pl.Datetime("us", "UTC"),
}


def records(rows: Sequence[dict[str, Any]], start: int = 0) -> pl.DataFrame:
    """Records `r0, r1, …` of prompts `d0, d1, …`, where the rows say nothing else."""
    numbered_rows = [
        {"object": "o", "line": n, "request_id": f"r{n}", "prompt_digest": f"d{n}", **row}
        for n, row in enumerate(rows, start=start)
    ]
    return pl.DataFrame(numbered_rows, schema=_SCHEMA)


def calls_at(minutes: Sequence[float | None], prompt: str = "p", who: str = "u") -> pl.DataFrame:
    times = [None if m is None else NOON + timedelta(minutes=m) for m in minutes]
    return records([{"prompt_digest": prompt, "identity_arn": who, "timestamp": t} for t in times])


def bursts(frame: pl.DataFrame, labels: pl.Series = NOBODY) -> FilterResult:
    return drop_bursts(frame, labels, max_burst=2, burst_minutes=10)


@pytest.mark.parametrize(
    ("minutes", "survivors"),
    [
        ([], {}),
        ([0, 1], {}),
        ([0, 1, 2], {"r1": "r0", "r2": "r0"}),
        ([2, 1, 0], {"r0": "r2", "r1": "r2"}),
        ([0, 5, 10], {"r1": "r0", "r2": "r0"}),
        ([0, 5, 10.1], {}),
        ([0, 9, 18, 27, 36], {}),  # one in nine minutes is no burst, however long it lasts
        ([0, 0, 0, 9, 18], {"r1": "r0", "r2": "r0", "r3": "r0"}),
        ([0, 1, 2, 30, 31, 32], {"r1": "r0", "r2": "r0", "r4": "r3", "r5": "r3"}),
        ([0, 1, 2, 30], {"r1": "r0", "r2": "r0"}),
        ([0, 20, 21, 22], {"r2": "r1", "r3": "r1"}),
        ([0, 4, 9, 15, 20, 28, 29], {"r1": "r0", "r2": "r0", "r5": "r4", "r6": "r4"}),
        ([None, None, None, None], {}),
        ([0, None, 1, 2], {"r2": "r0", "r3": "r0"}),
    ],
)
def test_a_burst_counts_as_its_first_record(
    minutes: list[float | None], survivors: dict[str, str]
) -> None:
    result = bursts(calls_at(minutes))
    assert dict(result.rejected.select("request_id", "survivor").rows()) == survivors
    assert set(result.rejected["reason"]) <= {"curate_burst"}
    assert result.kept.columns == list(_SCHEMA)
    assert result.kept.height + result.rejected.height == len(minutes)


def test_other_prompts_and_other_callers_are_no_part_of_a_burst() -> None:
    calls = [("p", "u"), ("q", "u"), ("p", "v"), ("q", "v"), ("p", None)] * 2
    rows = [{"prompt_digest": p, "identity_arn": who, "timestamp": NOON} for p, who in calls]
    assert bursts(records(rows)).rejected.is_empty()
    flood = [*rows, *rows[:1] * 50]
    assert set(bursts(records(flood)).rejected["prompt_digest"]) == {"p"}
    assert bursts(records(flood)).kept.filter(identity_arn="v").height == 4


def test_a_new_session_of_a_role_is_no_new_caller() -> None:
    rows = [
        {"prompt_digest": "p", "identity_arn": f"{ROLE}/session-{n}", "timestamp": NOON}
        for n in range(9)
    ]
    assert bursts(records(rows)).kept.height == 1


def test_what_a_person_labelled_stays_in_a_burst() -> None:
    result = bursts(calls_at([0, 1, 2, 3]), labels=pl.Series(["r2"]))
    assert result.kept["request_id"].to_list() == ["r0", "r2"]


@pytest.mark.parametrize(
    ("arn", "who"),
    [
        (f"{ROLE}/made-up-1", ROLE),
        ("arn:aws-cn:sts::1:assumed-role/app/s", "arn:aws-cn:sts::1:assumed-role/app"),
        ("arn:aws:iam::1:user/team/ann", "arn:aws:iam::1:user/team/ann"),
        ("arn:aws:iam::1:role/app", "arn:aws:iam::1:role/app"),
        ("arn:aws:sts::1:assumed-role/AWSReservedSSO_Dev_0/ann", None),
        (f"{ROLE}/AWSReservedSSO_Dev_0", ROLE),
        ("no arn", "no arn"),
        ("", ""),
    ],
)
def test_a_caller_is_the_role_unless_the_session_is_a_person(arn: str, who: str | None) -> None:
    assert records([{"identity_arn": arn}]).select(caller()).item() == (who or arn)


CAPS = [
    ("identity_arn", "curate_identity_cap"),
    ("system_digest", "curate_system_cap"),
]


def apply_cap(frame: pl.DataFrame, column: str, most: int) -> FilterResult:
    if column == "identity_arn":
        return cap_identities(frame, max_per_identity=most, salt="s")
    return cap_systems(frame, max_per_system=most, salt="s")


@pytest.mark.parametrize(("column", "reason"), CAPS)
def test_a_cap_holds_for_each_value_and_leaves_out_those_without(column: str, reason: str) -> None:
    values = ["a"] * 9 + ["b"] * 3 + ["c"] + [None] * 5
    result = apply_cap(records([{column: value} for value in values]), column, 3)
    counts = dict(result.kept.group_by(column).len().rows())
    assert counts == {"a": 3, "b": 3, "c": 1, None: 5}
    assert result.rejected["reason"].to_list() == [reason] * 6
    assert result.kept.columns == list(_SCHEMA)


@pytest.mark.parametrize(("column", "reason"), CAPS)
def test_who_has_a_label_stays_under_a_cap(column: str, reason: str) -> None:
    labels = [None] * 6 + ["x", "y"] + [None] * 6
    result = apply_cap(records([{column: "a", "label": label} for label in labels]), column, 3)
    assert {"r6", "r7"} < set(result.kept["request_id"])


def test_the_sessions_of_a_role_share_one_cap() -> None:
    frame = records([{"identity_arn": f"{ROLE}/session-{n}"} for n in range(9)])
    assert apply_cap(frame, "identity_arn", 2).kept.height == 2


_VALUES = st.lists(st.sampled_from(["a", "b", None]), max_size=20)


@given(
    values=_VALUES,
    new=_VALUES,
    most=st.integers(1, 6),
    seed=st.integers(0, 9),
    cap=st.integers(0, 1),
)
def test_who_stays_under_a_cap_changes_little_and_by_nothing_but_new_rows(
    values: list[str | None], new: list[str | None], most: int, seed: int, cap: int
) -> None:
    column, _ = CAPS[cap]
    old = records([{column: value} for value in values])
    new_rows = records([{column: value} for value in new], start=old.height)
    whole = pl.concat([new_rows, old]).sample(fraction=1, shuffle=True, seed=seed)
    before, after = apply_cap(old, column, most), apply_cap(whole, column, most)
    assert after.kept.equals(apply_cap(whole.sort("line"), column, most).kept)
    assert after.kept.height + after.rejected.height == whole.height
    kept_ids = set(after.kept["request_id"])
    assert len(set(before.kept["request_id"]) - kept_ids) <= len(new)
    assert kept_ids.isdisjoint(before.rejected["request_id"])


def test_two_caps_choose_independently() -> None:
    """Else the prompts that one cap left would be favoured by the next choice."""
    frame = records([{"identity_arn": "a", "system_digest": "a"}] * 2_000)
    one, other = (set(apply_cap(frame, column, 500).kept["request_id"]) for column, _ in CAPS)
    assert len(one & other) == pytest.approx(125, abs=40)


@given(
    minutes=st.lists(st.integers(0, 40), max_size=20),
    size=st.integers(1, 5),
    seed=st.integers(0, 9),
)
def test_bursts_are_what_a_look_at_each_window_finds(
    minutes: list[int], size: int, seed: int
) -> None:
    frame = calls_at(minutes)
    shuffled_rows = frame.sample(fraction=1, shuffle=True, seed=seed)
    result, again = (
        drop_bursts(each, NOBODY, max_burst=size, burst_minutes=5)
        for each in (frame, shuffled_rows)
    )
    assert result.kept.equals(again.kept)
    assert result.rejected.equals(again.rejected)
    windows = [[m for m in minutes if 0 <= m - start <= 5] for start in minutes]
    within = {m for window in windows if len(window) > size for m in window}
    firsts = [m for m in sorted(within) if not within & set(range(m - 5, m))]
    calm = [m for m in minutes if m not in within]
    kept = result.kept["timestamp"].to_list()
    assert sorted(kept) == [NOON + timedelta(minutes=m) for m in sorted([*calm, *firsts])]
