"""Reference answers: of several ordered sources, the first that has a fitting answer wins."""

from collections.abc import Sequence

import polars as pl

from bedrock_sluice.transforms.fates import Sifted
from bedrock_sluice.transforms.reasons import Reason

ANSWERS = pl.Schema(
    {
        "request_id": pl.String,
        "reference_answer": pl.String,  # JSON, as the template shapes it; null if it does not fit
        "problem": pl.String,  # the reason, where there is an answer that can't be taken
    }
)


def choose_answers(prompts: pl.DataFrame, sources: Sequence[tuple[str, pl.DataFrame]]) -> Sifted:
    """Give each prompt the first fitting answer, with `reference_answer` and `reference_source`.

    `sources` are ordered pairs of a name and a frame of schema `ANSWERS`, at most one row a
    request. Prompts without an answer are rejected: by the first problem met, else as missing.
    """
    joined = prompts
    for index, (_, answers) in enumerate(sources):
        joined = joined.join(
            answers.rename({"reference_answer": f"answer_{index}", "problem": f"problem_{index}"}),
            on="request_id",
            how="left",
            maintain_order="left",
        )
    scratch = [f"{kind}_{i}" for kind in ("answer", "problem") for i in range(len(sources))]
    told_answers = [pl.col(f"answer_{i}") for i in range(len(sources))]
    told_problems = [pl.col(f"problem_{i}") for i in range(len(sources))]
    names = [
        pl.when(answer.is_not_null()).then(pl.lit(name))
        for answer, (name, _) in zip(told_answers, sources, strict=True)
    ]
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
            pl.col("problem").first(),
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
