"""The estimate of a job: quantities by hand, ranges that are ranges, and a budget that holds."""

from dataclasses import fields
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock_sluice.rewards.estimate import (
    METHOD,
    Estimate,
    Judge,
    Range,
    Rollouts,
    estimate,
    facts,
    over_budget,
    read_rollouts,
    summary_lines,
)
from bedrock_sluice.rewards.prices import Prices
from bedrock_sluice.transforms.errors import ConfigError

PROMPTS = pl.Series([100, 300])  # 2 lines, 400 tokens
HELD_OUT = pl.Series([50])
ROLLOUTS = Rollouts(
    epochs=3, samples_per_prompt=4, max_response_tokens=1_000, batch_size=16, eval_interval=2
)
JUDGE = Judge(instruction_tokens=20, max_answer_tokens=5)


def make_estimate(**options: Any) -> Estimate:
    return estimate(PROMPTS, ROLLOUTS, **options)


def test_quantities_are_those_one_counts_by_hand() -> None:
    of = make_estimate(mean_response_tokens=100.0, judge=JUDGE).quantities
    assert of.rollouts == (24, 24)  # 2 lines x 3 epochs x 4 samples
    assert of.input_tokens == (4_800, 4_800)
    assert of.generated_tokens == (2_400, 24_000)
    assert of.grader_calls == (1, 24)
    assert of.judge_input_tokens == (4_800 + 2_400 + 480, 4_800 + 24_000 + 480)
    assert of.judge_output_tokens == (120, 120)


def test_validation_is_in_the_high_end_alone() -> None:
    # 8 rollouts an epoch are a batch each; after 3 batches, one evaluation and one at the end
    of = make_estimate(validation_prompt_tokens=HELD_OUT).quantities
    assert of.rollouts == (24, 26)
    assert of.input_tokens == (4_800, 4_900)


@pytest.mark.parametrize(("mean", "low"), [(None, 24_000), (5_000.0, 24_000), (0.5, 12)])
def test_the_low_end_follows_the_logged_responses_as_far_as_they_may_go(
    mean: float | None, low: int
) -> None:
    assert make_estimate(mean_response_tokens=mean).quantities.generated_tokens == (low, 24_000)


def test_nothing_takes_nothing() -> None:
    nothing = estimate(pl.Series(dtype=pl.Int64), ROLLOUTS, judge=JUDGE)
    assert {getattr(nothing.quantities, f.name) for f in fields(nothing.quantities)} == {(0, 0)}


@pytest.mark.parametrize(
    ("prices", "low", "high"),
    [
        ({"per_1k_input_tokens": 0.5}, 2.4, 2.4),
        ({"per_1k_output_tokens": 2.0}, 4.8, 48.0),
        ({"per_1k_grader_calls": 10.0}, 0.01, 0.24),
        ({"per_1k_judge_input_tokens": 1.0}, 7.68, 29.28),
        ({"per_1k_judge_output_tokens": 1.0}, 0.12, 0.12),
        ({"per_hour": 60.0, "generated_tokens_per_hour": 1_200.0}, 120.0, 1_200.0),
        ({"per_1k_input_tokens": 0.5, "per_1k_output_tokens": 2.0}, 7.2, 50.4),
    ],
)
def test_each_price_is_for_what_its_name_says(
    prices: dict[str, float], low: float, high: float
) -> None:
    cost = make_estimate(mean_response_tokens=100.0, judge=JUDGE, prices=Prices(**prices)).cost  # type: ignore[arg-type]
    assert cost
    assert (cost.low, cost.high) == pytest.approx((low, high))


@pytest.mark.parametrize(
    ("prices", "message"),
    [
        ({}, "no price"),
        ({"generated_tokens_per_hour": 5.0}, "no price"),
        ({"per_hour": 1.0}, "needs generated_tokens_per_hour"),
        ({"per_1k_input_tokens": -1.0}, "per_1k_input_tokens"),
        ({"per_1k_output_tokens": float("nan")}, "per_1k_output_tokens"),
        ({"per_hour": float("inf")}, "per_hour"),
    ],
)
def test_prices_that_would_guard_nothing_are_refused(
    prices: dict[str, float], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        Prices(**prices)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("budget", "is_over"), [(48.0, False), (47.99, True), (4.8, True), (float("nan"), True)]
)
def test_the_high_end_decides_over_the_budget(budget: float, is_over: bool) -> None:
    cost = make_estimate(mean_response_tokens=100.0, prices=Prices(per_1k_output_tokens=2.0))
    assert over_budget(cost, budget) is is_over


def test_a_budget_without_prices_is_refused() -> None:
    with pytest.raises(ConfigError, match="needs prices"):
        over_budget(make_estimate(), 100.0)


def test_hyperparameters_are_read_as_the_recipe_writes_them_and_gaps_are_told() -> None:
    rollouts = read_rollouts({"epochCount": 2, "inferenceMaxTokens": "500", "learningRate": 1e-5})
    assert (rollouts.epochs, rollouts.max_response_tokens) == (2, 500)
    assert rollouts.defaults_used == ("trainingSamplePerPrompt", "batchSize", "evalInterval")
    assumptions = " ".join(estimate(PROMPTS, rollouts).assumptions)
    assert all(name in assumptions for name in rollouts.defaults_used)
    assert "epochCount" not in assumptions


@pytest.mark.parametrize("value", [0, -1, 1.5, True, "", "many", "1e3", "9" * 5_000])
def test_a_hyperparameter_that_counts_nothing_is_refused(value: object) -> None:
    with pytest.raises(ConfigError, match="epochCount"):
        read_rollouts({"epochCount": value})


def test_people_are_told_quantities_and_assumptions_with_or_without_a_price() -> None:
    bare = summary_lines(make_estimate(mean_response_tokens=100.0))
    assert "rollouts: 24" in bare
    assert "tokens generated: 2,400 to 24,000" in bare
    assert any(METHOD in line for line in bare)
    assert bare[-1].startswith("cost: not told")
    assert not any("judge" in line for line in bare)
    lines_with_price = summary_lines(
        make_estimate(mean_response_tokens=100.0, prices=Prices(per_1k_output_tokens=2.0))
    )
    assert lines_with_price[-1] == "cost: 4.80 to 48.00 USD"


def test_machines_are_told_both_ends_by_name() -> None:
    values = facts(
        make_estimate(mean_response_tokens=100.0, prices=Prices(per_1k_output_tokens=2.0))
    )
    assert values["generated_tokens"] == {"low": 2_400, "high": 24_000}
    assert values["cost"] == {"low": 4.8, "high": 48.0, "currency": "USD"}
    assert facts(make_estimate())["cost"] is None


@given(
    lines=st.lists(st.integers(0, 10_000), max_size=20),
    held_out=st.lists(st.integers(0, 10_000), max_size=20),
    rollouts=st.builds(Rollouts, *[st.integers(1, 600)] * 5),
    mean=st.none() | st.floats(0, 1e6),
)
def test_the_low_end_is_never_above_the_high_end(
    lines: list[int], held_out: list[int], rollouts: Rollouts, mean: float | None
) -> None:
    of = estimate(
        pl.Series(lines, dtype=pl.Int64),
        rollouts,
        validation_prompt_tokens=pl.Series(held_out, dtype=pl.Int64),
        mean_response_tokens=mean,
        judge=JUDGE,
    ).quantities
    ranges: list[Range] = [getattr(of, f.name) for f in fields(of)]
    assert all(0 <= each.low <= each.high for each in ranges)
