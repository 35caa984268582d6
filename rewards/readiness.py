"""Whether a grader can teach with these lines, judged by its scores of logged responses.

Nothing is generated: production has answered the prompts already, some of them often. Another model
may have written the answers, so the scores hint at where training starts; they do not measure it.
The first of these findings is the verdict; warnings do not change it:

1. `no_responses`     nothing was graded
2. `fix_grader`       too many samples failed, so the other scores are a biased choice
3. `non_deterministic` the same samples had other scores the second time: the mean is noise as well
4. `fine_tune_first`  every score is the same and none is above 0: there is nothing to reinforce
5. `rft_unnecessary`  the mean is above 0.95: there is little to gain (4 and 5 are AWS's own rules)
6. `no_signal`        every score is the same
7. `length_biased`    scores follow the length of the response
8. `ready`            none of these
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import starmap

import numpy as np
import polars as pl

from bedrock_sluice.transforms.facts.readiness_facts import (
    Finding,
    Length,
    Problems,
    Repeat,
    Scores,
    SliceScores,
    WithinPrompts,
)

MAX_ERROR_SHARE = 0.05
MAX_MEAN = 0.95  # AWS: above it, RFT gains little
MAX_DIFFERING_SHARE = 0.05  # of samples that are graded twice
MAX_NOISE_SHARE = 0.2  # of the variance of scores, where the rest tells samples apart
MIN_LENGTH_RESPONSES = 30  # for a correlation to mean anything
LENGTH_BIAS = 0.6  # of Spearman's coefficient, either sign; with two scores it seldom passes 0.85
LENGTH_HINT = 0.3  # the same, for a warning
MIN_RESPONSES = 100  # what AWS asks of a dataset; with fewer, figures are rough
MIN_SUCCESS_SHARE = 0.05  # of scores above 0
MAX_FLAT_SHARE = 0.8  # of prompts whose responses all score the same
MIN_FLAT_PROMPTS = 10
MIN_RESPONSES_TO_DROP = 4  # of a coin, 2 throws are the same every other time; 4 every eighth

MAX_SCORE = 1e9  # of either sign
SAME_SCORE = 1e-6  # scores this close are the same
BINS = 20
MAX_KINDS = 10  # of problems
MAX_SLICES = 8
MAX_SLICE_VALUES = 10  # of each slice

GRADER_RESULTS = pl.Schema(
    {
        "line_id": pl.String,
        "prompt_digest": pl.String,
        "request_id": pl.String,
        "score": pl.Float64,
        "problem": pl.String,
        "response_tokens": pl.Int64,
    }
)
"""One row per graded response; further columns are slices, of any type that has a text."""

_KEYS = ["line_id", "request_id"]
_TIMEOUT = r"gave no answer within|Task timed out"


@dataclass(frozen=True, slots=True)
class Measures:
    """What was measured. `circular` responses were left out: the reference is made of them."""

    responses: int
    prompts: int
    circular: int
    mean_response_tokens: float | None
    scores: Scores | None
    problems: Problems
    length: Length
    within_prompts: WithinPrompts
    repeat: Repeat | None
    slices: tuple[SliceScores, ...]


@dataclass(frozen=True, slots=True)
class Readiness:
    """The measures, and what they come to; there is always a finding."""

    measures: Measures
    findings: tuple[Finding, ...]
    warnings: tuple[Finding, ...]

    @property
    def verdict(self) -> str:
        """The name of the first finding."""
        return self.findings[0].name

    @property
    def is_ready(self) -> bool:
        """Whether nothing speaks against training."""
        return self.verdict == "ready"


def evaluate_scores(
    results: pl.DataFrame, again: pl.DataFrame | None = None, *, circular: int = 0
) -> Readiness:
    """Judge a grader by `scored`, with the columns `GRADER_RESULTS` and those of slices.

    `again` has `line_id`, `request_id` and `score` of a second run over the same samples or some
    of them. `circular` is how many responses were not graded because their line's reference answer
    is made of them.
    """
    rows = _with_problems(results)
    good = rows.filter(pl.col("score").is_not_null())
    measures = Measures(
        responses=rows.height,
        prompts=rows["prompt_digest"].n_unique(),
        circular=circular,
        mean_response_tokens=_number(rows["response_tokens"].mean()),
        scores=_scores(good["score"]) if good.height else None,
        problems=_problems(rows["problem"]),
        length=_length(good),
        within_prompts=_within_prompts(good),
        repeat=None if again is None else _repeat(rows, again),
        slices=_slices(rows),
    )
    findings = [*_findings(measures)] or [
        ("ready", "scores differ; nothing speaks against training")
    ]
    warnings = tuple(starmap(Finding, _warnings(measures)))
    return Readiness(measures, tuple(starmap(Finding, findings)), warnings)


def zero_variance_prompts(
    results: pl.DataFrame, min_responses: int = MIN_RESPONSES_TO_DROP
) -> pl.Series:
    """Digests, sorted, of prompts whose `min_responses` or more responses all score the same.

    Training learns from differences between responses to one prompt, and would find none here.
    """
    by_prompt = _by_prompt(_with_problems(results).filter(pl.col("score").is_not_null()))
    return by_prompt.filter("is_flat", pl.col("responses") >= min_responses)["prompt_digest"].sort()


# --- measuring


def _with_problems(results: pl.DataFrame) -> pl.DataFrame:
    """Of each row, a usable score; without one, there is a problem."""
    rows = results.with_columns(pl.col(name).cast(kind) for name, kind in GRADER_RESULTS.items())
    score = _usable(pl.col("score"))
    lacks = pl.when(score.is_null()).then(pl.lit(f"no score within ±{MAX_SCORE:g}"))
    return rows.with_columns(score=score, problem=pl.coalesce("problem", lacks))


def _usable(score: pl.Expr) -> pl.Expr:
    number = score.cast(pl.Float64)
    return pl.when(number.is_between(-MAX_SCORE, MAX_SCORE)).then(number)


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _scores(scores: pl.Series) -> Scores:
    values = scores.sort().to_numpy()  # in one order, since the sum of floats depends on it
    counts, edges = np.histogram(values, BINS, (min(values[0], 0.0), max(values[-1], 1.0)))
    return Scores(
        mean=float(values.mean()),
        std=float(values.std()),
        deciles=tuple(np.quantile(values, np.linspace(0, 1, 11)).tolist()),
        histogram=tuple(counts.tolist()),
        edges=(float(edges[0]), float(edges[-1])),
        share_zero=float((np.abs(values) <= SAME_SCORE).mean()),
        share_one=float((np.abs(values - 1) <= SAME_SCORE).mean()),
        share_above_zero=float((values > SAME_SCORE).mean()),
    )


def _problems(problems: pl.Series) -> Problems:
    problem_counts = problems.drop_nulls().alias("problem").value_counts(name="count")
    kinds = problem_counts.sort("count", "problem", descending=[True, False]).head(MAX_KINDS)
    is_timeout = problems.str.contains(_TIMEOUT).fill_null(value=False)
    return Problems(
        share=_number(problems.is_not_null().mean()) or 0.0,
        timeout_share=_number(is_timeout.mean()) or 0.0,
        kinds=tuple((text, number) for text, number in kinds.iter_rows()),
    )


def _length(good: pl.DataFrame) -> Length:
    number = good.height
    if good["response_tokens"].n_unique() < 2 or good["score"].n_unique() < 2:
        return Length(number, None, "unknown", "scores or lengths are all the same")
    r = float(good.select(pl.corr("score", "response_tokens", method="spearman")).item())
    if number < MIN_LENGTH_RESPONSES:
        few = f"fewer than {MIN_LENGTH_RESPONSES} responses are too few to tell"
        return Length(number, r, "unknown", few)
    which = "longer" if r > 0 else "shorter"
    if abs(r) >= LENGTH_BIAS:
        return Length(number, r, "strong", f"{which} responses score higher (r = {r:+.2f})")
    if abs(r) >= LENGTH_HINT:
        return Length(number, r, "some", f"{which} responses tend to score higher (r = {r:+.2f})")
    return Length(number, r, "none", f"scores hardly depend on length (r = {r:+.2f})")


def _by_prompt(good: pl.DataFrame) -> pl.DataFrame:
    score = pl.col("score")
    return good.group_by("prompt_digest").agg(
        responses=pl.len(), is_flat=score.max() - score.min() <= SAME_SCORE, std=score.std(ddof=0)
    )


def _within_prompts(good: pl.DataFrame) -> WithinPrompts:
    several_responses = _by_prompt(good).filter(pl.col("responses") >= 2).sort("prompt_digest")
    return WithinPrompts(
        prompts=several_responses.height,
        zero_variance_share=_number(several_responses["is_flat"].mean()),
        mean_std=_number(several_responses["std"].mean()),
    )


def _repeat(rows: pl.DataFrame, again: pl.DataFrame) -> Repeat:
    second = again.select(*_KEYS, second=_usable(pl.col("score")))
    both = rows.select(*_KEYS, "score").join(second, on=_KEYS, validate="1:1").sort(_KEYS)
    pairs = both.drop_nulls().select("score", "second").to_numpy()
    gaps = np.abs(pairs[:, 0] - pairs[:, 1])
    # Two runs with noise of their own differ by twice its variance, hence the half.
    noise, total = (float((gaps**2).mean()) / 2, float(pairs.var())) if gaps.size else (0.0, 0.0)
    return Repeat(
        compared=gaps.size,
        differing=int((gaps > SAME_SCORE).sum()),
        largest_difference=float(gaps.max(initial=0.0)),
        failed_once=int((both["score"].is_null() != both["second"].is_null()).sum()),
        noise_share=min(1.0, noise / total) if total else 0.0,
    )


def _slices(rows: pl.DataFrame) -> tuple[SliceScores, ...]:
    score, slices = pl.col("score"), list[SliceScores]()
    for name in [name for name in rows.columns if name not in GRADER_RESULTS][:MAX_SLICES]:
        values = rows.group_by(pl.col(name).cast(pl.String).alias("value")).agg(
            responses=pl.len(),
            scored=score.count(),
            mean=score.mean(),
            share_zero=(score.abs() <= SAME_SCORE).mean(),
            share_one=((score - 1).abs() <= SAME_SCORE).mean(),
        )
        # By the value too: groups come in no order, and equal counts have to stay in one.
        frequent = values.sort("responses", "value", descending=[True, False])
        rows_of_slice = frequent.head(MAX_SLICE_VALUES).iter_rows(named=True)
        slices += [SliceScores(slice=name, **row) for row in rows_of_slice]
    return tuple(slices)


# --- judging


def _findings(of: Measures) -> Iterator[tuple[str, str]]:
    """All that speaks against training, the most basic first."""
    if not of.responses:
        why = "; each is the reference answer of its own line" if of.circular else ""
        yield "no_responses", f"there is no logged response to grade{why}"
    if of.problems.share > MAX_ERROR_SHARE:
        yield "fix_grader", f"{of.problems.share:.1%} of samples had a problem; fix the grader"
    if of.repeat and _is_noise(of.repeat):
        difference = (
            f"{of.repeat.differing:,} of {of.repeat.compared:,} scores differed when repeated"
        )
        yield "non_deterministic", f"the grader is not deterministic: {difference}"
    if of.scores:
        top = of.scores.deciles[-1]
        if _is_flat(of.scores) and top <= SAME_SCORE:
            yield "fine_tune_first", f"every score is {top:g}: fine-tune first, or fix the grader"
        # AWS's limit is one of scores from 0 to 1; on another scale it means nothing.
        elif of.scores.mean > MAX_MEAN and top <= 1 + SAME_SCORE:
            mean = f"the mean score is {of.scores.mean:.3f}, above {MAX_MEAN}"
            why = "there is little to gain, or the grader asks too little"
            yield "rft_unnecessary", f"{mean}: {why}"
        elif _is_flat(of.scores):
            yield "no_signal", f"every score is {top:g}: there is nothing to learn from"
    if of.length.strength == "strong":
        yield "length_biased", f"{of.length.message}: training would teach the length"


def _is_noise(repeat: Repeat) -> bool:
    """Return whether differences are both frequent and large."""
    is_frequent = repeat.differing > MAX_DIFFERING_SHARE * repeat.compared
    return is_frequent and repeat.noise_share > MAX_NOISE_SHARE


def _is_flat(scores: Scores) -> bool:
    """Return whether all scores are the same."""
    return scores.deciles[-1] - scores.deciles[0] <= SAME_SCORE


def _warnings(of: Measures) -> Iterator[tuple[str, str]]:
    """What to know besides."""
    if 0 < of.responses < MIN_RESPONSES:
        yield "few_responses", f"fewer than {MIN_RESPONSES} responses: figures are rough"
    if of.circular:
        yield "circular", f"{of.circular:,} responses are their line's own reference: not graded"
    if 0 < of.problems.share <= MAX_ERROR_SHARE:
        yield "problems", f"{of.problems.share:.1%} of samples had a problem"
    repeat, scores = of.repeat, of.scores
    if not repeat:
        yield "not_repeated", "no second run: whether scores repeat is not known"
    elif repeat.differing and not _is_noise(repeat):
        difference = f"{repeat.differing:,} of {repeat.compared:,} scores differed when repeated"
        yield "differing", f"{difference}, by {repeat.largest_difference:g} at most"
    if repeat and repeat.failed_once:
        yield "failed_once", f"{repeat.failed_once:,} samples had a score in one run only"
    if scores and (top := scores.deciles[-1]) > 1 + SAME_SCORE:
        yield "scale", f"scores go up to {top:g}: a mean of {MAX_MEAN} says nothing"
    if scores and 0 < scores.share_above_zero < MIN_SUCCESS_SHARE:
        share = f"only {scores.share_above_zero:.1%} of scores are above 0"
        yield "rare_success", f"{share}: training may find nothing to reinforce"
    if of.length.strength == "some":
        yield "length", f"{of.length.message}: look for reward hacking"
    flat = of.within_prompts.zero_variance_share
    if flat and flat >= MAX_FLAT_SHARE and of.within_prompts.prompts >= MIN_FLAT_PROMPTS:
        yield "flat_prompts", f"in {flat:.0%} of repeated prompts, all scores are the same"
