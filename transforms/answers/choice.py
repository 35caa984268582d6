"""Reference answers: of several ordered sources, the first that has a fitting answer wins."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import polars as pl

from bedrock_sluice.transforms.fates import FilterResult, partition_by_flag
from bedrock_sluice.transforms.reasons import Reason
from bedrock_sluice.transforms.settings import ConflictRule

ANSWERS = pl.Schema(
    {
        "request_id": pl.String,
        "reference_answer": pl.String,  # JSON in the template's format; null if it does not fit
        "problem": pl.String,  # the reason code, if there is an answer that cannot be used
        "passthrough": pl.String,  # a JSON object of passthrough fields; null: none
    }
)

_LABEL_ROWS: dict[str, pl.DataType | type[pl.DataType]] = {
    "prompt_digest": pl.String,
    "reference_answer": pl.String,  # as in `ANSWERS`
    "passthrough": pl.String,
    "form": pl.String,  # equal for answers that the grader cannot tell apart; null if unfit
    "labelled_at": pl.Datetime("us", "UTC"),
}
LABEL_ROWS = pl.Schema(_LABEL_ROWS)
"""One row per answer that a person gave: a label, or a correction in feedback."""

_NEVER = datetime(1, 1, 1, tzinfo=UTC)  # sorts labels without a time before all others


class RowsInTime(NamedTuple):
    """The rows from before a cut-off, and how many were left out: too late, or without a time."""

    rows: pl.DataFrame
    late: int
    no_time: int


def select_before_cutoff(rows: pl.DataFrame, cutoff: datetime | None) -> RowsInTime:
    """Select the rows whose `labelled_at` is before the cut-off; without one, all of them.

    A dataset that is rebuilt must not learn from labels that came after its day, so with a cut-off
    a row without a time does not count either.
    """
    if cutoff is None:
        return RowsInTime(rows, 0, 0)
    is_early = pl.col("labelled_at") < pl.lit(cutoff, pl.Datetime("us", "UTC"))
    no_time = rows["labelled_at"].null_count()
    early = rows.filter(is_early)
    return RowsInTime(early, rows.height - early.height - no_time, no_time)


def resolve_values(
    rows: pl.DataFrame, by: Sequence[str], value: str, rule: ConflictRule
) -> pl.DataFrame:
    """Resolve conflicts: one row per subject (the columns `by`) with its `value`, or `is_disputed`.

    Under `drop` all rows of a subject must have the same value; under `newest` the latest ones must
    (a row without a time counts as the earliest); under `majority` more than half of the rows must.
    A null is a value like any other.
    """
    at = pl.col("labelled_at").fill_null(_NEVER).max()
    tallies = rows.group_by(*by, value).agg(at=at, votes=pl.len())
    is_newest = pl.col("at") == pl.col("at").max().over(by)
    wins = {
        "drop": pl.len().over(by) == 1,
        "newest": is_newest & (is_newest.sum().over(by) == 1),
        "majority": 2 * pl.col("votes") > pl.col("votes").sum().over(by),
    }
    return (
        tallies.with_columns(wins=wins[rule])
        .group_by(by)
        .agg(pl.col(value).filter("wins").first(), is_disputed=~pl.col("wins").any())
        .sort(by)
    )


def resolve_answers(rows: pl.DataFrame, rule: ConflictRule) -> pl.DataFrame:
    """Resolve rows of schema `LABEL_ROWS` to one `reference_answer` or `problem` a `prompt_digest`.

    Of answers with the same form the newest is used; at the same time, the first in text order.
    """
    best = (
        rows.drop_nulls("form")
        .sort("labelled_at", "reference_answer", descending=[True, False], nulls_last=True)
        .unique(["prompt_digest", "form"], keep="first", maintain_order=True)
        .select("prompt_digest", "form", "reference_answer", "passthrough")
    )
    forms = resolve_values(rows, ["prompt_digest"], "form", rule)
    return forms.join(best, on=["prompt_digest", "form"], how="left", maintain_order="left").select(
        "prompt_digest",
        "reference_answer",
        "passthrough",
        problem=pl.when("is_disputed")
        .then(pl.lit(Reason.ANSWER_CONFLICT.value))
        .when(pl.col("form").is_null())
        .then(pl.lit(Reason.ANSWER_UNFIT.value)),
    )


def choose_answers(
    prompts: pl.DataFrame, sources: Sequence[tuple[str, pl.DataFrame]]
) -> FilterResult:
    """Add `reference_answer, reference_source, passthrough`: the first answer that fits.

    `sources` are ordered pairs of a name and a frame of schema `ANSWERS`, at most one row a
    request. Prompts without an answer are rejected with the first problem met, else as missing.
    """
    candidates = pl.concat(
        [
            answers.select(*ANSWERS.names(), reference_source=pl.lit(name))
            for name, answers in sources
        ]
    )
    # People who contradict each other are not outvoted by the model: a conflict ends the search.
    is_disputed = (pl.col("problem") == Reason.ANSWER_CONFLICT.value).fill_null(value=False)
    if candidates.select(is_disputed.any()).item():  # seldom, and the window is slow
        was_disputed = is_disputed.shift(1, fill_value=False).cum_max().over("request_id")
        candidates = candidates.filter(~was_disputed)
    answers = candidates.drop_nulls("reference_answer").unique(
        "request_id", keep="first", maintain_order=True
    )
    problems = (
        candidates.drop_nulls("problem")
        .sort(is_disputed, descending=True, maintain_order=True)
        .unique("request_id", keep="first", maintain_order=True)
        .select("request_id", reason="problem")
    )
    rows = prompts.join(
        answers.select("request_id", "reference_answer", "reference_source", "passthrough"),
        on="request_id",
        how="left",
        maintain_order="left",
    ).join(problems, on="request_id", how="left", maintain_order="left")
    result = partition_by_flag(rows, rows["reference_answer"].is_null())
    reason = pl.col("reason").fill_null(Reason.ANSWER_MISSING.value)
    return FilterResult(result.kept.drop("reason"), result.rejected.with_columns(reason))
