"""Curation: each rule is tripped by exactly what it names, and one of each duplicate survives."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock_sluice.transforms.curate.rules import (
    drop_evaluated,
    drop_exact_duplicates,
    drop_private,
    drop_unteachable,
    with_response_flags,
)
from bedrock_sluice.transforms.privacy.kinds import KINDS, PERSONAL, SECRETS

Json = dict[str, Any]
Make = Callable[[Sequence[Json]], pl.DataFrame]

NOON = datetime(2026, 10, 1, 12, tzinfo=UTC)
LATER = NOON + timedelta(seconds=1)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, None),
        ({"has_media": True}, "curate_media"),
        ({"stop_reason": "guardrail_intervened"}, "curate_guardrail"),
        ({"stop_reason": "content_filtered"}, "curate_guardrail"),
        ({"stop_reason": "guardrail_input"}, "curate_guardrail_input"),
        ({"stop_reason": "guardrail_output"}, "curate_guardrail_output"),
        ({"stop_reason": "max_tokens"}, "curate_cut_off"),
        ({"stop_reason": "model_context_window_exceeded"}, "curate_cut_off"),
        ({"stop_reason": "tool_use"}, None),
        ({"stop_reason": "stop_sequence"}, None),
        ({"stop_reason": "unstated"}, None),
        ({"stop_reason": "guardrail_masked"}, "curate_guardrail_output"),
        ({"stop_reason": "refusal"}, "curate_refusal"),
        ({"stop_reason": "malformed_tool_use"}, "curate_malformed"),
        ({"stop_reason": "broken_off"}, "curate_cut_off"),
        ({"stop_reason": "novel"}, "curate_unfinished"),
        ({"stop_reason": None}, "curate_unfinished"),
        ({"has_dangling_call": True}, "curate_dangling_tool_call"),
        ({"has_prompt": False}, "curate_empty_prompt"),
        ({"has_blank_turn": True}, "curate_blank_turn"),
        ({"has_response": False}, "curate_empty_response"),
        ({"is_user_last": False}, "curate_last_not_user"),
        ({"is_single_turn": False}, "curate_multi_turn"),
        ({"prompt_tokens": 100}, None),
        ({"prompt_tokens": 101}, "curate_too_long"),
    ],
)
def test_each_rule_drops_what_it_names(exchanges: Make, change: Json, reason: str | None) -> None:
    result = drop_unteachable(exchanges([{}, change]), max_prompt_tokens=100, takes_history=False)
    drops = [] if reason is None else [("r2", reason)]
    assert result.rejected.select("request_id", "reason").rows() == drops
    assert result.kept.height + result.rejected.height == 2


def test_a_template_that_takes_history_keeps_earlier_turns(exchanges: Make) -> None:
    frame = exchanges([{"is_single_turn": False}])
    assert drop_unteachable(frame, max_prompt_tokens=100, takes_history=True).kept.height == 1


def test_of_several_reasons_the_first_rule_is_told(exchanges: Make) -> None:
    worst = {"has_media": True, "has_prompt": False, "prompt_tokens": 10**9, "stop_reason": None}
    result = drop_unteachable(exchanges([worst]), max_prompt_tokens=100, takes_history=False)
    assert result.rejected["reason"].to_list() == ["curate_media"]


@pytest.mark.parametrize(
    ("rows", "survivor"),
    [
        ([{}, {}, {}], "r1"),
        ([{}, {"timestamp": LATER}, {}], "r2"),
        ([{}, {"timestamp": LATER}, {"label": "a"}], "r3"),
        ([{"label": "a"}, {"timestamp": LATER}, {"label": "b"}], "r1"),
        ([{"label": "a"}, {"timestamp": LATER, "label": "a"}, {}], "r2"),
        ([{"label": "a", "has_good_response": False}, {"timestamp": LATER}, {}], "r1"),
        ([{"label": "a", "has_good_response": False}, {"label": "a"}, {}], "r2"),
        ([{"timestamp": None}, {"timestamp": NOON}, {}], "r2"),
        ([{"request_id": "r10"}, {"request_id": "r9"}, {"request_id": "r10x"}], "r10"),
    ],
    ids=[
        "the lowest id",
        "the newest",
        "the labelled before the newest",
        "the lowest id of the labelled",
        "the newest of the labelled",
        "the labelled before the well answered",
        "the well answered of the labelled",
        "any time before none",
        "ids are compared as text",
    ],
)
def test_the_survivor_is_labelled_then_newest_then_of_lowest_id(
    exchanges: Make, rows: list[Json], survivor: str
) -> None:
    result = drop_exact_duplicates(exchanges([{"prompt_digest": "same", **row} for row in rows]))
    assert result.kept.select("request_id", "duplicates").rows() == [(survivor, 2)]
    assert set(result.rejected["survivor"]) == {survivor}
    assert set(result.rejected["reason"]) == {"curate_exact_duplicate"}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"stop_reason": "max_tokens"}, "curate_cut_off"),
        ({"stop_reason": "malformed_tool_use"}, "curate_malformed"),
        ({"stop_reason": "refusal"}, "curate_refusal"),
        ({"stop_reason": "guardrail_output"}, "curate_guardrail_output"),
        ({"has_response": False}, "curate_empty_response"),
    ],
)
def test_a_bad_response_costs_no_prompt_that_has_a_label(
    exchanges: Make, change: Json, reason: str
) -> None:
    frame = with_response_flags(exchanges([change, change | {"label": "a"}, {}]))
    result = drop_unteachable(frame, max_prompt_tokens=100, takes_history=False)
    assert result.rejected.select("request_id", "reason").rows() == [("r1", reason)]
    assert result.kept.select("request_id", "has_good_response").rows() == [
        ("r2", False),
        ("r3", True),
    ]


def test_other_prompts_are_no_duplicates(exchanges: Make) -> None:
    result = drop_exact_duplicates(exchanges([{}, {}, {}]))
    assert result.kept["request_id"].to_list() == ["r1", "r2", "r3"]
    assert result.kept["duplicates"].to_list() == [0, 0, 0]


def test_columns_are_as_they_were_and_those_promised(exchanges: Make) -> None:
    frame = exchanges([{"prompt_digest": "same"}] * 2)
    result = drop_exact_duplicates(frame)
    assert result.kept.columns == [*frame.columns, "duplicates"]
    assert result.kept.schema["duplicates"] == pl.UInt32
    assert result.rejected.columns == [*frame.columns, "survivor", "reason"]


def with_counts(exchanges: Make, *counts: Json) -> pl.DataFrame:
    """Prompts with as many findings of each kind as told, else none."""
    rows = [dict.fromkeys(KINDS, 0) | each for each in counts]
    findings = pl.DataFrame(rows, schema=dict.fromkeys(KINDS, pl.UInt32))
    return pl.concat([exchanges([{}] * len(rows)), findings], how="horizontal")


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_personal_data_is_dropped_for_its_reason(exchanges: Make, kind: str) -> None:
    frame = with_counts(exchanges, {}, {kind: 1})
    reason = "curate_secret" if kind in SECRETS else "curate_personal_data"
    for kinds in (KINDS, (kind,)):
        result = drop_private(frame, kinds)
        assert result.rejected.select("request_id", "reason").rows() == [("r2", reason)]
        assert result.kept["request_id"].to_list() == ["r1"]
    others = [each for each in KINDS if each != kind]
    assert drop_private(frame, others).rejected.is_empty()


def test_only_kinds_that_are_asked_for_are_dropped(exchanges: Make) -> None:
    frame = with_counts(exchanges, {"email": 9, "token": 9})
    assert drop_private(frame, ()).kept.equals(frame)
    assert drop_private(frame, PERSONAL).rejected["reason"].to_list() == ["curate_personal_data"]


def test_of_a_secret_and_personal_data_the_secret_is_told(exchanges: Make) -> None:
    result = drop_private(with_counts(exchanges, {"email": 9, "token": 1}), KINDS)
    assert result.rejected["reason"].to_list() == ["curate_secret"]


def test_what_overlaps_an_evaluation_item_is_dropped_and_tells_of_it(exchanges: Make) -> None:
    overlaps = pl.Series("overlap", [None, "gsm8k.jsonl:7: near, 84 %", None], dtype=pl.String)
    result = drop_evaluated(exchanges([{}] * 3).with_columns(overlaps))
    rejected = result.rejected.select("request_id", "reason", "detail").rows()
    assert rejected == [("r2", "curate_evaluation", "gsm8k.jsonl:7: near, 84 %")]
    assert result.kept["request_id"].to_list() == ["r1", "r3"]


def test_nothing_gives_nothing(exchanges: Make) -> None:
    result = drop_unteachable(exchanges([]), max_prompt_tokens=100, takes_history=False)
    single = drop_exact_duplicates(result.kept)
    assert (single.kept.height, single.rejected.height) == (0, 0)
    private = drop_private(with_counts(exchanges), KINDS)
    assert (private.kept.height, private.rejected.height) == (0, 0)
    outcome = drop_evaluated(exchanges([]).with_columns(overlap=pl.lit(None, pl.String)))
    assert (outcome.kept.height, outcome.rejected.height) == (0, 0)


@given(
    rows=st.lists(
        st.fixed_dictionaries(
            {
                "prompt_digest": st.sampled_from(["a", "b", "c"]),
                "timestamp": st.sampled_from([NOON, NOON + timedelta(1), None]),
                "has_media": st.booleans(),
                "label": st.sampled_from(["x", "y", None]),
                "prompt_tokens": st.sampled_from([50, 500]),
            }
        ),
        max_size=12,
    ),
    seed=st.integers(0, 99),
)
def test_the_order_of_the_rows_changes_nothing(
    exchanges: Make, rows: list[Json], seed: int
) -> None:
    def curate(frame: pl.DataFrame) -> tuple[pl.DataFrame, ...]:
        teachable = drop_unteachable(frame, max_prompt_tokens=100, takes_history=False)
        single = drop_exact_duplicates(teachable.kept)
        assert teachable.kept.height + teachable.rejected.height == frame.height
        assert single.kept.height + single.rejected.height == teachable.kept.height
        assert single.kept["prompt_digest"].is_unique().all()
        return single.kept, single.rejected, teachable.rejected

    frame = exchanges(rows)
    shuffled_rows = frame.sample(fraction=1, shuffle=True, seed=seed)
    for one, other in zip(curate(frame), curate(shuffled_rows), strict=True):
        assert one.equals(other.sort("line"))
