"""Answers from what people say of logged responses: that they are right, or wrong, or what is."""

from collections.abc import Iterable
from datetime import datetime
from math import isfinite
from typing import Any, NamedTuple

import polars as pl

from bedrock_sluice.transforms.answers.choice import TOLD, ConflictRule, decide, settle, told_before
from bedrock_sluice.transforms.answers.sources import (
    MADE,
    NO_PASSTHROUGH,
    READ,
    REQUEST_ID,
    WRONG,
    AnswerContext,
    Kind,
    Reference,
    Row,
    Sourced,
    joined,
    unmatched_keys,
)
from bedrock_sluice.transforms.errors import ConfigError
from bedrock_sluice.transforms.reasons import Reason

_JUDGED: dict[str, Kind] = {
    "request_id": pl.String,
    "is_right": pl.Boolean,
    "has_correction": pl.Boolean,
    "labelled_at": TOLD["labelled_at"],
    **MADE,  # of the correction
}

_RIGHT_WORDS = ("true", "yes", "right", "correct", "good", "up", "positive", "thumbs_up")
_WRONG_WORDS = ("false", "no", "wrong", "incorrect", "bad", "down", "negative", "thumbs_down")
_WORDS = {**dict.fromkeys(_RIGHT_WORDS, True), **dict.fromkeys(_WRONG_WORDS, False)}
_FLAGS = {**_WORDS, "1": True, "1.0": True, "0": False, "0.0": False}  # floats: a column with nulls


class Scale(NamedTuple):
    """From which score on a response is right, and up to which it is wrong; None: never."""

    good: float | None = None
    bad: float | None = None


NO_SCALE = Scale()


class Judged(NamedTuple):
    """Answers from judgements; `wrong` are the pairs of `prompt_digest, form` judged wrong."""

    sourced: Sourced
    wrong: pl.DataFrame


def feedback_answers(
    material: AnswerContext,
    rows: Iterable[tuple[str, Row]],
    rule: ConflictRule = "drop",
    before: datetime | None = None,
    scale: Scale = NO_SCALE,
) -> Judged:
    """Answers from what people said of logged responses: rows, each with its place for messages.

    A row has `request_id`, and `correct` (a flag), else `rating`, else `score` (a word such as
    `good`, or a number of the scale), and maybe a `corrected_answer`. A response that is right is
    the answer of its prompt, and so is a correction. A form can't be right and wrong at once.

    Raises:
        ConfigError: a judgement can't be understood.
    """
    members = material.of_prompts(material.members).unique(REQUEST_ID)
    known = frozenset(members[REQUEST_ID])
    judged = [(row, verdict(place, row, scale)) for place, row in rows]
    made = [_judgement(material, *each) for each in judged if each[0][REQUEST_ID] in known]
    telling = pl.col("is_right").is_not_null() | pl.col("has_correction")
    numbered = pl.DataFrame(made, schema=_JUDGED).with_row_index("row")
    timely = told_before(numbered.filter(telling), before)
    matched = timely.told.join(members, on=REQUEST_ID)
    events = _events(material, matched)
    verdicts = decide(events, ["prompt_digest", "form"], "is_right", rule)
    settled = _judged_answers(events, verdicts, rule)
    wrong = verdicts.filter(pl.col("is_disputed") | ~pl.col("is_right")).select(list(WRONG))
    is_readable = ~pl.col("has_correction") | pl.col("form").is_not_null()
    usable = matched.filter(is_readable).select("row", "prompt_digest")
    sourced = Sourced(
        material.of_digests(settled),
        rows=len(judged),
        unmatched=unmatched_keys((row[REQUEST_ID] for row, _ in judged), known),
        late=timely.late,
        undated=timely.undated,
        unreadable=numbered.height - timely.late - timely.undated - usable.height,
        usable=usable,
    )
    return Judged(sourced, wrong)


def _judgement(material: AnswerContext, row: Row, is_right: bool | None) -> dict[str, Any]:
    correction = row.get("corrected_answer")
    reference = None if correction is None else _from_correction(material, correction)
    return {
        "request_id": row[REQUEST_ID],
        "is_right": is_right,
        "has_correction": correction is not None,
        "labelled_at": row.get("labelled_at"),
        **material.made(reference),
    }


