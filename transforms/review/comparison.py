"""Comparison of the lines of two releases: which came, went or changed, and how measures shifted.

Lines are matched by the digest of their prompt, not by their id: of equal prompts another record
may have survived, and the line is the same.
"""

from collections.abc import Sequence
from math import sqrt
from typing import Literal

import msgspec
import numpy as np
import polars as pl

from bedrock_sluice.transforms.facts.release_facts import CountByName

COMPARED_LINES = pl.Schema(
    {
        "id": pl.String,
        "prompt_digest": pl.String,
        "side": pl.String,
        "answer": pl.String,
        "content": pl.String,
        "prompt_characters": pl.Int64,
        "answer_characters": pl.Int64,
        "messages": pl.Int64,
        "duplicates": pl.Int64,
        "model_id": pl.String,
        "reference_source": pl.String,
        "question": pl.String,
    }
)
"""One row per line of a release: its answer as JSON text, all its other content as a text that is
the same for equal content, its measures, and the text of its last user message."""

MEASURES = (
    *("prompt_characters", "answer_characters", "messages", "duplicates"),
    *("model_id", "reference_source"),
)
EXAMPLES = 5
BINS = 10
SHIFT, LARGE_SHIFT = 0.1, 0.25  # of the population stability index: the limits in common use
_QUANTILE = 3.09  # of the normal distribution at 99.9 %
_PRIOR = 0.5  # added to each count, so that an empty bin has a logarithm
MIN_WORD_LINES = 10
MIN_WORD_SCORE = 4.0  # standard errors
WORDS = 10

Change = Literal["added", "removed", "answer_changed", "moved", "rewritten"]
CHANGES: tuple[Change, ...] = ("added", "removed", "answer_changed", "moved", "rewritten")


class LinesChanged(msgspec.Struct, frozen=True):
    """How many lines changed in one way, some ids of them, and what the other release did to them.

    `fates` counts the reasons why the other release has no such line; `not read` if it has no such
    record at all.
    """

    lines: int
    examples: list[str]
    fates: CountByName = {}


class Shift(msgspec.Struct, frozen=True):
    """How far a measure shifted: its population stability index, and what chance alone explains.

    `before` and `after` are medians of numbers, and the most frequent value else; then the shares
    say how many of the lines have it.
    """

    measure: str
    index: float
    by_chance: float
    verdict: Literal["stable", "shifted", "shifted far"]
    before: float | str | None
    after: float | str | None
    share_before: float | None = None
    share_after: float | None = None


class WordShift(msgspec.Struct, frozen=True):
    """A word whose share of the lines changed: the shares, and the change in standard errors."""

    word: str
    before: float
    after: float
    score: float


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """What changed from one release to another."""

    lines_before: int
    lines_after: int
    equal_lines: int
    changes: dict[Change, LinesChanged]
    shifts: list[Shift]
    words: list[WordShift]


def compare(
    before: pl.DataFrame,
    after: pl.DataFrame,
    fates_before: pl.DataFrame,
    fates_after: pl.DataFrame,
    *,
    has_words: bool = False,
) -> Comparison:
    """Compare the lines (`COMPARED_LINES`) of two releases.

    Fates have `request_id` and `reason`. A line that is on another side, or has another answer, is
    counted as that; as `rewritten` if only other content differs. Words are compared if
    `has_words`.
    """
    pairs = _number(before).join(
        _number(after), on=("prompt_digest", "number"), how="full", suffix="_after"
    )
    is_old, is_new = pl.col("id").is_not_null(), pl.col("id_after").is_not_null()
    conditions: dict[Change, pl.Expr] = {
        "added": ~is_old,
        "removed": ~is_new,
        "moved": pl.col("side") != pl.col("side_after"),
        "answer_changed": pl.col("answer") != pl.col("answer_after"),
        "rewritten": pl.col("content") != pl.col("content_after"),
    }
    kind = pl.lit(None, pl.String)
    for change, condition in reversed(conditions.items()):
        kind = pl.when(condition).then(pl.lit(change)).otherwise(kind)
    kinds = pairs.select(kind=kind, id=pl.coalesce("id_after", "id")).sort("id")
    ids = {change: kinds.filter(pl.col("kind") == change)["id"] for change in CHANGES}
    other_fates = {"added": fates_before, "removed": fates_after}
    return Comparison(
        lines_before=before.height,
        lines_after=after.height,
        equal_lines=kinds["kind"].null_count(),
        changes={
            change: LinesChanged(
                lines=len(rows),
                examples=rows.head(EXAMPLES).to_list(),
                fates=_count_fates(rows, other_fates[change]) if change in other_fates else {},
            )
            for change, rows in ids.items()
        },
        shifts=[_measure_shift(before, after, name) for name in MEASURES],
        words=compare_words(before["question"], after["question"]) if has_words else [],
    )


def _number(lines: pl.DataFrame) -> pl.DataFrame:
    """Number the lines of each prompt, which may be more than one if their tools differ."""
    number = pl.int_range(pl.len()).over("prompt_digest")
    return lines.sort("id").with_columns(number=number)


