"""Readiness: what scores of logged responses come to, and which verdict comes first."""

import random
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from bedrock_sluice.rewards.readiness import (
    BINS,
    GRADER_RESULTS,
    MAX_KINDS,
    MAX_SLICE_VALUES,
    MAX_SLICES,
    Readiness,
    evaluate_scores,
    zero_variance_prompts,
)

Score = float | None


def frame(scores: list[Score], **columns: Any) -> pl.DataFrame:
    """One response a prompt; lengths that have nothing to do with scores, unless they are given."""
    numbers = range(len(scores))
    lengths = [10 + n * 7_919 % 101 for n in numbers]
    values = {
        "line_id": [f"l{n}" for n in numbers],
        "prompt_digest": [f"p{n:04}" for n in numbers],
        "request_id": [f"r{n}" for n in numbers],
        "score": scores,
        "problem": [None] * len(scores),
        "response_tokens": lengths,
        **columns,
    }
    further = [name for name in values if name not in GRADER_RESULTS]
    return pl.DataFrame(values, schema={**GRADER_RESULTS, **dict.fromkeys(further, pl.String)})


def coin(number: int, seed: int = 1) -> list[Score]:
    toss = random.Random(seed)
    return [float(toss.random() < 0.5) for _ in range(number)]


def evaluate(scores: list[Score], **columns: Any) -> Readiness:
    """Judged after a second run that gave the same."""
    first = frame(scores, **columns)
    return evaluate_scores(first, first)


def names(readiness: Readiness) -> list[str]:
    return [each.name for each in readiness.findings]


@pytest.mark.parametrize(
    ("scores", "verdict"),
    [
        ([], "no_responses"),
        ([1.0] * 200, "rft_unnecessary"),
        ([0.0] * 200, "fine_tune_first"),
        ([-1.0] * 200, "fine_tune_first"),
        ([0.5] * 200, "no_signal"),
        ([5.0] * 200, "no_signal"),  # on another scale than AWS's 0.95
        ([2.0, 2.0000000000000004] * 100, "no_signal"),
        ([0.0, 10.0] * 100, "ready"),
        ([-1.0, 0.0] * 100, "ready"),
        ([-1.0, 1.0] * 100, "ready"),  # its mean is 0, but no grader of zeros
        (coin(200), "ready"),
        ([1.0] * 190 + [0.0] * 10, "ready"),  # a mean of 0.95 is not above it
        ([1.0] * 191 + [0.0] * 9, "rft_unnecessary"),
        ([None] * 200, "fix_grader"),
        ([1.0] * 190 + [None] * 10, "rft_unnecessary"),
        ([1.0] * 189 + [None] * 11, "fix_grader"),
        ([0.0] * 189 + [float("nan")] * 11, "fix_grader"),
        ([0.0] * 189 + [1e300] * 11, "fix_grader"),
    ],
)
def test_scores_have_a_verdict(scores: list[Score], verdict: str) -> None:
    assert evaluate(scores).verdict == verdict


def test_four_graders_get_four_verdicts() -> None:
    lengths = [random.Random(n).randint(10, 500) for n in range(200)]
    always_1, always_0 = evaluate([1.0] * 200), evaluate([0.0] * 200)
    by_coin = evaluate_scores(frame(coin(200)), frame(coin(200, seed=2)))
    by_length = evaluate([n / 500 for n in lengths], response_tokens=lengths)
    verdicts = [each.verdict for each in (always_1, always_0, by_coin, by_length)]
    assert verdicts == ["rft_unnecessary", "fine_tune_first", "non_deterministic", "length_biased"]


def test_a_grader_that_looks_only_whether_a_response_is_long_is_length_biased() -> None:
    lengths = [random.Random(n).randint(10, 500) for n in range(200)]
    assert evaluate([float(n > 150) for n in lengths], response_tokens=lengths).verdict == (
        "length_biased"
    )


