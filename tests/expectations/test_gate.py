"""The gate: each check fails on exactly the measures that break it, and says nothing else."""

import json
from collections.abc import Callable, Mapping, Sequence

import polars as pl
import pytest

from bedrock_sluice.expectations import resource
from bedrock_sluice.expectations.checks import (
    Check,
    Limit,
    decode_checks,
    encode_checks,
    is_passed,
)
from bedrock_sluice.expectations.gate import MAX_EXAMPLES
from bedrock_sluice.expectations.gate import evaluate as evaluate_suite
from bedrock_sluice.expectations.measures import (
    LEAKAGE_MEASURES,
    LINE_MEASURES,
    READINESS_MEASURES,
    SOURCE_MEASURES,
    measure_readiness,
    measure_sources,
    measure_split,
)
from bedrock_sluice.expectations.suite import Suite
from bedrock_sluice.transforms.errors import IntegrityError
from bedrock_sluice.transforms.facts.release_facts import AnswerFacts, SourceUsage
from bedrock_sluice.transforms.settings import MAX_LINES, MIN_LINES

LIMITS: dict[str, float] = {
    "min_lines": MIN_LINES,
    "max_lines": MAX_LINES,
    "max_prompt_tokens": 50,
    "asked_percent": 10,
    "min_validation_percent": 5,
    "max_validation_percent": 15,
}


def evaluate(
    suite: Suite | str,
    measures: pl.DataFrame,
    parameters: Mapping[str, float],
    ids: pl.Series | None = None,
) -> list[Check]:
    """The checks of a suite, without the ids of all rows that break them."""
    return [result.check for result in evaluate_suite(suite, measures, parameters, ids)]


def good_lines(number: int = MIN_LINES) -> pl.DataFrame:
    """Measures of lines that pass every check."""
    flags = [name for name, kind in LINE_MEASURES.items() if kind == pl.Boolean]
    columns = {"prompt_tokens": pl.lit(50), **dict.fromkeys(flags, pl.lit(value=True))}
    frame = pl.DataFrame({"id_number": range(number)}, schema={"id_number": pl.Int64})
    return frame.with_columns(**columns).select(
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
    "line_count": [lambda: good_lines(MAX_LINES + 1)],
    "schema": [one_with("has_schema", False)],
    "roles": [one_with("has_known_roles", False)],
    "user_last": [one_with("is_user_last", False)],
    "text": [one_with("has_text", False)],
    "tool_calls": [one_with("has_whole_calls", False)],
    "unique_ids": [one_with("id_number", 8)],
    "answers": [one_with("has_answer", False)],
    "prompt_length": [one_with("prompt_tokens", 51), one_with("prompt_tokens", 0)],
    "answer_format": [one_with("asks_for_marker", False)],
    "conformance": [one_with("conforms", False)],
    "privacy": [one_with("is_clean", False)],
}
SPLIT_BREAKS: dict[str, Sequence[dict[str, float]]] = {
    "split_shares": [{"validation_percent": 15.1}, {"validation_percent": 4.9}],
    "train_count": [{"train_lines": MIN_LINES - 1}, {"train_lines": MAX_LINES + 1}],
    "evicted_share": [{"evicted_percent": 10.1}],
    "unfit_lines": [{"unfit_percent": 10.1}],
    "unfit_share": [{"unfit_percent": 1.1}, {"unfit_percent": 10}],
}
GOOD_SPLIT: dict[str, float] = {
    "train_lines": MIN_LINES,
    "validation_percent": 15,
    "evicted_percent": 10,
    "unfit_percent": 1,
}


def failing_checks(checks: Sequence[Check]) -> list[str]:
    """The names of the checks that failed."""
    return [check.name for check in checks if not check.passed]


def test_good_data_pass_every_check() -> None:
    for number in (MIN_LINES, MAX_LINES):
        checks = evaluate("lines", good_lines(number), LIMITS)
        assert [check.name for check in checks] == list(BREAKS)
        assert (failing_checks(checks), is_passed(checks)) == ([], True)
        assert all(check.hint and "{" not in check.hint for check in checks)
    checks = evaluate("split", pl.DataFrame([GOOD_SPLIT]), LIMITS)
    assert [check.name for check in checks] == list(SPLIT_BREAKS)
    assert failing_checks(checks) == []


