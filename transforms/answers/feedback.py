"""Answers from feedback: people rate logged responses as right or wrong, or correct them."""

from collections.abc import Iterable
from datetime import datetime
from math import isfinite
from typing import NamedTuple

import polars as pl

from bedrock_sluice.transforms.answers.choice import (
    LABEL_ROWS,
    resolve_answers,
    resolve_values,
    select_before_cutoff,
)
from bedrock_sluice.transforms.answers.references import (
    EXCHANGE_REFERENCES,
    REFERENCE_COLUMNS,
    ColumnType,
    Row,
    reference_from_correction,
)
from bedrock_sluice.transforms.answers.sources import (
    NO_PASSTHROUGH,
    REQUEST_ID,
    WRONG_ANSWERS,
    AnswerContext,
    SourceResult,
    concat_pieces,
    find_unmatched_keys,
)
from bedrock_sluice.transforms.errors import ConfigError
from bedrock_sluice.transforms.reasons import Reason
from bedrock_sluice.transforms.settings import ConflictRule

_RATINGS: dict[str, ColumnType] = {
    "request_id": pl.String,
    "is_right": pl.Boolean,
    "has_correction": pl.Boolean,
    "labelled_at": LABEL_ROWS["labelled_at"],
    **REFERENCE_COLUMNS,  # of the correction
}

_RIGHT_WORDS = ("true", "yes", "right", "correct", "good", "up", "positive", "thumbs_up")
_WRONG_WORDS = ("false", "no", "wrong", "incorrect", "bad", "down", "negative", "thumbs_down")
_WORDS = {**dict.fromkeys(_RIGHT_WORDS, True), **dict.fromkeys(_WRONG_WORDS, False)}
_FLAGS = {**_WORDS, "1": True, "1.0": True, "0": False, "0.0": False}  # floats: a column with nulls


class Scale(NamedTuple):
    """Scores that decide: at least `good` is right, at most `bad` is wrong; None: no score is."""

    good: float | None = None
    bad: float | None = None


NO_SCALE = Scale()


class FeedbackResult(NamedTuple):
    """The answers from feedback, and the pairs of `prompt_digest, form` that are wrong answers."""

    source: SourceResult
    wrong: pl.DataFrame


def feedback_answers(
    context: AnswerContext,
    rows: Iterable[tuple[str, Row]],
    rule: ConflictRule = "drop",
    cutoff: datetime | None = None,
    scale: Scale = NO_SCALE,
) -> FeedbackResult:
    """Return answers from feedback on logged responses: rows, each with its place for messages.

    A row has `request_id`, and `correct` (a flag), else `rating`, else `score` (a word such as
    `good`, or a number of the scale), and maybe a `corrected_answer`. A response that is right is
    the answer of its prompt, and so is a correction. A form cannot be both right and wrong.

    Raises:
        ConfigError: a rating cannot be read.
    """
    members = context.select_of_prompts(context.members).unique(REQUEST_ID)
    ids = frozenset(members[REQUEST_ID])
    # Each row is read, of any request: a rating that cannot be read is an error in the file.
    ratings = [(row, read_rating(place, row, scale)) for place, row in rows]
    records = []
    for row, is_right in ratings:
        if row[REQUEST_ID] in ids:
            correction = row.get("corrected_answer")
            reference = (
                None
                if correction is None
                else reference_from_correction(context.reference_format, correction)
            )
            records.append(
                {
                    "request_id": row[REQUEST_ID],
                    "is_right": is_right,
                    "has_correction": correction is not None,
                    "labelled_at": row.get("labelled_at"),
                    **context.encode_reference(reference),
                }
            )
    has_content = pl.col("is_right").is_not_null() | pl.col("has_correction")
    frame = pl.DataFrame(records, schema=_RATINGS).with_row_index("row")
    in_time = select_before_cutoff(frame.filter(has_content), cutoff)
    matches = in_time.rows.join(members, on=REQUEST_ID)
    events = _events(context, matches)
    verdicts = resolve_values(events, ["prompt_digest", "form"], "is_right", rule)
    is_readable = ~pl.col("has_correction") | pl.col("form").is_not_null()
    usable = matches.filter(is_readable).select("row", "prompt_digest")
    source = SourceResult(
        context.answers_by_digest(_resolve_prompts(events, verdicts, rule)),
        rows=len(ratings),
        unmatched_keys=find_unmatched_keys((row[REQUEST_ID] for row, _ in ratings), ids),
        late=in_time.late,
        no_time=in_time.no_time,
        unreadable=frame.height - in_time.late - in_time.no_time - usable.height,
        usable=usable,
    )
    wrong = verdicts.filter(pl.col("is_disputed") | ~pl.col("is_right"))
    return FeedbackResult(source, wrong.select(list(WRONG_ANSWERS)))


