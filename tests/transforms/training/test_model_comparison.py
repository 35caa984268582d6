"""The verdict on planted models: equal, better by 5 points, worse on one slice."""

from collections import Counter

import numpy as np
import polars as pl
import pytest

from bedrock_sluice.transforms.training.model_comparison import (
    ComparisonOptions,
    ModelComparison,
    compare_scores,
)

LINES, RUNS = 1_000, 100
FIELDS = {"domain": ["algebra", "geometry", "logic", "sums"], "length": ["short", "long"]}


def planted_run(seed: int, gain: float = 0.0, loss_in_logic: float = 0.0) -> ModelComparison:
    """Compare two models whose scores share the difficulty of each line."""
    random = np.random.default_rng(seed)
    fields = {name: random.choice(values, LINES) for name, values in FIELDS.items()}
    difficulty = random.normal(0.6, 0.2, LINES)
    base, noise = (difficulty + random.normal(0, 0.15, LINES) for _ in range(2))
    tuned = noise + gain - loss_in_logic * (fields["domain"] == "logic")
    scores = {
        "id": [str(number) for number in range(LINES)],
        "group": [str(number // 2) for number in range(LINES)],
        "base": base.clip(0, 1),
        "tuned": tuned.clip(0, 1),
    }
    flags = [pl.Series(random.random(LINES) < 0.05) for _ in range(4)]
    suites = {"format": (flags[0], flags[1]), "refusals": (flags[2], flags[3])}
    options = ComparisonOptions(seed=seed, resamples=2_000)
    return compare_scores("tuned", pl.DataFrame(scores), pl.DataFrame(fields), suites, options)


@pytest.mark.parametrize(
    ("verdict", "gain", "loss"),
    [("keep", 0.0, 0.0), ("promote", 0.05, 0.0), ("roll back", 0.0, 0.1)],
)
def test_the_verdict_is_right_at_its_confidence_in_a_hundred_runs(
    verdict: str, gain: float, loss: float
) -> None:
    verdicts = Counter[str](planted_run(seed, gain, loss).verdict for seed in range(RUNS))
    assert verdicts[verdict] >= 0.95 * RUNS, verdicts


def test_a_slice_that_is_worse_is_named_although_the_whole_is_better() -> None:
    comparison = planted_run(1, gain=0.1, loss_in_logic=0.2)
    assert comparison.overall.low is not None
    assert comparison.overall.low > 0
    assert (comparison.verdict, comparison.reasons) == (
        "roll back",
        ["slice domain = logic is worse"],
    )
