"""Health rules: each planted fault is found by its rule, and clean noisy runs raise no alarm."""

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from bedrock_sluice.transforms.training.health import check_health
from bedrock_sluice.transforms.training.metrics import METRICS

Floats = NDArray[np.float64]
Run = dict[str, Floats]

STEPS = 120
EVERY = 10  # steps between evaluations
NAMES = {
    "reward": ("training", "critic/rewards/mean"),
    "validation": ("validation", "val-score/rewards/mean@1"),
    "length": ("training", "response_length/mean"),
    "entropy": ("training", "actor/entropy"),
}


def clean_run(seed: int) -> Run:
    """A run as it should be: it learns fast or slowly, with noise; entropy sinks to a third."""
    random = np.random.default_rng(seed)
    step = np.arange(STEPS)
    start, gain, speed = random.uniform(0.1, 0.4), random.uniform(0.2, 0.5), random.uniform(20, 60)
    curve = start + gain * (1 - np.exp(-step / speed))
    lag = start + 0.85 * gain * (1 - np.exp(-step / (1.3 * speed)))
    return {
        "reward": curve + random.normal(0, 0.04, STEPS),
        "validation": (lag + random.normal(0, 0.02, STEPS))[EVERY - 1 :: EVERY],
        "length": 300 + 0.8 * step + random.normal(0, 25, STEPS),
        "entropy": 0.6 - 0.4 * step / STEPS + random.normal(0, 0.03, STEPS),
    }


def as_metrics(run: Run, steps: int = STEPS) -> pl.DataFrame:
    """The first steps of a run, as a service reports them."""
    rows = list[tuple[str, int, str, float]]()
    for name, (side, metric) in NAMES.items():
        width = EVERY if name == "validation" else 1
        for number, value in enumerate(run[name], start=1):
            if number * width <= steps:
                rows.append((side, number * width, metric, float(value)))
    return pl.DataFrame(rows, schema=METRICS, orient="row")


def rules(run: Run, steps: int = STEPS) -> set[str]:
    return {finding.rule for finding in check_health(as_metrics(run, steps))}


def collapse(run: Run, seed: int) -> None:
    run["reward"][80:] = np.abs(np.random.default_rng(seed).normal(0, 0.01, STEPS - 80))


def lose_signal(run: Run, seed: int) -> None:
    run["reward"][:] = 0.25 + np.random.default_rng(seed).normal(0, 0.005, STEPS)
    run["reward"][-40:] -= 0.002
    run["validation"][:] = 0.25


def drift(run: Run, seed: int) -> None:
    run["length"] *= np.linspace(1, 4, STEPS)


def memorise(run: Run, seed: int) -> None:
    noise = np.random.default_rng(seed).normal(0, 0.02, run["validation"].size)
    run["validation"] = run["validation"][:1].repeat(noise.size) + noise


def lose_entropy(run: Run, seed: int) -> None:
    run["entropy"] *= np.exp(-np.arange(STEPS) / 15)


PLANTS = {
    "collapse": collapse,
    "no_signal": lose_signal,
    "length_drift": drift,
    "validation_flat": memorise,
    "entropy_collapse": lose_entropy,
}


@pytest.mark.parametrize("rule", PLANTS)
def test_a_planted_fault_is_found_by_its_rule(rule: str) -> None:
    plant: Callable[[Run, int], None] = PLANTS[rule]
    for seed in range(10):
        run = clean_run(seed)
        plant(run, seed)
        assert rules(run) == {rule}, seed


def test_fifty_clean_runs_raise_no_alarm_at_any_step() -> None:
    alarms = {
        (seed, steps): alarm
        for seed in range(50)
        for steps in range(5, STEPS + 1, 5)
        if (alarm := rules(clean_run(seed), steps))
    }
    assert alarms == {}


def test_a_reward_that_is_the_same_at_every_step_is_no_signal() -> None:
    run = clean_run(1)
    for value in (0.0, 1.0):
        run["reward"][:] = value
        run["validation"][:] = value
        assert rules(run) == {"no_signal"}


def test_a_run_without_known_metrics_is_not_judged() -> None:
    frame = pl.DataFrame([("training", 1, "loss", 0.5)], schema=METRICS, orient="row")
    assert check_health(frame) == []
    assert check_health(METRICS.to_frame()) == []
