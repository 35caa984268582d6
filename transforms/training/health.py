"""Rules that tell whether a training run is worth its money: pure functions of its metrics.

Each rule compares means over windows of steps with the noise between neighbouring steps, so that
a run which merely jumps about raises no alarm. A rule without enough steps says nothing.
"""

from collections.abc import Callable
from math import sqrt
from typing import Literal

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from bedrock_sluice.transforms.training.metrics import find_series

WINDOW_STEPS = 5  # whose mean stands for one moment of a run
MIN_STEPS = 20  # before collapse, length and entropy are looked at
MIN_STEPS_OF_SIGNAL = 40  # before a run may be called flat
MIN_VALIDATIONS = 6  # evaluations, before validation may be called flat
MIN_SIGMAS = 4.0  # standard errors between two means that count as different
MIN_SIGMAS_OF_SIGNAL = 2.0  # between first and last third, for a rise
COLLAPSE_SHARE = 0.1  # of the best reward, or of the first entropy: what is below has collapsed
MIN_REWARD = 0.05  # that a run must have reached before it can collapse
MAX_LENGTH_FACTOR = 2.0  # between the first responses and the last
VALIDATION_SHARE = 0.5  # of the rise in training that validation must follow
MIN_RISE = 0.05  # in training, before validation has to follow

HealthRule = Literal["collapse", "no_signal", "length_drift", "validation_flat", "entropy_collapse"]
Floats = NDArray[np.float64]


class HealthFinding(msgspec.Struct, frozen=True, kw_only=True):
    """A rule that a run breaks: what was seen, and what to do."""

    rule: HealthRule
    step: int
    message: str
    hint: str


def check_health(values: pl.DataFrame) -> list[HealthFinding]:
    """Apply all rules to the metrics of a run (`METRICS`), in a fixed order."""
    findings = [finding for rule in RULES if (finding := rule(values))]
    has_collapsed = any(finding.rule == "collapse" for finding in findings)
    # A reward that has collapsed does not rise, either.
    return [each for each in findings if not (has_collapsed and each.rule == "no_signal")]


def find_collapse(values: pl.DataFrame) -> HealthFinding | None:
    """Whether the reward was there, and is now near 0."""
    steps, rewards = _numbers(values, "reward")
    if rewards.size < MIN_STEPS:
        return None
    means = _window_means(rewards)
    best, last = float(means.max()), float(means[-1])
    if best < MIN_REWARD or last > COLLAPSE_SHARE * best:
        return None
    return HealthFinding(
        rule="collapse",
        step=int(steps[-1]),
        message=f"the reward fell from {best:.3g} to {last:.3g}",
        hint="stop the job, lower learningRate, and check whether responses exploit the grader",
    )


def find_no_signal(values: pl.DataFrame) -> HealthFinding | None:
    """Whether the reward of the last third of the steps does not exceed that of the first."""
    steps, rewards = _numbers(values, "reward")
    if rewards.size < MIN_STEPS_OF_SIGNAL:
        return None
    third = rewards.size // 3
    first, last = rewards[:third], rewards[-third:]
    if _difference(first, last) > MIN_SIGMAS_OF_SIGNAL * _error(rewards, third):
        return None
    return HealthFinding(
        rule="no_signal",
        step=int(steps[-1]),
        message=f"after {rewards.size} steps the reward does not rise: "
        f"{first.mean():.3g} at first, {last.mean():.3g} now",
        hint="see whether the grader tells responses apart: `sluice grade RECIPE`",
    )


def find_length_drift(values: pl.DataFrame) -> HealthFinding | None:
    """Whether responses are much longer or shorter than at first."""
    steps, lengths = _numbers(values, "length")
    if lengths.size < MIN_STEPS:
        return None
    first, last = lengths[:WINDOW_STEPS], lengths[-WINDOW_STEPS:]
    low, high = sorted((float(first.mean()), float(last.mean())))
    is_far = high > MAX_LENGTH_FACTOR * max(low, 0.0)
    if not is_far or high - low <= MIN_SIGMAS * _error(lengths, WINDOW_STEPS):
        return None
    return HealthFinding(
        rule="length_drift",
        step=int(steps[-1]),
        message=f"responses had {first.mean():,.0f} tokens at first, and have {last.mean():,.0f}",
        hint="let the grader take the length into account, or lower inferenceMaxTokens",
    )


def find_flat_validation(values: pl.DataFrame) -> HealthFinding | None:
    """Whether the reward rises in training, and validation does not follow."""
    train_steps, rewards = _numbers(values, "reward")
    steps, validations = _numbers(values, "validation_reward")
    if validations.size < MIN_VALIDATIONS or rewards.size < MIN_STEPS:
        return None
    half = validations.size // 2
    border = steps[half]
    early, late = rewards[train_steps < border], rewards[train_steps >= border]
    if min(early.size, late.size) < WINDOW_STEPS:
        return None
    rise = _difference(early, late)
    is_rise = rise > max(MIN_RISE, MIN_SIGMAS * _error(rewards, min(early.size, late.size)))
    follow = _difference(validations[:half], validations[half:])
    most = follow + 2 * _error(validations, half)  # that the noise allows
    if not is_rise or most >= VALIDATION_SHARE * rise:
        return None
    return HealthFinding(
        rule="validation_flat",
        step=int(steps[-1]),
        message=f"the reward rose by {rise:.3g} in training, and by {follow:.3g} in validation",
        hint="stop early, train for fewer epochs, or add lines: the model learns these by heart",
    )


def find_entropy_collapse(values: pl.DataFrame) -> HealthFinding | None:
    """Whether the model no longer tries anything: its entropy is a small part of the first."""
    steps, entropies = _numbers(values, "entropy")
    if entropies.size < MIN_STEPS:
        return None
    first, last = float(entropies[:WINDOW_STEPS].mean()), float(entropies[-WINDOW_STEPS:].mean())
    if first <= 0 or last > COLLAPSE_SHARE * first:
        return None
    return HealthFinding(
        rule="entropy_collapse",
        step=int(steps[-1]),
        message=f"the entropy fell from {first:.3g} to {last:.3g}",
        hint="lower learningRate, or sample more responses (trainingSamplePerPrompt)",
    )


RULES: tuple[Callable[[pl.DataFrame], HealthFinding | None], ...] = (
    find_collapse,
    find_no_signal,
    find_length_drift,
    find_flat_validation,
    find_entropy_collapse,
)


def _numbers(
    values: pl.DataFrame, role: Literal["reward", "validation_reward", "length", "entropy"]
) -> tuple[NDArray[np.int64], Floats]:
    rows = find_series(values, role)
    return rows["step"].to_numpy(), rows["value"].to_numpy()


def _window_means(numbers: Floats) -> Floats:
    return np.convolve(numbers, np.full(WINDOW_STEPS, 1 / WINDOW_STEPS), mode="valid")


def _difference(before: Floats, after: Floats) -> float:
    return float(after.mean() - before.mean())


def _error(numbers: Floats, size: int) -> float:
    """The standard error of the difference of two means of `size` values.

    The noise is taken from neighbouring values, so a trend does not count as noise.
    """
    noise = float(np.sqrt(np.mean(np.diff(numbers) ** 2) / 2))
    return noise * sqrt(2 / size)
