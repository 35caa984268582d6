"""Whether a tuned model is better than its base: paired scores, bootstrap intervals, a verdict.

Both models answer the same lines, so the differences of their scores are resampled, not the scores.
Lines of one group (a conversation, near duplicates) are not independent evidence, so groups are
drawn whole. The allowed share of wrong verdicts is divided among all tests: half of it to the
overall interval, half to the slices and suites, each of which can only speak against a model.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

CONFIDENCE = 0.95
RESAMPLES = 5_000
RESAMPLES_PER_STEP = 250  # bounds memory: so many times the number of groups
MIN_LINES = 40  # of a comparison, or of a slice: with fewer, an interval is a guess
MAX_SLICE_VALUES = 12  # of one field, those with the most lines
MAX_UNGRADED_SHARE = 0.05
SEED = 20_261_128

SCORES = pl.Schema({"id": pl.String, "group": pl.String, "base": pl.Float64, "tuned": pl.Float64})
"""One row per line; a score is null if the answer could not be graded."""

ModelVerdict = Literal["promote", "keep", "roll back"]

RULE = (
    "Promote the tuned model if the whole interval of the mean difference is above 0, and no slice "
    "and no suite is worse. Roll back if the whole interval is below 0, or a slice or a suite is "
    "worse. Otherwise keep the base: a gain is not proven."
)

Floats = NDArray[np.float64]


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """The mean scores of both models over some lines, and the interval of their difference.

    `low` and `high` are None where there are fewer than `MIN_LINES` lines or groups.
    """

    slice: str
    value: str
    lines: int
    base: float
    tuned: float
    difference: float
    low: float | None = None
    high: float | None = None
    confidence: float | None = None

    @property
    def is_worse(self) -> bool:
        """Whether the whole interval is below 0."""
        return self.high is not None and self.high < 0


class SuiteResult(msgspec.Struct, frozen=True, kw_only=True):
    """How many answers fail one suite, and the exact paired test of whether more of them do now.

    `regressions` failed with the tuned model alone, `fixes` with the base alone.
    """

    suite: str
    lines: int
    base_failures: int
    tuned_failures: int
    regressions: int
    fixes: int
    p_value: float
    is_worse: bool


class ModelComparison(msgspec.Struct, frozen=True, kw_only=True):
    """A tuned model beside its base. `confidence` is that of the verdict as a whole."""

    model: str
    verdict: ModelVerdict
    reasons: list[str]
    rule: str
    confidence: float
    lines: int
    ungraded_lines: int
    overall: Difference
    slices: list[Difference]
    suites: list[SuiteResult]


class ComparisonOptions(NamedTuple):
    """The confidence of all verdicts together, how many models are compared, and the seed."""

    confidence: float = CONFIDENCE
    models: int = 1
    seed: int = SEED
    resamples: int = RESAMPLES


def compare_scores(
    model: str,
    scores: pl.DataFrame,
    slices: pl.DataFrame,
    failures: Mapping[str, tuple[pl.Series, pl.Series]],
    options: ComparisonOptions | None = None,
) -> ModelComparison:
    """Compare a model with its base.

    `scores` are `SCORES`; `slices` has a column of strings per field, and `failures` the flags of
    base and tuned model per suite, null where it does not apply; all have a row per line.

    Raises:
        ValueError: fewer than `MIN_LINES` lines are graded for both models.
    """
    settings = options or ComparisonOptions()
    is_graded = scores["base"].is_not_null() & scores["tuned"].is_not_null()
    gradable, fields = scores.filter(is_graded), slices.filter(is_graded)
    if gradable.height < MIN_LINES:
        raise ValueError(f"{gradable.height} lines are graded for both models; need {MIN_LINES}")
    masks = _slice_masks(fields)
    alpha = (1 - settings.confidence) / settings.models
    guards = max(len(masks) + len(failures), 1)
    # A guard looks at one end of its interval, hence twice its share of alpha / 2.
    levels = [1 - alpha / 2, *[1 - alpha / guards] * len(masks)]
    names = [("all lines", ""), *masks]
    every = np.ones(gradable.height, dtype=np.bool_)
    overall, *rows = _differences(gradable, names, [every, *masks.values()], levels, settings)
    suites = [
        _suite(name, base, tuned, alpha / 2 / guards) for name, (base, tuned) in failures.items()
    ]
    missing_lines = scores.height - gradable.height
    verdict, reasons = _verdict(overall, rows, suites, missing_lines / scores.height)
    return ModelComparison(
        model=model,
        verdict=verdict,
        reasons=reasons,
        rule=RULE,
        confidence=settings.confidence,
        lines=gradable.height,
        ungraded_lines=missing_lines,
        overall=overall,
        slices=rows,
        suites=suites,
    )


def _slice_masks(fields: pl.DataFrame) -> dict[tuple[str, str], NDArray[np.bool_]]:
    """The lines of each frequent value; a field with one value says nothing new."""
    masks = dict[tuple[str, str], NDArray[np.bool_]]()
    for column in fields.iter_columns():
        counts = (
            column.drop_nulls().value_counts().sort("count", column.name, descending=[True, False])
        )
        values = counts[column.name].head(MAX_SLICE_VALUES).to_list()
        if len(values) > 1 or column.null_count():
            for value in values:
                masks[column.name, value] = (column == value).fill_null(value=False).to_numpy()
    return masks


def _differences(
    gradable: pl.DataFrame,
    names: Sequence[tuple[str, str]],
    masks: Sequence[NDArray[np.bool_]],
    levels: Sequence[float],
    settings: ComparisonOptions,
) -> list[Difference]:
    """One difference per mask; all come from the same resamples of groups."""
    base, tuned = gradable["base"].to_numpy(), gradable["tuned"].to_numpy()
    groups = gradable["group"].rank("dense").to_numpy().astype(np.int64) - 1
    number = int(groups.max()) + 1
    columns = [np.bincount(groups, (tuned - base) * mask, number) for mask in masks]
    columns += [np.bincount(groups, mask, number) for mask in masks]
    sums = _resample(np.stack(columns, axis=1), settings)
    totals, lines = sums[:, : len(masks)], sums[:, len(masks) :]
    rows = list[Difference]()
    for place, ((field, value), mask, level) in enumerate(zip(names, masks, levels, strict=True)):
        low, high = None, None
        if np.unique(groups[mask]).size >= MIN_LINES:
            means = totals[:, place] / np.maximum(lines[:, place], 1)
            tail = (1 - level) / 2
            low, high = (float(each) for each in np.quantile(means, (tail, 1 - tail)))
        means_of_both = float(base[mask].mean()), float(tuned[mask].mean())
        rows.append(
            Difference(
                slice=field,
                value=value,
                lines=int(mask.sum()),
                base=means_of_both[0],
                tuned=means_of_both[1],
                difference=means_of_both[1] - means_of_both[0],
                low=low,
                high=high,
                confidence=None if low is None else level,
            )
        )
    return rows


def _resample(values: Floats, settings: ComparisonOptions) -> Floats:
    """Column sums of rows drawn with replacement: (rows, columns) to (resamples, columns)."""
    random, rows = np.random.default_rng(settings.seed), values.shape[0]
    sums = list[Floats]()
    for start in range(0, settings.resamples, RESAMPLES_PER_STEP):
        step = min(RESAMPLES_PER_STEP, settings.resamples - start)
        draws = random.integers(rows, size=(step, rows))
        places = (draws + rows * np.arange(step)[:, None]).ravel()
        weights = np.bincount(places, minlength=step * rows).reshape(step, rows)
        sums.append(weights.astype(np.float64) @ values)
    return np.concatenate(sums)


def _suite(name: str, base: pl.Series, tuned: pl.Series, level: float) -> SuiteResult:
    """Compare the flags of two models by the exact test of McNemar, one-sided."""
    from scipy.stats import binom  # noqa: PLC0415 - takes a second to import

    applies = base.is_not_null() & tuned.is_not_null()
    before, after = base.filter(applies), tuned.filter(applies)
    regressions, fixes = int((after & ~before).sum()), int((before & ~after).sum())
    p_value = float(binom.sf(regressions - 1, regressions + fixes, 0.5))
    return SuiteResult(
        suite=name,
        lines=int(applies.sum()),
        base_failures=int(before.sum()),
        tuned_failures=int(after.sum()),
        regressions=regressions,
        fixes=fixes,
        p_value=p_value,
        is_worse=p_value < level,
    )


def _verdict(
    overall: Difference,
    slices: Sequence[Difference],
    suites: Sequence[SuiteResult],
    ungraded_share: float,
) -> tuple[ModelVerdict, list[str]]:
    """Apply `RULE`; the reasons are sentences."""
    against = [f"slice {each.slice} = {each.value} is worse" for each in slices if each.is_worse]
    against += [f"more answers fail the suite {each.suite}" for each in suites if each.is_worse]
    if overall.is_worse:
        against.insert(0, "the mean score is lower")
    if against:
        return "roll back", against
    if ungraded_share > MAX_UNGRADED_SHARE:
        return "keep", [f"{ungraded_share:.1%} of the lines could not be graded"]
    if overall.low is not None and overall.low > 0:
        return "promote", ["the mean score is higher, and no slice and no suite is worse"]
    return "keep", ["the interval of the mean difference includes 0: a gain is not proven"]