def test_findings_stand_in_their_order_of_precedence() -> None:
    lengths = list(range(100))
    first = frame([n / 100 for n in lengths], response_tokens=lengths)
    second = first.with_columns(score=pl.col("score").reverse())
    broken_first = first.with_columns(problem=pl.when(pl.col("score") < 0.1).then(pl.lit("broke")))
    readiness = evaluate_scores(broken_first, second)
    assert names(readiness) == ["fix_grader", "non_deterministic", "length_biased"]
    assert not readiness.is_ready


@pytest.mark.parametrize(
    ("changes", "by", "verdict", "warnings"),
    [
        (0, 0.0, "ready", []),
        (2, 1.0, "ready", ["differing"]),  # as a judge does now and then
        (8, 1.0, "ready", ["differing"]),
        (12, 1.0, "non_deterministic", []),
        (100, 0.001, "ready", ["differing"]),  # many, but too small to hide what tells them apart
        (100, 1e-9, "ready", []),
        (60, 0.9, "non_deterministic", []),
    ],
)
def test_differences_matter_if_they_are_frequent_and_large(
    changes: int, by: float, verdict: str, warnings: list[str]
) -> None:
    first = frame(coin(100))
    is_changed = pl.int_range(pl.len()) < changes
    second = first.with_columns(
        score=pl.when(is_changed).then((pl.col("score") - by).abs()).otherwise("score")
    )
    readiness = evaluate_scores(first, second)
    assert (readiness.verdict, [each.name for each in readiness.warnings]) == (verdict, warnings)


def test_a_rare_difference_hides_no_other_verdict() -> None:
    first = frame([1.0] * 200)
    second = first.with_columns(score=pl.when(pl.int_range(pl.len()) > 3).then(1.0).otherwise(0.0))
    assert evaluate_scores(first, second).verdict == "rft_unnecessary"


def test_a_second_run_over_some_samples_in_any_order_is_compared_by_key() -> None:
    first = frame([0.0, 1.0, None, 0.5])
    second = first.with_columns(score=pl.Series([0.0, 0.0, 1.0, None])).reverse().head(3)
    repeat = evaluate_scores(first, second).measures.repeat
    assert repeat
    assert (repeat.compared, repeat.differing, repeat.failed_once) == (1, 1, 2)
    assert repeat.largest_difference == 1.0


def test_without_a_second_run_nobody_knows_whether_scores_repeat() -> None:
    assert "not_repeated" in [each.name for each in evaluate_scores(frame(coin(100))).warnings]


@pytest.mark.parametrize(
    ("lengths", "strength", "message"),
    [
        (range(100), "strong", "longer responses score higher (r = +1.00)"),
        (range(100, 0, -1), "strong", "shorter responses score higher (r = -1.00)"),
        ([7] * 100, "unknown", "scores or lengths are all the same"),
    ],
)
def test_length_is_told_in_plain_words(lengths: Any, strength: str, message: str) -> None:
    length = evaluate([n / 100 for n in range(100)], response_tokens=list(lengths)).measures.length
    assert (length.strength, length.message) == (strength, message)


def test_few_responses_tell_nothing_of_length() -> None:
    readiness = evaluate([n / 100 for n in range(29)], response_tokens=list(range(29)))
    assert readiness.verdict == "ready"
    assert readiness.measures.length.strength == "unknown"


def test_the_correlation_is_spearmans_with_ties() -> None:
    scores, lengths = coin(60), [n % 13 for n in range(60)]
    length = evaluate(scores, response_tokens=lengths).measures.length
    assert length.correlation == pytest.approx(spearmanr(scores, lengths).statistic)


def test_the_spread_of_scores_is_told() -> None:
    spread = evaluate([n / 100 for n in range(101)]).measures.scores
    assert spread
    assert spread.deciles == pytest.approx([n / 10 for n in range(11)])
    assert (len(spread.histogram), sum(spread.histogram)) == (BINS, 101)
    assert spread.edges == (0, 1)
    assert (spread.share_zero, spread.share_one) == pytest.approx((1 / 101, 1 / 101))


