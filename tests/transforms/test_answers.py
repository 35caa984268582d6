"""Reference answers: the first source with a fitting one wins, and contradictions are told."""

from collections.abc import Sequence
from typing import Any

import polars as pl
import pytest

from bedrock_sluice.transforms.answers import ANSWERS, choose_answers, drop_conflicts

Row = tuple[str, str | None, str | None]


def answers(*rows: Row) -> pl.DataFrame:
    """A frame of answers: request id, answer, problem."""
    return pl.DataFrame(rows, schema=ANSWERS, orient="row")


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
    sifted = choose_answers(prompts("a", "b", "c", "d"), sources)
    told = sifted.kept.select("request_id", "reference_answer", "reference_source")
    assert told.rows() == kept
    assert sifted.rejected.select("request_id", "reason").rows() == rejected


def test_prompts_keep_their_order_and_columns() -> None:
    source = ("labels", answers(*((i, "{}", None) for i in "abcdef")))
    sifted = choose_answers(prompts("f", "a", "x", "c"), [source])
    assert sifted.kept.columns == ["request_id", "line", "reference_answer", "reference_source"]
    assert sifted.kept.rows() == [
        ("f", 0, "{}", "labels"),
        ("a", 1, "{}", "labels"),
        ("c", 3, "{}", "labels"),
    ]


def test_no_prompts_need_no_answers() -> None:
    sifted = choose_answers(prompts(), [LABELS])
    assert (sifted.kept.height, sifted.rejected.height) == (0, 0)


@pytest.mark.parametrize(
    ("rows", "single"),
    [
        ([("a", "1", None)], ("a", "1", None)),
        ([("a", "1", None), ("a", "1", None)], ("a", "1", None)),
        ([("a", "1", None), ("a", "2", None)], ("a", None, "answer_conflict")),
        ([("a", "1", None), ("a", None, "answer_unfit")], ("a", None, "answer_conflict")),
        ([("a", None, "answer_unfit")] * 2, ("a", None, "answer_unfit")),
    ],
    ids=["once", "twice alike", "contradiction", "one of two unfit", "twice unfit"],
)
def test_labels_told_twice_must_agree(rows: list[Row], single: Row) -> None:
    told = drop_conflicts(answers(*rows, ("z", "9", None)))
    assert told.rows() == [single, ("z", "9", None)]
    assert told.schema == ANSWERS


def test_no_labels_make_no_answers() -> None:
    assert drop_conflicts(answers()).equals(answers())


def test_a_conflict_ends_the_search_and_an_earlier_answer_forestalls_it() -> None:
    prompts = pl.DataFrame({"request_id": ["a"]})
    logged = pl.DataFrame([{"request_id": "a", "reference_answer": "1"}], schema=ANSWERS)
    disputed = pl.DataFrame([{"request_id": "a", "problem": "answer_conflict"}], schema=ANSWERS)
    late = choose_answers(prompts, [("labels", disputed), ("logged", logged)])
    assert late.rejected["reason"].to_list() == ["answer_conflict"]
    early = choose_answers(prompts, [("logged", logged), ("labels", disputed)])
    assert early.kept["reference_source"].to_list() == ["logged"]