def _events(context: AnswerContext, rows: pl.DataFrame) -> pl.DataFrame:
    """Return rows of `LABEL_ROWS` with `is_right`, one per rated response and per correction.

    An answer that does not fit gets a form of its own. A correction without a rating means that
    the response is wrong.
    """
    corrections = rows.filter("has_correction").with_columns(
        is_right=pl.lit(True), own_form=pl.format("correction {}", "exchange")
    )
    # A response that is right, and corrected all the same, counts by its correction alone.
    is_approved = pl.col("has_correction") & pl.col("is_right").fill_null(False)
    responses = rows.filter(~is_approved).drop(REFERENCE_COLUMNS)
    pieces = context.read_references(responses.select("exchange").unique())
    references = concat_pieces(pieces, EXCHANGE_REFERENCES)
    responses = responses.join(references, on="exchange").with_columns(
        pl.col("is_right").fill_null(False), own_form=pl.format("response {}", "exchange")
    )
    # A response that curation dropped, for a secret in it or otherwise, is not used as an answer
    # even if it is right; that it is wrong still counts.
    may_be_used = pl.col("exchange").is_in(context.candidate_responses["exchange"].implode())
    responses = responses.with_columns(
        pl.when(may_be_used | ~pl.col("is_right")).then(pl.col(*REFERENCE_COLUMNS))
    )
    columns = [*LABEL_ROWS.names(), "is_right"]
    return pl.concat(
        frame.with_columns(form=pl.coalesce("form", "own_form"), passthrough=NO_PASSTHROUGH).select(
            columns
        )
        for frame in (corrections, responses)
    )


def _resolve_prompts(
    events: pl.DataFrame, verdicts: pl.DataFrame, rule: ConflictRule
) -> pl.DataFrame:
    """Return one row per prompt with feedback: its `reference_answer`, or the `problem`."""
    is_right = verdicts.filter("is_right").drop("is_right")
    right = events.filter("is_right").join(is_right, on=["prompt_digest", "form"], how="semi")
    fit = right.drop_nulls("reference_answer").select(LABEL_ROWS.names())
    prompts = verdicts.group_by("prompt_digest").agg(pl.col("is_disputed", "is_right").any())
    reason = (
        pl.when("is_disputed")
        .then(pl.lit(Reason.ANSWER_CONFLICT.value))
        .when("is_right")
        .then(pl.lit(Reason.ANSWER_UNFIT.value))
        .otherwise(pl.lit(Reason.ANSWER_REJECTED.value))
    )
    answer = pl.when(~pl.col("is_disputed")).then("reference_answer")
    return prompts.join(resolve_answers(fit, rule), on="prompt_digest", how="left").select(
        "prompt_digest",
        reference_answer=answer,
        passthrough=NO_PASSTHROUGH,
        problem=pl.when(answer.is_null()).then(
            pl.when("is_disputed").then(reason).otherwise(pl.coalesce("problem", reason))
        ),
    )


def read_rating(place: str, row: Row, scale: Scale) -> bool | None:
    """Return whether a row rates its response as right; None if it does not rate it.

    The first of `correct` (a flag), `rating` and `score` (each a number of the scale, or a word
    such as `good`) that has a value counts. `place` is for messages.

    Raises:
        ConfigError: the value is neither a known word nor a number, or the number has no scale.
    """
    name = next((n for n in ("correct", "rating", "score") if row.get(n) is not None), None)
    if name is None:
        return None
    value = str(row[name])
    word = value.strip().casefold().replace(" ", "_").replace("-", "_")
    words = _FLAGS if name == "correct" else _WORDS
    if word in words:
        return words[word]
    # Messages name the place alone: the value is what somebody wrote about a record.
    what = f"{place}: {name}"
    if name == "correct":
        raise ConfigError(f"{what} is not a flag; write true or false")
    try:
        score = float(value)
    except ValueError:
        raise ConfigError(
            f"{what} is neither a number nor a known word; write a number, good or bad"
        ) from None
    if not isfinite(score):
        raise ConfigError(f"{what} is not a finite number")
    if scale == NO_SCALE:
        raise ConfigError(f"{what} is a number; set good_score or bad_score in the recipe")
    if scale.good is not None and score >= scale.good:
        return True
    return False if scale.bad is not None and score <= scale.bad else None