def _count_fates(ids: pl.Series, fates: pl.DataFrame) -> CountByName:
    if ids.is_empty():
        return {}
    records = fates.filter(pl.col("request_id").is_in(ids.implode()))
    reasons = (
        ids.to_frame("request_id")
        .join(records.unique("request_id", keep="first", maintain_order=True), "request_id", "left")
        .select(pl.col("reason").fill_null("not_read"))
    )
    counts = reasons.group_by("reason").len().sort("len", "reason", descending=[True, False])
    return dict(counts.iter_rows())


def _measure_shift(before: pl.DataFrame, after: pl.DataFrame, name: str) -> Shift:
    old, new = before[name], after[name]
    index, by_chance = stability_index(old, new)
    is_shifted = index >= SHIFT and index > by_chance
    verdict: Literal["stable", "shifted", "shifted far"] = "stable"
    if is_shifted:
        verdict = "shifted far" if index >= LARGE_SHIFT else "shifted"
    middle_before, middle_after = _middle(old), _middle(new)
    return Shift(
        name,
        round(index, 4),
        round(by_chance, 4),
        verdict,
        middle_before,
        middle_after,
        share_before=_share_of(middle_before, old),
        share_after=_share_of(middle_after, new),
    )


def _middle(column: pl.Series) -> float | str | None:
    """Return the median of numbers, the most frequent of other values."""
    value = column.median() if column.dtype.is_numeric() else column.mode().sort().first()
    return value if isinstance(value, int | float | str) else None


def _share_of(value: float | str | None, column: pl.Series) -> float | None:
    """Return the share of the most frequent value; None for numbers."""
    return round(int((column == value).sum()) / len(column), 4) if isinstance(value, str) else None


def stability_index(before: pl.Series, after: pl.Series) -> tuple[float, float]:
    """Return the population stability index of two samples, and the one that chance explains.

    Numbers are counted in bins between deciles of `before`, other values as they are. Two samples
    of one population stay below the second number in 999 of 1,000 cases: times the harmonic size
    of the samples, the index is distributed as chi-square (here by Wilson and Hilferty).
    """
    if before.is_empty() or after.is_empty():
        return 0.0, 0.0
    if before.dtype.is_numeric():
        deciles = [before.quantile(k / BINS) for k in range(1, BINS)]
        edges = sorted({edge for edge in deciles if edge is not None})
        before, after = (_bin(column, edges) for column in (before, after))
    counts = before.value_counts().join(
        after.value_counts(), on=before.name, how="full", suffix="_after", nulls_equal=True
    )
    shares = [
        (column.fill_null(0) + _PRIOR) / (column.fill_null(0) + _PRIOR).sum()
        for column in (counts["count"], counts["count_after"])
    ]
    index = float(((shares[1] - shares[0]) * (shares[1] / shares[0]).log()).sum())
    freedom = max(counts.height - 1, 1)
    spread = 2 / (9 * freedom)
    quantile = freedom * (1 - spread + _QUANTILE * sqrt(spread)) ** 3
    return index, quantile * (1 / len(before) + 1 / len(after))


def _bin(column: pl.Series, edges: Sequence[float]) -> pl.Series:
    return pl.Series(column.name, np.searchsorted(edges, column.drop_nulls().to_numpy()))


def compare_words(before: pl.Series, after: pl.Series) -> list[WordShift]:
    """Return the words whose share of the texts changed most, the surest first."""
    if before.is_empty() or after.is_empty():
        return []
    counts, old, new = _count_words(before, after), pl.col("before"), pl.col("after")
    share = (old + new) / (len(before) + len(after))
    error = (share * (1 - share) * (1 / len(before) + 1 / len(after))).sqrt()
    words = (
        counts.filter(old + new >= MIN_WORD_LINES, share < 1)  # a word of all lines has no error
        .with_columns(before=old / len(before), after=new / len(after), error=error)
        .with_columns(score=(pl.col("after") - pl.col("before")) / pl.col("error"))
        .filter(pl.col("score").abs() >= MIN_WORD_SCORE)
        .sort(pl.col("score").abs(), "word", descending=[True, False])
        .head(WORDS)
        .select("word", pl.col("before", "after").round(4), pl.col("score").round(1))
    )
    return [WordShift(*row) for row in words.iter_rows()]


def _count_words(before: pl.Series, after: pl.Series) -> pl.DataFrame:
    """Count the texts that have each `word`, `before` and `after`: each text is read only once."""
    texts = pl.concat(
        [
            before.to_frame("text").with_columns(before=1, after=0),
            after.to_frame("text").with_columns(before=0, after=1),
        ]
    )
    words = pl.col("text").str.to_lowercase().str.extract_all(r"\p{L}{3,}").list.unique()
    return (
        texts.group_by("text")
        .sum()
        .select("before", "after", word=words)
        .explode("word")
        .drop_nulls()
        .group_by("word")
        .sum()
    )
