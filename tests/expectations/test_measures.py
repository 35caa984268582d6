"""Measures: what the gate judges of a line and of the split, and that it is never the text."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import polars as pl
import pytest
from support.protocols import MakeRecord

from bedrock_sluice.expectations.measures import (
    LEAKAGE_MEASURES,
    LineRequirements,
    decode_lines,
    measure_leakage,
    measure_lines,
    measure_split,
    share_tolerance,
)
from bedrock_sluice.rewards.line import render
from bedrock_sluice.transforms.curate.rules import drop_unteachable
from bedrock_sluice.transforms.decode.records import decode_object
from bedrock_sluice.transforms.dedup.contamination import EvaluationIndex, index_evaluation
from bedrock_sluice.transforms.privacy.kinds import KINDS, PERSONAL, SECRETS
from bedrock_sluice.transforms.privacy.masking import mask_lines
from bedrock_sluice.transforms.readers.normalise import normalise
from bedrock_sluice.transforms.tables import landed_table

Json = dict[str, Any]

WANTED = LineRequirements(
    accepts=lambda whole: whole.get("reference_answer") == {"answer": "4"},
    conforms=lambda line: "odd" not in line,
    marker="ANSWER:",
)


def line(**change: object) -> Json:
    """A line of a release; fields that are None are left out."""
    messages = [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "2 + 2? End with ANSWER: and the number."},
    ]
    whole = {"id": "r1", "messages": messages, "reference_answer": {"answer": "4"}, **change}
    return {name: value for name, value in whole.items() if value is not None}


def chat_line(*messages: object) -> Json:
    """A line of other messages."""
    return line(messages=list(messages))


def offering(*messages: object) -> Json:
    """A line of other messages that offers the tool `f`."""
    return line(messages=list(messages), tools=[{"type": "function", "function": {"name": "f"}}])


def measure(*lines: Json) -> list[Json]:
    """The measures of lines."""
    texts = pl.Series([json.dumps(each, ensure_ascii=False) for each in lines], dtype=pl.String)
    return measure_lines(decode_lines(texts), WANTED).to_dicts()


USER = {"role": "user", "content": "ANSWER:"}
SYSTEM = {"role": "system", "content": "a"}
CALL = {"id": "t", "type": "function", "function": {"name": "f", "arguments": "{}"}}
CALLING = {"role": "assistant", "content": None, "tool_calls": [CALL]}
RESULT = {"role": "tool", "content": "4", "tool_call_id": "t"}


@pytest.mark.parametrize(
    ("bad", "flags"),
    [
        (line(), set()),
        (offering(USER, CALLING, RESULT, USER), set()),
        (chat_line(USER, CALLING, RESULT, USER), {"has_whole_calls"}),
        (offering(USER, CALLING, USER), {"has_whole_calls"}),
        (offering(USER, RESULT, USER), {"has_whole_calls"}),
        (offering(USER) | {"tools": [7]}, {"has_whole_calls"}),
        (line(tools=[{"type": "function"}], novel=[1]), set()),
        (line(reference_answer={"answer": "5"}), {"has_answer"}),
        (line(odd=1), {"conforms"}),
        (chat_line(SYSTEM, USER | {"content": "2 + 2?"}), {"asks_for_marker"}),
        (chat_line(USER, SYSTEM, USER), {"has_known_roles"}),
        (chat_line(SYSTEM, SYSTEM, USER), {"has_known_roles"}),
        (chat_line(USER | {"role": "developer"}, USER), {"has_known_roles"}),
        (chat_line(USER, USER | {"role": "assistant"}), {"is_user_last"}),
        (chat_line(SYSTEM | {"content": " \n"}, USER), {"has_text"}),
        (chat_line(USER, {"role": "assistant", "content": None}, USER), {"has_text"}),
    ],
)
def test_a_line_is_measured_for_what_it_is(bad: Json, flags: set[str]) -> None:
    (row,) = measure(bad)
    assert {name for name, value in row.items() if value is False} == flags


@pytest.mark.parametrize(
    "bad",
    [
        line(id=None),
        line(id=" "),
        line(id=7),
        line(messages=None),
        line(messages=[]),
        line(messages={}),
        line(messages="2 + 2?"),
        line(reference_answer=None),
        line(reference_answer={}),
        chat_line("2 + 2?"),
        chat_line(USER | {"name": "x"}),
        chat_line({"content": "a"}),
        chat_line({"role": "user"}),
        chat_line(USER | {"content": 7}),
        chat_line(USER | {"content": [{"type": "text", "text": "ANSWER:"}]}),
        chat_line(USER | {"role": 7}),
        chat_line(USER | {"role": ["user"]}),
        chat_line(USER | {"tool_calls": [{}]}),
    ],
    ids=json.dumps,
)
def test_a_line_of_another_shape_fails_the_schema_check(bad: Json) -> None:
    (row,) = measure(bad)
    assert row["has_schema"] is False


def test_ids_are_numbered_so_that_only_repeats_share_a_number() -> None:
    rows = measure(*(line(id=name) for name in ("a", "b", "a", "c", "b")))
    assert [row["id_number"] for row in rows] == [0, 1, 0, 2, 1]


def test_measures_hold_no_text() -> None:
    canary = "AKIAIOSFODNN7EXAMPLE"
    message = {"role": "user", "content": canary}
    text = json.dumps(line(id=canary, messages=[message], reference_answer={canary: canary}))
    frame = measure_lines(decode_lines(pl.Series([text])), WANTED)
    assert set(frame.schema.values()) <= {pl.Int64, pl.Boolean}
    split = pl.DataFrame({"split": ["train"], "group": [canary], "prompt_digest": [canary]})
    assert all(kind.is_numeric() for kind in measure_split(split, 0.1).schema.values())
    leaks = measure_leakage(split, decode_lines(pl.Series([text])), 0.8, None)
    assert set(leaks.schema.values()) == {pl.Boolean}


@pytest.mark.parametrize(
    ("rows", "measures"),
    [
        ([("train", "a"), ("validation", "b")], (1, 50.0, 0, 0)),
        ([("train", "a"), ("validation", "a")], (1, 100.0, 0, 0)),
        ([("train", "a"), ("train", "a")], (2, 0.0, 0, 0)),
        ([], (0, 10.0, 0, 0)),
    ],
)
def test_the_split_is_measured(rows: list[tuple[str, ...]], measures: tuple[float, ...]) -> None:
    columns = dict.fromkeys(("split", "group"), pl.String)
    frame = pl.DataFrame(rows, schema=columns, orient="row")
    (row,) = measure_split(frame, 0.1).rows()
    assert row == pytest.approx(measures)


@pytest.mark.parametrize(
    ("train", "validation", "evictions", "percent", "evicted_percent"),
    [
        (9, 1, 0, 10, 0),
        (8, 1, 1, 10, 10),
        (0, 1, 9, 10, 90),
        (9, 0, 1, 0, 10),
        (0, 0, 5, 0, 100),
        (0, 0, 0, 10, 0),
    ],
)
def test_evicted_lines_count_as_groups_of_train(
    train: int, validation: int, evictions: int, percent: float, evicted_percent: float
) -> None:
    sides = ["train"] * train + ["validation"] * validation
    names = [str(n) for n in range(len(sides))]
    columns = {"split": sides, "group": names, "prompt_digest": names}
    frame = pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String))
    (row,) = measure_split(frame, 0.1, evictions).to_dicts()
    assert row["train_lines"] == train
    assert row["validation_percent"] == pytest.approx(percent)
    assert row["evicted_percent"] == pytest.approx(evicted_percent)


def test_lines_that_no_profile_takes_are_a_share_of_all() -> None:
    lines = pl.DataFrame({"split": ["train"] * 90, "group": [str(n) for n in range(90)]})
    measures = measure_split(lines, 0.1, evictions=5, unfit=5)
    assert measures["unfit_percent"].to_list() == [5]


def test_a_large_group_does_not_shift_the_share() -> None:
    sides = ["validation"] * 60 + ["train"] * 19
    groups = ["crowd"] * 60 + [f"g{n}" for n in range(19)]
    prompts = [str(n) for n in range(79)]
    frame = pl.DataFrame({"split": sides, "group": groups, "prompt_digest": prompts})
    assert measure_split(frame, 0.1)["validation_percent"].item() == pytest.approx(5)


@pytest.mark.parametrize(
    ("groups", "validation", "tolerance"),
    [(0, 0.1, 0.0), (100, 0.0, 0.0), (100, 0.1, 0.12), (10_000, 0.1, 0.05), (1, 0.5, 2.0)],
)
def test_the_share_may_be_off_by_chance(groups: int, validation: float, tolerance: float) -> None:
    assert share_tolerance(groups, validation) == pytest.approx(tolerance)


@pytest.mark.parametrize("verdict", [None, "", 0, [], "yes", 1])
def test_whatever_a_plug_in_returns_is_a_verdict(verdict: Any) -> None:
    requirements = replace(WANTED, accepts=lambda _: verdict, conforms=lambda _: verdict)
    (row,) = measure_lines(decode_lines(pl.Series([json.dumps(line())])), requirements).to_dicts()
    assert (row["has_answer"], row["conforms"]) == (bool(verdict), bool(verdict))


# --- What is private

EMAIL, TOKEN = "kim.doe@example.com", "ghp_" + "a1B2" * 9


@pytest.mark.parametrize(
    ("holding", "private", "is_clean"),
    [
        (line(), KINDS, True),
        (chat_line(USER | {"content": f"ANSWER: {EMAIL}"}), KINDS, False),
        (chat_line(USER | {"content": f"ANSWER: {EMAIL}"}), SECRETS, True),
        (chat_line(USER | {"content": f"ANSWER: {EMAIL}"}), (), True),
        (chat_line(USER | {"content": f"ANSWER: {TOKEN}"}), SECRETS, False),
        (chat_line(USER | {"content": f"ANSWER: {TOKEN}"}), PERSONAL, True),
        (line(reference_answer={"answer": EMAIL}), KINDS, False),
        (line(tools=[{"type": "function", "about": EMAIL}]), KINDS, False),
        (line(ticket={EMAIL: 1}), KINDS, False),
        (line(id=EMAIL), KINDS, False),
        (line(ticket="[EMAIL_3f9a1c]"), KINDS, True),
    ],
)
def test_a_line_is_clean_where_it_holds_nothing_of_the_kinds(
    holding: Json, private: tuple[str, ...], is_clean: bool
) -> None:
    requirements = replace(WANTED, private=frozenset(private))
    texts = pl.Series([json.dumps(holding, ensure_ascii=False)])
    assert measure_lines(decode_lines(texts), requirements)["is_clean"].to_list() == [is_clean]


def test_a_masked_line_is_clean() -> None:
    function = {"name": "f", "arguments": json.dumps({"to": EMAIL, "password": "Tr0ub4dor&3"})}
    calling = CALLING | {"tool_calls": [CALL | {"function": function}]}
    chat = [USER | {"content": f"{TOKEN}\n{EMAIL}"}, calling, RESULT, USER]
    whole = line(messages=chat, reference_answer={"answer": EMAIL}, phone="+44 20 7946 0018")
    requirements = replace(WANTED, private=frozenset(KINDS))
    texts = pl.Series([json.dumps(whole, ensure_ascii=False)])
    assert not measure_lines(decode_lines(texts), requirements)["is_clean"].any()
    is_clean = pl.Series([False] * len(texts), dtype=pl.Boolean)
    assert measure_lines(
        decode_lines(mask_lines(texts, is_clean, "salt", KINDS, ()).lines), requirements
    )["is_clean"].all()


# --- Leakage


def asking(*texts: str, system: str | None = None) -> str:
    """A line of JSON in which the user says these texts, one after another."""
    questions = [{"role": "user", "content": text} for text in texts]
    head = [] if system is None else [{"role": "system", "content": system}]
    return json.dumps(line(messages=[*head, *questions]))


def write_lines(*texts: str) -> pl.DataFrame:
    """Lines of which the first is of train and the others of validation, each a group."""
    names = [str(n) for n in range(len(texts))]
    sides = ["train", *["validation"] * (len(texts) - 1)]
    return pl.DataFrame({"json": texts, "split": sides, "group": names, "prompt_digest": names})


def counts(measures: pl.DataFrame) -> tuple[int, ...]:
    """How many lines are flagged, by column."""
    return tuple(measures.sum().row(0))


LONG = "how many apples are left in the basket when nine of twelve were eaten on the way"


@pytest.mark.parametrize(
    ("train", "overlaps"),
    [
        (asking("2 + 2?"), (0, 0, 0, 0)),
        (asking(LONG), (1, 2, 1, 0)),
        (asking(f"{LONG} home"), (0, 0, 1, 0)),
        (asking(LONG, "and then?"), (0, 1, 1, 0)),
        (asking("Name the capital of the canton of Bern in Switzerland!"), (0, 0, 0, 1)),
        (asking("Hi.", "name the capital of the canton of Bern in Switzerland"), (0, 0, 0, 1)),
        (json.dumps(line(messages=[7])), (0, 0, 0, 0)),
    ],
    ids=[
        "nothing", "exact", "near", "prefix", "an evaluation item", "a part of it", "no messages",
    ],
)  # fmt: skip
def test_overlaps_of_written_lines_are_flagged(train: str, overlaps: tuple[int, ...]) -> None:
    lines = write_lines(train, asking(LONG))
    item = pl.Series(["Name the capital of the canton of Bern in Switzerland"])
    measures = measure_leakage(lines, decode_lines(lines["json"]), 0.8, index_evaluation(item))
    assert measures.schema == LEAKAGE_MEASURES
    assert counts(measures) == (*overlaps, 0, 0)
    assert counts(measure_leakage(lines, decode_lines(lines["json"]), 0.8, None)) == (
        *overlaps[:3],
        0,
        0,
        0,
    )


@pytest.mark.parametrize(("column", "kind"), [("group", "group"), ("prompt_digest", "prompt")])
def test_lines_whose_group_or_prompt_is_on_both_sides_are_flagged(column: str, kind: str) -> None:
    texts = [asking(text) for text in ("one", "two", "three", "four", "five")]
    lines = write_lines(*texts).with_columns(pl.Series(column, ["a", "b", "c", "a", "c"]))
    measures = measure_leakage(lines, decode_lines(lines["json"]), 0.8, None)
    assert measures[kind].to_list() == [True, False, False, True, False]
    assert sum(counts(measures)) == 2


def test_lines_of_both_sides_are_looked_for_in_evaluation_sets() -> None:
    index = index_evaluation(pl.Series([LONG]))
    lines = write_lines(asking(LONG), asking(LONG))
    assert measure_leakage(lines, decode_lines(lines["json"]), 0.8, index)[
        "evaluated"
    ].to_list() == [True, True]


def test_a_question_leaks_under_another_system_message_too() -> None:
    lines = write_lines(asking(LONG, system="a"), asking(LONG, system="b"))
    assert counts(measure_leakage(lines, decode_lines(lines["json"]), 0.8, None)) == (
        1,
        2,
        1,
        0,
        0,
        0,
    )


@pytest.mark.parametrize("index", [None, index_evaluation(pl.Series([LONG]))], ids=["no", "one"])
def test_no_lines_leak_nothing(index: EvaluationIndex | None) -> None:
    lines = write_lines("", "").clear()
    measures = measure_leakage(lines, decode_lines(lines["json"]), 0.8, index)
    assert measures.is_empty()
    assert measures.schema == LEAKAGE_MEASURES


def _odd(*turns: Json, **more: object) -> tuple[Json, Json]:
    """Bodies of Anthropic Messages with odd turns before a plain question."""
    question = {"role": "user", "content": "2 + 2? ANSWER:"}
    reply = {"role": "assistant", "content": [{"type": "text", "text": "ANSWER: 4"}]}
    return {"messages": [*turns, question], **more}, reply


_TOOL_USE = {"type": "tool_use", "id": "t", "name": "f", "input": {}}
_NO_RESULT = {"type": "tool_result", "tool_use_id": "t", "content": ""}


@pytest.mark.parametrize(
    "bodies",
    [
        _odd(),
        _odd(system=" "),
        _odd({"role": "assistant", "content": "4"}),
        _odd({"role": "user", "content": ""}, {"role": "assistant", "content": "4"}),
        _odd({"role": "user", "content": "?"}, {"role": "assistant", "content": " "}),
        _odd(
            {"role": "user", "content": "?"},
            {"role": "assistant", "content": [_TOOL_USE]},
            {"role": "user", "content": [_NO_RESULT]},
        ),
        _odd({"role": "system", "content": "be brief"}),
        _odd({"role": "narrator", "content": "meanwhile"}),
    ],
    ids=[
        "plain", "blank system", "assistant first", "blank user turn", "blank assistant turn",
        "blank tool result", "system among the messages", "unknown role",
    ],
)  # fmt: skip
def test_one_odd_record_never_makes_the_gate_reject_a_release(
    record: MakeRecord,
    log_object: Callable[[Sequence[Json]], bytes],
    bodies: tuple[Json, Json],
) -> None:
    """What curation keeps must meet the checks of a line; what can't is dropped with a reason."""
    raw = log_object([record("anthropic_messages", bodies=bodies)])
    read = normalise(landed_table(decode_object(raw, "a.json.gz")))
    exchanges = pl.DataFrame(read.exchanges).with_columns(label=pl.lit(None, pl.String))
    kept = drop_unteachable(exchanges, max_prompt_tokens=1_000, takes_history=True).kept
    answered_rows = kept.with_columns(reference_answer=pl.lit('{"answer":"4"}'))
    for row in measure_lines(decode_lines(render(answered_rows, [])), WANTED).to_dicts():
        assert {name for name, value in row.items() if value is False} == set()
