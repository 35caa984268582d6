"""Reference answers: of several ordered sources, the first that has a fitting answer wins."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Literal, NamedTuple

import polars as pl

from bedrock_sluice.transforms.fates import Sifted
from bedrock_sluice.transforms.reasons import Reason

ANSWERS = pl.Schema(
    {
        "request_id": pl.String,
        "reference_answer": pl.String,  # JSON, as the template shapes it; null if it does not fit
        "problem": pl.String,  # the reason, where there is an answer that can't be taken
        "riding": pl.String,  # a JSON object of what the line carries beside it; null: nothing
    }
)

_TOLD: dict[str, pl.DataType | type[pl.DataType]] = {
    "prompt_digest": pl.String,
    "reference_answer": pl.String,  # as in `ANSWERS`
    "riding": pl.String,
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
        .select("prompt_digest", "form", "reference_answer", "riding")
    )
    decided = decide(told, ["prompt_digest"], "form", rule)
    return decided.join(
        best, on=["prompt_digest", "form"], how="left", maintain_order="left"
    ).select(
        "prompt_digest",
        "reference_answer",
        "riding",
        problem=pl.when("is_disputed")
        .then(pl.lit(Reason.ANSWER_CONFLICT.value))
        .when(pl.col("form").is_null())
        .then(pl.lit(Reason.ANSWER_UNFIT.value)),
    )


def choose_answers(prompts: pl.DataFrame, sources: Sequence[tuple[str, pl.DataFrame]]) -> Sifted:
    """Give each prompt the first fitting answer: `reference_answer, reference_source, riding`.

    `sources` are ordered pairs of a name and a frame of schema `ANSWERS`, at most one row a
    request. Prompts without an answer are rejected: by the first problem met, else as missing.
    """
    joined = prompts
    for index, (_, answers) in enumerate(sources):
        joined = joined.join(
            answers.select(
                "request_id",
                pl.col("reference_answer").alias(f"answer_{index}"),
                pl.col("problem").alias(f"problem_{index}"),
                pl.col("riding").alias(f"riding_{index}"),
            ),
            on="request_id",
            how="left",
            maintain_order="left",
        )
    scratch = [
        f"{kind}_{i}" for kind in ("answer", "problem", "riding") for i in range(len(sources))
    ]
    told_answers = [pl.col(f"answer_{i}") for i in range(len(sources))]
    told_problems = [pl.col(f"problem_{i}") for i in range(len(sources))]
    names = [
        pl.when(answer.is_not_null()).then(pl.lit(name))
        for answer, (name, _) in zip(told_answers, sources, strict=True)
    ]
    riding = pl.lit(None, pl.String)
    for index, answer in reversed(list(enumerate(told_answers))):
        riding = pl.when(answer.is_not_null()).then(f"riding_{index}").otherwise(riding)
    # People who contradict each other are not outvoted by the model: a conflict ends the search.
    is_disputed = pl.coalesce(
        *(
            pl.when(answer.is_not_null())
            .then(pl.lit(False))
            .when(problem == Reason.ANSWER_CONFLICT.value)
            .then(pl.lit(True))
            for answer, problem in zip(told_answers, told_problems, strict=True)
        ),
        pl.lit(False),
    )
    told = joined.with_columns(
        reference_answer=pl.when(~is_disputed).then(pl.coalesce(*told_answers)),
        reference_source=pl.coalesce(*names),
        riding=riding,
        reason=pl.when(is_disputed)
        .then(pl.lit(Reason.ANSWER_CONFLICT.value))
        .otherwise(pl.coalesce(*told_problems, pl.lit(Reason.ANSWER_MISSING.value))),
    ).drop(scratch)
    has_answer = pl.col("reference_answer").is_not_null()
    return Sifted(
        kept=told.filter(has_answer).drop("reason"),
        rejected=told.filter(~has_answer),
    )


def drop_conflicts(answers: pl.DataFrame) -> pl.DataFrame:
    """One row a request: answers that are told twice must agree, else they become a problem."""
    return (
        answers.group_by("request_id", maintain_order=True)
        .agg(
            pl.col("reference_answer").first(),
            pl.col("problem", "riding").first(),
            told=pl.col("reference_answer").n_unique(),
        )
        .with_columns(
            reference_answer=pl.when(pl.col("told") == 1).then("reference_answer"),
            problem=pl.when(pl.col("told") > 1)
            .then(pl.lit(Reason.ANSWER_CONFLICT.value))
            .otherwise("problem"),
        )
        .select(pl.col(name).cast(kind) for name, kind in ANSWERS.items())
    )