def _from_correction(material: AnswerContext, correction: object) -> Reference | None:
    """People write a whole answer as the model should have, or only what comes out of it."""
    whole = material.shape.from_text(correction) if isinstance(correction, str) else None
    return material.from_value(correction) if whole is None else whole


def _events(material: AnswerContext, known: pl.DataFrame) -> pl.DataFrame:
    """Rows of `TOLD` that say `is_right`, of responses and corrections; unfit ones get a form too.

    Who corrects a response without a verdict says that it is wrong.
    """
    corrected = known.filter("has_correction").with_columns(
        is_right=pl.lit(True), unfit=pl.format("correction {}", "exchange")
    )
    approved = pl.col("has_correction") & pl.col("is_right").fill_null(False)
    logged = known.filter(~approved).drop(MADE)
    responses = joined(material.read(logged.select("exchange").unique()), READ)
    judged = logged.join(responses, on="exchange").with_columns(
        pl.col("is_right").fill_null(False), unfit=pl.format("response {}", "exchange")
    )
    # What curation took out, for a secret in it or whatever else, no praise brings back.
    is_taken = pl.col("exchange").is_in(material.candidate_responses["exchange"].implode())
    judged = judged.with_columns(pl.when(is_taken | ~pl.col("is_right")).then(pl.col(*MADE)))
    columns = [*TOLD.names(), "is_right"]
    return pl.concat(
        frame.with_columns(form=pl.coalesce("form", "unfit"), passthrough=NO_PASSTHROUGH).select(
            columns
        )
        for frame in (corrected, judged)
    )


def _judged_answers(
    events: pl.DataFrame, verdicts: pl.DataFrame, rule: ConflictRule
) -> pl.DataFrame:
    """One row a prompt that was judged: its `reference_answer`, or the `problem`."""
    is_right = verdicts.filter("is_right").drop("is_right")
    right = events.filter("is_right").join(is_right, on=["prompt_digest", "form"], how="semi")
    fit = right.drop_nulls("reference_answer").select(TOLD.names())
    prompts = verdicts.group_by("prompt_digest").agg(pl.col("is_disputed", "is_right").any())
    reason = (
        pl.when("is_disputed")
        .then(pl.lit(Reason.ANSWER_CONFLICT.value))
        .when("is_right")
        .then(pl.lit(Reason.ANSWER_UNFIT.value))
        .otherwise(pl.lit(Reason.ANSWER_REJECTED.value))
    )
    answer = pl.when(~pl.col("is_disputed")).then("reference_answer")
    return prompts.join(settle(fit, rule), on="prompt_digest", how="left").select(
        "prompt_digest",
        reference_answer=answer,
        passthrough=NO_PASSTHROUGH,
        problem=pl.when(answer.is_null()).then(
            pl.when("is_disputed").then(reason).otherwise(pl.coalesce("problem", reason))
        ),
    )


def verdict(place: str, row: Row, scale: Scale) -> bool | None:
    """Whether a row says that its response is right; None if it does not say.

    Of `correct` (a flag), `rating` and `score` (each a number of the scale, or a word such as
    `good`) the first that is there counts. `place` is for messages.

    Raises:
        ConfigError: it is neither a known word nor a number, or there is no scale for it.
    """
    given = [
        (name, row[name]) for name in ("correct", "rating", "score") if row.get(name) is not None
    ]
    if not given:
        return None
    name, value = given[0]
    word = str(value).strip().casefold().replace(" ", "_").replace("-", "_")
    words = _FLAGS if name == "correct" else _WORDS
    if word in words:
        return words[word]
    if name == "correct":
        raise ConfigError(f"{place}: correct is no flag, such as true or false")
    return _on_scale(f"{place}: {name}", str(value), scale)


def _on_scale(what: str, value: str, scale: Scale) -> bool | None:
    try:
        score = float(value)
    except ValueError:
        raise ConfigError(f"{what} is neither a number nor a word such as good or bad") from None
    if not isfinite(score):
        raise ConfigError(f"{what} is no finite number")
    if scale == NO_SCALE:
        raise ConfigError(f"{what} is a number; the recipe must name a good_score or a bad_score")
    if scale.good is not None and score >= scale.good:
        return True
    return False if scale.bad is not None and score <= scale.bad else None
