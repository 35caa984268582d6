"""Verdicts of reviewers, and what they decide about prompts of the next build."""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
import polars as pl

from bedrock_sluice.transforms.answers.choice import resolve_values, select_before_cutoff
from bedrock_sluice.transforms.reasons import Reason
from bedrock_sluice.transforms.review.review_files import ReviewRecord
from bedrock_sluice.transforms.settings import ConflictRule

REVIEW = "review"  # the source of answers that reviewers corrected

VERDICTS = pl.Schema(
    {
        "review": pl.String(),  # the digest of the record
        "reviewer": pl.String(),
        "saved_at": pl.Datetime("us", "UTC"),
        "id": pl.String(),
        "prompt_digest": pl.String(),
        "reference_answer": pl.String(),  # JSON of the answer that was judged
        "reference_source": pl.String(),
        "is_sampled": pl.Boolean(),
        "verdict": pl.String(),
        "corrected_answer": pl.String(),  # JSON, or null
    }
)
"""One row per line with a verdict, in each record."""

DECISIONS = pl.Schema(
    {
        "prompt_digest": pl.String(),
        "reference_answer": pl.String(),  # JSON of the corrected answer; null if it is dropped
        "reason": pl.String(),  # why it is dropped, or null
    }
)
"""One row per prompt whose line the next build drops, or gives a corrected answer."""

_REJECTED = "rejected"  # beside the forms of answers, which are hexadecimal

EncodeReference = Callable[[Any], tuple[str, str]]
"""Return the JSON of a reference answer and its form, which is equal for equal answers."""


class VoteRules(NamedTuple):
    """How conflicts are resolved, and when verdicts had to be saved in order to count."""

    conflicts: ConflictRule = "drop"
    cutoff: datetime | None = None


def tabulate_verdicts(records: Iterable[tuple[str, ReviewRecord]]) -> pl.DataFrame:
    """Return the `VERDICTS` of records, each with its digest: the earliest record first."""
    in_time = sorted(records, key=lambda each: (each[1].saved_at, each[0]))
    rows = [
        (
            digest,
            record.reviewer,
            record.saved_at,
            line.id,
            line.prompt_digest,
            _json(line.reference_answer),
            line.reference_source,
            line.is_sampled,
            line.verdict,
            _json(line.corrected_answer),
        )
        for digest, record in in_time
        for line in record.lines
        if line.verdict is not None
    ]
    return pl.DataFrame(rows, schema=VERDICTS, orient="row")


def _json(value: object) -> str | None:
    return None if value is None else msgspec.json.encode(value, order="deterministic").decode()


def select_latest(verdicts: pl.DataFrame, subject: str) -> pl.DataFrame:
    """Select each reviewer's latest verdict on each `subject`, a column."""
    return verdicts.unique(["reviewer", subject], keep="last", maintain_order=True)


def decide(
    verdicts: pl.DataFrame,
    encode_answer: EncodeReference,
    encode_correction: Callable[[Any], tuple[str, str] | None],
    rules: VoteRules,
) -> pl.DataFrame:
    """Return the `DECISIONS` that follow from `VERDICTS`.

    Of each reviewer, the latest verdict on a prompt counts; unsure ones say nothing, nor does a
    right one on an answer that reviewers corrected. Each of the others says which answer is right:
    the one that was judged, a correction, or none. `rules` resolve those that differ, as for
    labels. A correction that the template cannot read (`encode_correction` returns None) is none.
    """
    in_time = verdicts.rename({"saved_at": "labelled_at"})
    in_time = select_before_cutoff(in_time, rules.cutoff).rows
    is_right = pl.col("verdict") == "right"
    says_nothing = (pl.col("verdict") == "unsure") | (
        is_right & (pl.col("reference_source") == REVIEW)
    )
    votes = select_latest(in_time.filter(~says_nothing), "prompt_digest")
    columns = votes.select("verdict", "reference_answer", "corrected_answer")
    pairs = [
        _encode_vote(verdict, answer, correction, encode_answer, encode_correction)
        for verdict, answer, correction in columns.iter_rows()
    ]
    forms = {"form": pl.String, "correction": pl.String}
    votes = votes.with_columns(pl.DataFrame(pairs, schema=forms, orient="row"))
    corrections = (
        votes.drop_nulls("correction")
        .unique(["prompt_digest", "form"], keep="last", maintain_order=True)
        .select("prompt_digest", "form", reference_answer="correction")
    )
    results = resolve_values(votes, ["prompt_digest"], "form", rules.conflicts)
    reason = (
        pl.when("is_disputed")
        .then(pl.lit(Reason.REVIEW_CONFLICT.value))
        .when(pl.col("form") == _REJECTED)
        .then(pl.lit(Reason.REVIEW_REJECTED.value))
    )
    return (
        results.join(corrections, on=["prompt_digest", "form"], how="left", maintain_order="left")
        .with_columns(reason=reason)
        .filter(pl.col("reason").is_not_null() | pl.col("reference_answer").is_not_null())
        .select(DECISIONS.names())
    )


def _encode_vote(
    verdict: str,
    answer: str,
    correction: str | None,
    encode_answer: EncodeReference,
    encode_correction: Callable[[Any], tuple[str, str] | None],
) -> tuple[str, str | None]:
    """Return the form of the answer that a vote is for, and its JSON if it is a correction."""
    if verdict == "right":
        return encode_answer(msgspec.json.decode(answer))[1], None
    reference = None if correction is None else encode_correction(msgspec.json.decode(correction))
    return (_REJECTED, None) if reference is None else (reference[1], reference[0])
