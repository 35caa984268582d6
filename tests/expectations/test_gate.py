"""The gate: each check fails on exactly the measures that break it, and says nothing else."""

import json
from collections.abc import Callable, Sequence

import polars as pl
import pytest

from bedrock_sluice.expectations import resource
from bedrock_sluice.expectations.gate import Check, is_passed, judge
from bedrock_sluice.expectations.measures import (
    LEAKAGE_MEASURES,
    LINE_MEASURES,
    READINESS_MEASURES,
    measure_readiness,
    measure_split,
)
from bedrock_sluice.transforms.budget import MAX_LINES, MIN_LINES
from bedrock_sluice.transforms.errors import IntegrityError

LIMITS: dict[str, float] = {
    "min_lines": MIN_LINES,
    "max_lines": MAX_LINES,
    "max_prompt_tokens": 50,
    "share_tolerance": 0.05,
    "max_evicted_share": 0.1,
}


def good_lines(number: int = MIN_LINES) -> pl.DataFrame:
    """Measures of lines that pass every check."""
    flags = [name for name, kind in LINE_MEASURES.items() if kind == pl.Boolean]
    columns = {"prompt_tokens": pl.lit(50), **dict.fromkeys(flags, pl.lit(value=True))}
    numbered = pl.DataFrame({"id_number": range(number)}, schema={"id_number": pl.Int64})
    return numbered.with_columns(**columns).select(
        pl.col(name).cast(kind) for name, kind in LINE_MEASURES.items()
    )


def one_with(column: str, value: object) -> Callable[[], pl.DataFrame]:
    """Good measures, but for one row."""

    def make() -> pl.DataFrame:
        lines = good_lines()
        is_one = pl.int_range(pl.len()) == 7
        return lines.with_columns(
            pl.when(is_one).then(pl.lit(value)).otherwise(column).alias(column)
        )

    return make


BREAKS: dict[str, Sequence[Callable[[], pl.DataFrame]]] = {
    "line_count": [
        lambda: good_lines(MIN_LINES - 1),
        lambda: good_lines(MAX_LINES + 1),
        lambda: good_lines(0),
    ],
    "schema": [one_with("has_schema", False)],
    "roles": [one_with("has_known_roles", False)],
    "user_last": [one_with("is_user_last", False)],
    "text": [one_with("has_text", False)],
    "unique_ids": [one_with("id_number", 8)],
    "answers": [one_with("has_answer", False)],
    "prompt_length": [one_with("prompt_tokens", 51), one_with("prompt_tokens", 0)],
    "answer_format": [one_with("asks_for_marker", False)],
    "conformance": [one_with("conforms", False)],
    "privacy": [one_with("is_clean", False)],
}
SPLIT_BREAKS: dict[str, dict[str, float]] = {
    "split_shares": {"share_off_by": 0.051},
    "groups_apart": {"groups_on_both_sides": 1},
    "prompts_apart": {"prompts_on_both_sides": 1},
    "train_count": {"train_lines": MIN_LINES - 1},
    "evicted_share": {"evicted_share": 0.11},
}
GOOD_SPLIT: dict[str, float] = {
    "train_lines": MIN_LINES,
    "share_off_by": 0.05,
    "evicted_share": 0.1,
    "groups_on_both_sides": 0,
    "prompts_on_both_sides": 0,
}


def failed(checks: Sequence[Check]) -> list[str]:
    """The names of the checks that failed."""
    return [check.name for check in checks if not check.passed]


def test_good_data_pass_every_check() -> None:
    for number in (MIN_LINES, MAX_LINES):
        checks = judge("lines", good_lines(number), LIMITS)
        assert [check.name for check in checks] == list(BREAKS)
        assert (failed(checks), is_passed(checks)) == ([], True)
    checks = judge("split", pl.DataFrame([GOOD_SPLIT]), LIMITS)
    assert [check.name for check in checks] == list(SPLIT_BREAKS)
    assert failed(checks) == []


@pytest.mark.parametrize(
    ("name", "broken"), [(name, make) for name, makes in BREAKS.items() for make in makes]
)
def test_a_check_of_the_lines_fails_on_what_breaks_it_alone(
    name: str, broken: Callable[[], pl.DataFrame]
) -> None:
    checks = judge("lines", broken(), LIMITS)
    assert failed(checks) == [name]
    assert is_passed(checks) == (name == "answer_format")


@pytest.mark.parametrize("name", SPLIT_BREAKS)
def test_a_check_of_the_split_fails_on_what_breaks_it_alone(name: str) -> None:
    checks = judge("split", pl.DataFrame([GOOD_SPLIT | SPLIT_BREAKS[name]]), LIMITS)
    assert failed(checks) == [name]
    assert is_passed(checks) == (name in {"train_count", "evicted_share"})


def test_a_check_that_cannot_be_evaluated_stops_the_gate() -> None:
    with pytest.raises(IntegrityError, match="schema could not be evaluated"):
        judge("lines", good_lines().drop("has_schema"), LIMITS)


def test_the_gate_says_nothing_on_the_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    judge("lines", one_with("has_schema", False)(), LIMITS)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("kind", LEAKAGE_MEASURES)
def test_a_leak_of_any_kind_fails_the_gate(kind: str) -> None:
    sound = pl.DataFrame([dict.fromkeys(LEAKAGE_MEASURES, 0)], schema=LEAKAGE_MEASURES)
    assert is_passed(judge("leakage", sound, {}))
    checks = judge("leakage", sound.with_columns(pl.lit(1).alias(kind)), {})
    assert (len(failed(checks)), is_passed(checks)) == (1, False)


@pytest.mark.parametrize(
    ("finding", "failing", "passes"),
    [
        ("ready", [], True),
        ("fix_grader", ["grader_works"], False),
        ("non_deterministic", ["grader_works"], False),
        ("fine_tune_first", ["reward_signal"], False),
        ("rft_unnecessary", ["reward_signal"], False),
        ("no_signal", ["reward_signal"], False),
        ("length_biased", ["reward_length"], True),
        ("no_responses", ["reward_tried"], True),
    ],
)
def test_the_gate_heeds_what_the_grader_gave(
    finding: str, failing: list[str], passes: bool
) -> None:
    checks = judge("readiness", measure_readiness([finding]), {})
    assert (failed(checks), is_passed(checks)) == (failing, passes)


@pytest.mark.parametrize("suite", ["lines", "split", "leakage", "readiness"])
def test_suites_name_only_columns_that_are_measured(suite: str) -> None:
    rows = pl.DataFrame({"split": ["train"], "group": ["a"], "prompt_digest": ["b"]})
    split = measure_split(rows, 0.1)
    columns = {
        "lines": LINE_MEASURES,
        "split": split.columns,
        "leakage": LEAKAGE_MEASURES,
        "readiness": READINESS_MEASURES,
    }
    measured = set(columns[suite])
    told = json.loads(resource(f"{suite}.json"))["expectations"]
    assert {e["kwargs"]["column"] for e in told if "column" in e["kwargs"]} <= measured
    assert len({e["meta"]["name"] for e in told}) == len(told)
