"""Reference answers: of several ordered sources, the first that has a fitting answer wins."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Literal, NamedTuple

import polars as pl

from bedrock_sluice.transforms.fates import FilterResult
from bedrock_sluice.transforms.reasons import Reason

ANSWERS = pl.Schema(
    {
        "request_id": pl.String,
        "reference_answer": pl.String,  # JSON, as the template shapes it; null if it does not fit
        "problem": pl.String,  # the reason, where there is an answer that can't be taken
        "passthrough": pl.String,  # a JSON object of what the line carries beside it; null: nothing
    }
)

_TOLD: dict[str, pl.DataType | type[pl.DataType]] = {
    "prompt_digest": pl.String,
    "reference_answer": pl.String,  # as in `ANSWERS`
    "passthrough": pl.String,
    "form": pl.String,  # what two answers share that the grader takes for one; null if unfit
    "labelled_at": pl.Datetime("us", "UTC"),
}
TOLD = pl.Schema(_TOLD)
"""One row for each time that somebody told an answer."""

TRUST = ("labels", "feedback", "metadata", "agreement", "extracted", "logged")
"""The sources, the most trusted first."""

ConflictRule = Literal["drop", "newest", "majority"]

_NEVER = datetime(1, 1, 1, tzinfo=UTC)  # when a label without a time was given


class Timely(NamedTuple):
    """What was told before a moment; how many rows came later, and how many tell no time."""

    told: pl.DataFrame
    late: int
    undated: int


def trusted(sources: Sequence[str], minimum: str) -> list[str]:
    """Those of the sources that are trusted no less than `minimum`, in their order."""
    enough = TRUST[: TRUST.index(minimum) + 1]
    return [source for source in sources if source in enough]


def told_before(told: pl.DataFrame, moment: datetime | None) -> Timely:
    """The rows whose `labelled_at` is before the moment; without a moment, all of them.

    A dataset that is rebuilt must not learn from labels that came after its day, so a row that does
    not say when it was given does not count either.
    """
    if moment is None:
        return Timely(told, 0, 0)
    is_early = pl.col("labelled_at") < pl.lit(moment, pl.Datetime("us", "UTC"))
    undated = told["labelled_at"].null_count()
    early = told.filter(is_early)
    return Timely(early, told.height - early.height - undated, undated)


def decide(told: pl.DataFrame, by: Sequence[str], value: str, rule: ConflictRule) -> pl.DataFrame:
    """What is told of each subject (the columns `by`) in the end: its `value`, or `is_disputed`.

    Under `drop` all rows must tell the same; under `newest` those that were told last must (a row
    without a time counts as the first); under `majority` more than half of the rows must. A null is
    a value like the others.
    """
    at = pl.col("labelled_at").fill_null(_NEVER).max()
    counted = told.group_by(*by, value).agg(at=at, votes=pl.len())
    is_newest = pl.col("at") == pl.col("at").max().over(by)
    wins = {
        "drop": pl.len().over(by) == 1,
        "newest": is_newest & (is_newest.sum().over(by) == 1),
        "majority": 2 * pl.col("votes") > pl.col("votes").sum().over(by),
    }
    return (
        counted.with_columns(wins=wins[rule])
        .group_by(by)
        .agg(pl.col(value).filter("wins").first(), is_disputed=~pl.col("wins").any())
        .sort(by)
    )


def settle(told: pl.DataFrame, rule: ConflictRule) -> pl.DataFrame:
    """One row a `prompt_digest` of rows of schema `TOLD`: its `reference_answer`, or a `problem`.

    Of answers with the same form, the one told last is taken, then the first by its text.
    """
    best = (
        told.drop_nulls("form")
        .sort("labelled_at", "reference_answer", descending=[True, False], nulls_last=True)
        .unique(["prompt_digest", "form"], keep="first", maintain_order=True)
        .select("prompt_digest", "form", "reference_answer", "passthrough")
    )
    decided = decide(told, ["prompt_digest"], "form", rule)
    return decided.join(
        best, on=["prompt_digest", "form"], how="left", maintain_order="left"
    ).select(
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
    """Give each prompt the first fitting answer: `reference_answer, reference_source, passthrough`.

    `sources` are ordered pairs of a name and a frame of schema `ANSWERS`, at most one row a
    request. Prompts without an answer are rejected: by the first problem met, else as missing.
    """
    told = pl.concat(
        [
            answers.select(*ANSWERS.names(), reference_source=pl.lit(name), order=pl.lit(order))
            for order, (name, answers) in enumerate(sources)
        ]
    ).sort("order", maintain_order=True)
    # People who contradict each other are not outvoted by the model: a conflict ends the search.
    is_disputed = (pl.col("problem") == Reason.ANSWER_CONFLICT.value).fill_null(value=False)
    was_disputed = is_disputed.shift(1, fill_value=False).cum_max().over("request_id")
    heard = told.filter(~was_disputed)
    answers = heard.drop_nulls("reference_answer").unique(
        "request_id", keep="first", maintain_order=True
    )
    problems = (
        heard.drop_nulls("problem")
        .sort(~is_disputed, "order")
        .unique("request_id", keep="first", maintain_order=True)
    )
    found = answers.select("request_id", "reference_answer", "reference_source", "passthrough")
    met = problems.select("request_id", reason="problem")
    judged = prompts.join(found, on="request_id", how="left", maintain_order="left").join(
        met, on="request_id", how="left", maintain_order="left"
    )
    has_answer = pl.col("reference_answer").is_not_null()
    missing = pl.col("reason").fill_null(Reason.ANSWER_MISSING.value)
    return FilterResult(
        kept=judged.filter(has_answer).drop("reason"),
        rejected=judged.filter(~has_answer).with_columns(reason=missing),
    )