@pytest.mark.parametrize(
    ("name", "make_lines"), [(name, make) for name, makes in BREAKS.items() for make in makes]
)
def test_a_check_of_the_lines_fails_on_what_breaks_it_alone(
    name: str, make_lines: Callable[[], pl.DataFrame]
) -> None:
    checks = evaluate("lines", make_lines(), LIMITS)
    assert failing_checks(checks) == [name]
    assert is_passed(checks) == (name == "answer_format")


@pytest.mark.parametrize(
    ("name", "changes"), [(name, each) for name, many in SPLIT_BREAKS.items() for each in many]
)
def test_a_check_of_the_split_fails_on_what_breaks_it_alone(
    name: str, changes: dict[str, float]
) -> None:
    checks = evaluate("split", pl.DataFrame([GOOD_SPLIT | changes]), LIMITS)
    also = ["unfit_share"] if name == "unfit_lines" else []
    assert failing_checks(checks) == [name, *also]
    assert is_passed(checks) == (name in {"evicted_share", "unfit_share"})


@pytest.mark.parametrize("column", LINE_MEASURES)
def test_what_was_not_measured_of_a_line_is_not_good(column: str) -> None:
    checks = evaluate(
        "lines", one_with(column, None)(), LIMITS, pl.Series(map(str, range(MIN_LINES)))
    )
    (check,) = (check for check in checks if not check.passed)
    assert check.examples == ["7"]


@pytest.mark.parametrize(
    ("suite", "good"),
    [
        ("split", GOOD_SPLIT),
        ("readiness", dict.fromkeys(READINESS_MEASURES, 0)),
        ("answers", dict.fromkeys(SOURCE_MEASURES, 100)),
    ],
)
def test_what_was_not_measured_of_a_release_is_not_good(suite: str, good: dict[str, float]) -> None:
    checks = evaluate(suite, pl.DataFrame([good]), LIMITS)
    assert failing_checks(checks) == []
    assert all(check.hint and "{" not in check.hint for check in checks)
    for column in good:
        measures = pl.DataFrame([good]).with_columns(pl.lit(None, pl.Float64).alias(column))
        checks = [each for each in evaluate(suite, measures, LIMITS) if not each.passed]
        assert [check.measured for check in checks] == [None] * (1 + (column == "unfit_percent"))


def test_a_check_states_what_was_measured_and_what_is_allowed() -> None:
    measures = pl.DataFrame([GOOD_SPLIT | {"validation_percent": 16.3456, "train_lines": 91}])
    checks = {check.name: check for check in evaluate("split", measures, LIMITS)}
    share, train = checks["split_shares"], checks["train_count"]
    assert (share.measured, share.limit) == (16.3456, Limit(5, 15))
    assert share.measurement == "measured: 16.35% of groups; limit: 5 to 15%"
    assert share.message.startswith("validation has 10% of the groups")
    assert train.measurement == "measured: 91 lines; limit: 100 to 20,000"
    assert "100 to 20,000 lines" in train.message
    assert checks["evicted_share"].measurement == "measured: 10% of prompts; limit: at most 10%"


def test_a_check_names_at_most_ten_of_the_lines_that_break_it() -> None:
    number = 3 * MAX_EXAMPLES
    tokens = [9_999 if n % 2 else 50 for n in range(number)]
    measures = good_lines(number).with_columns(
        prompt_tokens=pl.Series(tokens), has_text=pl.Series([n < 2 for n in range(number)])
    )
    ids = pl.Series([f"request-{n}" for n in range(number)])
    checks = {check.name: check for check in evaluate("lines", measures, LIMITS, ids)}
    assert checks["prompt_length"].measurement == "measured: 9,999 tokens; limit: 1 to 50"
    assert checks["prompt_length"].examples == [f"request-{n}" for n in range(1, 21, 2)]
    assert checks["text"].measurement == "measured: 28 lines; limit: 0"
    assert checks["text"].examples == [f"request-{n}" for n in range(2, 12)]
    assert checks["schema"].examples == []