def test_problems_are_counted_by_kind_and_timeouts_apart() -> None:
    messages = ["the grader gave no answer within 1 s"] * 3 + ["the grader raised ValueError"] * 2
    timeout_messages = ["the grader was stopped by Lambda: Task timed out after 3.00 seconds"]
    texts = [*messages, *timeout_messages, *[None] * 4]
    problems = evaluate([None] * 6 + [1.0] * 4, problem=texts).measures.problems
    assert (problems.share, problems.timeout_share) == (0.6, 0.4)
    assert problems.kinds[:2] == ((messages[0], 3), (messages[3], 2))


def test_what_is_told_is_bounded() -> None:
    many = {f"s{n}": [f"v{i}" for i in range(50)] for n in range(MAX_SLICES + 3)}
    measures = evaluate([None] * 50, problem=[f"kind {n}" for n in range(50)], **many).measures
    assert len(measures.problems.kinds) == MAX_KINDS
    assert len(measures.slices) == MAX_SLICES * MAX_SLICE_VALUES


def test_slices_are_told_with_the_most_frequent_first() -> None:
    slices = evaluate([0.0, 1.0, 1.0, None], model_id=["a", "b", "b", None]).measures.slices
    assert [(each.value, each.responses, each.mean) for each in slices] == [
        ("b", 2, 1.0),
        (None, 1, None),
        ("a", 1, 0.0),
    ]


def test_prompts_with_several_responses_tell_of_variance() -> None:
    prompts = ["a", "a", "b", "b", "b", "c", "d", "d"]
    scores: list[Score] = [0.0, 1.0, 0.3, 0.3, 0.3, 1.0, 1.0, None]
    within = evaluate(scores, prompt_digest=prompts).measures.within_prompts
    assert (within.prompts, within.zero_variance_share, within.mean_std) == (2, 0.5, 0.25)


def test_only_prompts_with_enough_equal_scores_can_be_dropped() -> None:
    prompts = ["few"] * 3 + ["flat"] * 4 + ["varied"] * 4 + ["failed"] * 4
    scores: list[Score] = [*[1.0] * 7, 0.0, 1.0, 0.0, 1.0, 1.0, 1.0, 1.0, None]
    results = frame(scores, prompt_digest=prompts)
    assert zero_variance_prompts(results).to_list() == ["flat"]
    assert zero_variance_prompts(results, min_responses=3).to_list() == ["failed", "few", "flat"]


@pytest.mark.parametrize(
    ("scores", "columns", "warning"),
    [
        (coin(99), {}, "few_responses"),
        ([0.0, 10.0] * 50, {}, "scale"),
        ([0.0] * 99 + [1.0], {}, "rare_success"),
        ([*coin(99), None], {}, "problems"),
        (
            [n // 2 % 2 for n in range(100)],
            {"prompt_digest": [f"p{n // 2}" for n in range(100)]},
            "flat_prompts",
        ),
        (
            [n / 100 for n in range(100)],
            {"response_tokens": [50 if n % 3 else n for n in range(100)]},
            "length",
        ),
    ],
)
def test_a_warning_changes_no_verdict(
    scores: list[Score], columns: dict[str, Any], warning: str
) -> None:
    readiness = evaluate(scores, **columns)
    assert readiness.verdict == "ready"
    assert [each.name for each in readiness.warnings] == [warning]


def test_responses_that_are_their_own_reference_are_told() -> None:
    readiness = evaluate_scores(frame([]), circular=7)
    assert readiness.verdict == "no_responses"
    assert "reference answer" in readiness.findings[0].message
    assert "circular" in [each.name for each in readiness.warnings]


@given(st.lists(st.none() | st.floats(), max_size=40), st.integers(0, 2**31))
def test_any_scores_in_any_order_have_the_same_verdict(scores: list[Score], seed: int) -> None:
    first = frame(scores, prompt_digest=[f"p{n % 7}" for n in range(len(scores))])
    shuffled_rows = first.sample(fraction=1.0, shuffle=True, seed=seed)
    a, b = evaluate_scores(first, first), evaluate_scores(shuffled_rows, first)
    assert names(a) == names(b)
    spread = a.measures.scores
    assert sum(spread.histogram) == first["score"].is_between(-1e9, 1e9).sum() if spread else True
