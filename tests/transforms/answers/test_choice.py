"""Reference answers: the first source with a fitting one wins, and contradictions are reported."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock_sluice.transforms.answers.choice import (
    ANSWERS,
    LABEL_ROWS,
    choose_answers,
    resolve_answers,
    resolve_values,
    select_before_cutoff,
)
from bedrock_sluice.transforms.settings import TRUST, ConflictRule, select_trusted_sources

Row = tuple[str, str | None, str | None]


def answers(*rows: Row) -> pl.DataFrame:
    """A frame of answers: request id, answer, problem."""
    return pl.DataFrame([(*row, None) for row in rows], schema=ANSWERS, orient="row")


def prompts(*ids: str) -> pl.DataFrame:
    """A frame of prompts."""
    schema = {"request_id": pl.String, "line": pl.UInt32}
    return pl.DataFrame({"request_id": ids, "line": range(len(ids))}, schema=schema)


LABELS = ("labels", answers(("a", '{"n":1}', None), ("b", None, "answer_unfit")))
TAGS = ("metadata", answers(("a", '{"n":2}', None), ("c", None, "answer_conflict")))
LOGGED = ("logged", answers(("b", '{"n":3}', None), ("c", None, "answer_unfit")))


@pytest.mark.parametrize(
    ("sources", "kept", "rejected"),
    [
        (
            [LABELS],
            [("a", '{"n":1}', "labels")],
            [("b", "answer_unfit"), ("c", "answer_missing"), ("d", "answer_missing")],
        ),
        (
            [LABELS, TAGS, LOGGED],
            [("a", '{"n":1}', "labels"), ("b", '{"n":3}', "logged")],
            [("c", "answer_conflict"), ("d", "answer_missing")],
        ),
        (
            [LOGGED, TAGS, LABELS],
            [("a", '{"n":2}', "metadata"), ("b", '{"n":3}', "logged")],
            [("c", "answer_conflict"), ("d", "answer_missing")],
        ),
        (
            [LABELS, LABELS],
            [("a", '{"n":1}', "labels")],
            [("b", "answer_unfit"), ("c", "answer_missing"), ("d", "answer_missing")],
        ),
    ],
    ids=["one", "three", "three the other way round", "the same twice"],
)
def test_the_first_fitting_answer_wins(
    sources: Sequence[tuple[str, pl.DataFrame]], kept: list[Any], rejected: list[Any]
) -> None:
    result = choose_answers(prompts("a", "b", "c", "d"), sources)
    answers = result.kept.select("request_id", "reference_answer", "reference_source")
    assert answers.rows() == kept
    assert result.rejected.select("request_id", "reason").rows() == rejected


def test_prompts_keep_their_order_and_columns() -> None:
    source = ("labels", answers(*((i, "{}", None) for i in "abcdef")))
    result = choose_answers(prompts("f", "a", "x", "c"), [source])
    new_columns = ["reference_answer", "reference_source", "passthrough"]
    assert result.kept.columns == ["request_id", "line", *new_columns]
    assert result.kept.rows() == [
        ("f", 0, "{}", "labels", None),
        ("a", 1, "{}", "labels", None),
        ("c", 3, "{}", "labels", None),
    ]


def test_what_rides_along_is_that_of_the_answer_that_was_chosen() -> None:
    first = answers(("a", "1", None), ("b", None, "answer_unfit"), ("c", "3", None))
    first = first.with_columns(passthrough=pl.Series([None, "{}", '{"x":1}']))
    second = answers(("a", "1", None), ("b", "2", None)).with_columns(passthrough=pl.lit('{"y":2}'))
    kept = choose_answers(prompts("a", "b", "c"), [("labels", first), ("more", second)]).kept
    assert kept["passthrough"].to_list() == [None, '{"y":2}', '{"x":1}']


def test_no_prompts_need_no_answers() -> None:
    result = choose_answers(prompts(), [LABELS])
    assert (result.kept.height, result.rejected.height) == (0, 0)


def test_a_conflict_ends_the_search_and_an_earlier_answer_forestalls_it() -> None:
    prompts = pl.DataFrame({"request_id": ["a"]})
    logged_answers = pl.DataFrame([{"request_id": "a", "reference_answer": "1"}], schema=ANSWERS)
    conflict = pl.DataFrame([{"request_id": "a", "problem": "answer_conflict"}], schema=ANSWERS)
    late = choose_answers(prompts, [("labels", conflict), ("logged", logged_answers)])
    assert late.rejected["reason"].to_list() == ["answer_conflict"]
    early = choose_answers(prompts, [("logged", logged_answers), ("labels", conflict)])
    assert early.kept["reference_source"].to_list() == ["logged"]


DAY = datetime(2026, 10, 1, tzinfo=UTC)


def rows_of(*rows: tuple[str, str | None, int | None]) -> pl.DataFrame:
    """Rows of labels: prompt, answer (its first letter is its form), day."""
    return pl.DataFrame(
        [
            (
                prompt,
                text,
                text and f"on {day}",
                text and text[0],
                None if day is None else DAY + timedelta(days=day),
            )
            for prompt, text, day in rows
        ],
        schema=LABEL_ROWS,
        orient="row",
    )


@pytest.mark.parametrize(
    ("rows", "drop", "newest", "majority"),
    [
        ([("x", 0)], "x", "x", "x"),
        ([("x", 0), ("x", None)], "x", "x", "x"),
        ([(None, 0)], "unfit", "unfit", "unfit"),
        ([("x", 0), ("y", 1)], "conflict", "y", "conflict"),
        ([("x", 0), ("y", 1), ("x", 2)], "conflict", "x", "x"),
        ([("x", 0), ("x", 1), ("y", 2)], "conflict", "y", "x"),
        ([("x", None), ("y", 0)], "conflict", "y", "conflict"),
        ([("x", None), ("y", None)], "conflict", "conflict", "conflict"),
        ([("x", 1), ("y", 1)], "conflict", "conflict", "conflict"),
        ([("x", 0), (None, 1)], "conflict", "unfit", "conflict"),
        ([("x1", 0), ("x2", 1)], "x2", "x2", "x2"),
        ([("x1", None), ("x2", None)], "x1", "x1", "x1"),
        ([("x2", None), ("x1", 0)], "x1", "x1", "x1"),
    ],
)
def test_the_rule_settles_what_is_told_twice(
    rows: list[tuple[str | None, int | None]], drop: str, newest: str, majority: str
) -> None:
    rules: dict[ConflictRule, str] = {"drop": drop, "newest": newest, "majority": majority}
    for rule, outcome in rules.items():
        for order in (rows, rows[::-1]):
            final = resolve_answers(
                rows_of(*(("p", *row) for row in order), ("q", "z", None)), rule
            )
            (_, answer, passthrough, problem), other = final.rows()
            assert (answer or problem.removeprefix("answer_")) == outcome
            assert (passthrough is None) == (answer is None)
            assert other == ("q", "z", "on None", None)
    assert resolve_answers(rows_of(), "drop").is_empty()


_ROWS = st.lists(
    st.tuples(
        st.sampled_from("pq"),
        st.sampled_from(["x1", "x2", "y", None]),
        st.sampled_from([None, 0, 1]),
    ),
    max_size=8,
)


@given(
    rows=_ROWS,
    rule=st.sampled_from(["drop", "newest", "majority"]),
    data=st.data(),
)
def test_what_is_settled_does_not_depend_on_the_order(
    rows: list[tuple[str, str | None, int | None]], rule: ConflictRule, data: st.DataObject
) -> None:
    one = resolve_answers(rows_of(*rows), rule)
    assert one.equals(resolve_answers(rows_of(*data.draw(st.permutations(rows))), rule))
    assert one["prompt_digest"].to_list() == sorted({prompt for prompt, *_ in rows})
    assert one.filter(
        pl.col("reference_answer").is_null() == pl.col("problem").is_null()
    ).is_empty()


def test_a_subject_may_have_several_columns_and_a_value_may_be_a_flag() -> None:
    frame = rows_of(("p", "x", 0), ("p", "x", 1), ("p", "y", 0)).with_columns(
        is_right=pl.Series([True, False, True])
    )
    values = resolve_values(frame, ["prompt_digest", "form"], "is_right", "drop")
    assert values.rows() == [("p", "x", None, True), ("p", "y", True, False)]


def test_a_cut_off_counts_what_it_leaves_out() -> None:
    rows = rows_of(("p", "x", -1), ("p", "y", 0), ("q", "z", None), ("q", "z", 5), ("q", "z", None))
    early, late, no_time = select_before_cutoff(rows, DAY)
    assert (early["form"].to_list(), late, no_time) == (["x"], 2, 2)
    assert select_before_cutoff(rows, None).rows.equals(rows)


@pytest.mark.parametrize(
    ("minimum", "sources"),
    [("labels", ["labels"]), ("metadata", ["metadata", "labels"]), ("logged", None)],
)
def test_sources_that_are_trusted_too_little_are_not_used(
    minimum: str, sources: list[str] | None
) -> None:
    assert select_trusted_sources(["logged", "metadata", "labels"], minimum) == (
        sources or ["logged", "metadata", "labels"]
    )
    assert select_trusted_sources(TRUST, "agreement") == list(TRUST[:4])