def test_the_checks_come_back_from_their_file() -> None:
    checks = evaluate("lines", one_with("prompt_tokens", None)(), LIMITS)
    content = encode_checks(checks)
    assert decode_checks(content, "checks.json") == checks
    assert json.loads(content)["schema_version"] == 1
    severity = content.replace(b'"severity": "fail"', b'"severity": "FAIL"')
    for other in (b"[]", b"{}", b"\xff", severity):
        with pytest.raises(IntegrityError, match="build the release again") as error_info:
            decode_checks(other, "a/checks.json")
        assert error_info.value.place == "a/checks.json"


def test_checks_of_a_newer_version_are_refused_with_what_to_do() -> None:
    content = json.dumps({"schema_version": 2, "checks": {}}).encode()
    with pytest.raises(IntegrityError, match="schema_version 2") as error_info:
        decode_checks(content, "a/checks.json")
    error = error_info.value
    assert (error.place, error.value, error.hint) == ("a/checks.json", 2, "upgrade bedrock-sluice")


def test_a_check_that_cannot_be_evaluated_stops_the_gate() -> None:
    with pytest.raises(IntegrityError, match="schema could not be evaluated"):
        evaluate("lines", good_lines().drop("has_schema"), LIMITS)


def test_the_gate_says_nothing_on_the_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    evaluate("lines", one_with("has_schema", False)(), LIMITS)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("kind", LEAKAGE_MEASURES)
def test_a_leak_of_any_kind_fails_the_gate(kind: str) -> None:
    number = 3 * MAX_EXAMPLES
    ids = pl.Series([f"request-{n}" for n in range(number)])
    sound = pl.DataFrame({name: [False] * number for name in LEAKAGE_MEASURES})
    assert failing_checks(evaluate("leakage", sound, {}, ids)) == []
    for value in (True, None):
        flags = pl.Series(kind, [value if n % 2 else False for n in range(number)], pl.Boolean)
        checks = evaluate("leakage", sound.with_columns(flags), {}, ids)
        (check,) = (each for each in checks if not each.passed)
        assert check.severity == "fail"
        assert check.measurement == "measured: 15 lines; limit: 0"
        assert check.examples == [f"request-{n}" for n in range(1, 21, 2)]


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
    checks = evaluate("readiness", measure_readiness([finding]), {})
    assert (failing_checks(checks), is_passed(checks)) == (failing, passes)


@pytest.mark.parametrize(
    ("prompts", "failing", "passes"),
    [
        (0, ["answer_sources", "answer_coverage"], False),
        (9, ["answer_coverage"], True),
        (10, [], True),
    ],
)
def test_a_source_of_answers_that_has_none_fails_and_one_that_has_few_warns(
    prompts: int, failing: list[str], passes: bool
) -> None:
    sources = {"labels": SourceUsage(prompts), "metadata": SourceUsage(100)}
    measures = measure_sources(AnswerFacts(prompts=100, sources=sources))
    checks = evaluate("answers", measures, LIMITS, pl.Series(list(sources)))
    assert (failing_checks(checks), is_passed(checks)) == (failing, passes)
    assert [check.examples for check in checks if not check.passed] == [["labels"]] * len(failing)
    no_prompts = AnswerFacts(prompts=0, sources={"labels": SourceUsage(0)})
    assert failing_checks(evaluate("answers", measure_sources(no_prompts), LIMITS))


@pytest.mark.parametrize("suite", ["lines", "split", "leakage", "readiness", "answers"])
def test_a_suite_judges_every_column_that_is_measured(suite: str) -> None:
    rows = pl.DataFrame({"split": ["train"], "group": ["a"], "prompt_digest": ["b"]})
    split = measure_split(rows, 0.1)
    columns = {
        "lines": LINE_MEASURES,
        "split": split.columns,
        "leakage": LEAKAGE_MEASURES,
        "readiness": READINESS_MEASURES,
        "answers": SOURCE_MEASURES,
    }
    entries = json.loads(resource(f"suites/{suite}.json"))["expectations"]
    judged_columns = [e["kwargs"]["column"] for e in entries if "column" in e["kwargs"]]
    assert set(judged_columns) == set(columns[suite])
    assert len({e["meta"]["name"] for e in entries}) == len(entries)
