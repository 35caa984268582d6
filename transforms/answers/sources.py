"""The sources of reference answers: frames of prompts and responses in, frames of answers out.

Everything is looked up by prompt: labels, feedback and responses of the exact duplicates that
curation dropped count for the record that it kept.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import NamedTuple, Protocol

import polars as pl

from bedrock_sluice.transforms.answers.choice import (
    ANSWERS,
    LABEL_ROWS,
    resolve_answers,
    select_before_cutoff,
)
from bedrock_sluice.transforms.answers.extract import Extraction
from bedrock_sluice.transforms.answers.references import (
    EXCHANGE_ANSWERS,
    EXCHANGE_REFERENCES,
    ColumnType,
    Reference,
    ReferenceFormat,
    Row,
    canonical_json,
    encode_reference,
    extracted_references,
    logged_references,
    references_of,
    tabulate_answers,
)
from bedrock_sluice.transforms.reasons import Reason
from bedrock_sluice.transforms.settings import MINIMUM_RESPONSES, MINIMUM_SHARE, ConflictRule

REQUEST_ID = "request_id"


NO_PASSTHROUGH = pl.lit(None, pl.String)
WRONG_ANSWERS: dict[str, ColumnType] = {"prompt_digest": pl.String, "form": pl.String}


class ResponseMap(Protocol):
    """Does work on the responses of rows, in pieces.

    The work is given `exchange` and `response` (JSON of a chat message). It may be done in another
    process, so it is a function of a module, or a `partial` of one.
    """

    def __call__(
        self, rows: pl.DataFrame, work: Callable[[pl.DataFrame], pl.DataFrame]
    ) -> Iterable[pl.DataFrame]:
        """Return what the work returns for each piece."""
        ...


@dataclass(frozen=True, slots=True)
class AnswerContext:
    """The frames that answers are looked up in, and the format of references.

    The frames have `request_id, prompt_digest, exchange, timestamp, request_metadata`: `prompts`
    need an answer, `members` are all exchanges, kept or dropped, and `candidate_responses` are the
    exchanges whose responses may be an answer; no other response is ever used as one.
    """

    prompts: pl.DataFrame
    members: pl.DataFrame
    candidate_responses: pl.DataFrame
    map_responses: ResponseMap
    reference_format: ReferenceFormat

    def own_responses(self) -> pl.DataFrame:
        """Return the prompts whose own response may be their answer."""
        return self.prompts.join(
            self.candidate_responses, on="exchange", how="semi", maintain_order="left"
        )

    def select_of_prompts(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Select the rows of a frame whose prompt needs an answer."""
        return frame.join(self.prompts, on="prompt_digest", how="semi")

    def encode_reference(self, reference: Reference | None) -> dict[str, str | None]:
        """Return `REFERENCE_COLUMNS`: the JSON of a reference and its form.

        The form is a digest, equal for references that are one answer to the grader.
        """
        if reference is None:
            return {"reference_answer": None, "form": None}
        text, form = encode_reference(self.reference_format, reference)
        return {"reference_answer": text, "form": form}

    def read_references(self, rows: pl.DataFrame) -> Iterable[pl.DataFrame]:
        """Read the references in the responses of rows, as pieces of `EXCHANGE_REFERENCES`."""
        return self.map_responses(rows, partial(references_of, self.reference_format))

    def answers_by_exchange(self, pieces: Iterable[pl.DataFrame]) -> pl.DataFrame:
        """Return answers (schema `ANSWERS`) from pieces of `EXCHANGE_ANSWERS`."""
        own = self.prompts.select(REQUEST_ID, "exchange")
        problem = pl.when(pl.col("reference_answer").is_null()).then(
            pl.lit(Reason.ANSWER_UNFIT.value)
        )
        rows = own.join(concat_pieces(pieces, EXCHANGE_ANSWERS), on="exchange")
        return rows.with_columns(problem=problem).select(
            REQUEST_ID, "reference_answer", "problem", passthrough=NO_PASSTHROUGH
        )

    def answers_by_digest(self, answers: pl.DataFrame) -> pl.DataFrame:
        """Return answers (schema `ANSWERS`) from one row per `prompt_digest`."""
        prompts = self.prompts.select(REQUEST_ID, "prompt_digest")
        return prompts.join(answers, on="prompt_digest").select(ANSWERS.names())


def concat_pieces(pieces: Iterable[pl.DataFrame], schema: Mapping[str, ColumnType]) -> pl.DataFrame:
    """Concatenate pieces, of which there may be none."""
    return pl.concat([pl.DataFrame(schema=schema), *pieces])


class SourceResult(NamedTuple):
    """The answers of a table (schema `ANSWERS`, at most one row a prompt), and its rows, counted.

    Of `rows` rows, those of the keys `unmatched_keys` (one entry a row) match no prompt that needs
    an answer. Of the others, `late` are from after the cut-off, `no_time` have no time to compare
    with it, and `unreadable` make no reference. The rest is `usable`: pairs of `row` and
    `prompt_digest`.
    """

    answers: pl.DataFrame
    rows: int
    unmatched_keys: pl.Series
    late: int
    no_time: int
    unreadable: int
    usable: pl.DataFrame


def label_answers(
    context: AnswerContext,
    labels: Iterable[Row],
    key: str = REQUEST_ID,
    rule: ConflictRule = "drop",
    cutoff: datetime | None = None,
) -> SourceResult:
    """Return answers from labels: rows with `key`, a template's fields and maybe `labelled_at`.

    `key` is `request_id`, or a metadata key: then a label is for every prompt with that value.
    """
    members = context.select_of_prompts(context.members)
    owners = members.select("prompt_digest", key=_key_column(key)).drop_nulls().unique()
    keys, labels = frozenset(owners["key"]), list(labels)
    reference_format = context.reference_format
    rows = []
    for label in labels:
        if label[key] in keys:
            fields = reference_format.passthrough(label)
            rows.append(
                {
                    "key": label[key],
                    "labelled_at": label.get("labelled_at"),
                    "passthrough": canonical_json(fields).decode() if fields else None,
                    **context.encode_reference(reference_format.from_fields(label)),
                }
            )
    schema: dict[str, ColumnType] = {"key": pl.String, **LABEL_ROWS}
    frame = pl.DataFrame(rows, schema=schema).drop("prompt_digest").with_row_index("row")
    in_time = select_before_cutoff(frame, cutoff)
    matches = in_time.rows.join(owners, on="key")
    return SourceResult(
        context.answers_by_digest(resolve_answers(matches.select(LABEL_ROWS.names()), rule)),
        rows=len(labels),
        unmatched_keys=find_unmatched_keys((label[key] for label in labels), keys),
        late=in_time.late,
        no_time=in_time.no_time,
        unreadable=in_time.rows["form"].null_count(),
        usable=matches.drop_nulls("form").select("row", "prompt_digest"),
    )


def find_unmatched_keys(keys: Iterable[str], matching: Collection[str]) -> pl.Series:
    """Return the keys that are not among the `matching` ones, repeated ones too."""
    return pl.Series([key for key in keys if key not in matching], dtype=pl.String)


def labelled_requests(
    exchanges: pl.DataFrame,
    labels: Iterable[Row],
    key: str = REQUEST_ID,
    cutoff: datetime | None = None,
) -> pl.Series:
    """Return the ids of the requests that have a label which counts, sorted.

    A label counts if it is from before the `cutoff`, whatever its content.
    """
    rows = [{"key": label[key], "labelled_at": label.get("labelled_at")} for label in labels]
    schema: dict[str, ColumnType] = {"key": pl.String, "labelled_at": LABEL_ROWS["labelled_at"]}
    keys = select_before_cutoff(pl.DataFrame(rows, schema=schema), cutoff).rows["key"].unique()
    return exchanges.filter(_key_column(key).is_in(keys.implode()))[REQUEST_ID].unique().sort()


def _key_column(key: str) -> pl.Expr:
    return pl.col(REQUEST_ID) if key == REQUEST_ID else pl.col("request_metadata").map.get(key)


def metadata_answers(context: AnswerContext, key: str | None) -> pl.DataFrame:
    """Return answers that callers logged in the request metadata: under a key, or several.

    Without a `key` the template knows which; then it is not a problem if they make no answer.
    """
    tags = context.prompts.select("exchange", "request_metadata").drop_nulls()
    references = [
        (number, context.reference_format.from_metadata(metadata, key))
        for number, pairs in tags.iter_rows()
        for metadata in (dict(pairs),)
        if key is None or key in metadata
    ]
    if key is None:
        references = [pair for pair in references if pair[1] is not None]
    numbers, values = [number for number, _ in references], [each for _, each in references]
    return context.answers_by_exchange([tabulate_answers(numbers, values)])


def logged_answers(
    context: AnswerContext, wrong_answers: pl.DataFrame | None = None
) -> pl.DataFrame:
    """Return the logged responses as answers; a prompt with a wrong answer gets a problem instead.

    `wrong_answers` has the columns `WRONG_ANSWERS`.
    """
    work = partial(logged_references, context.reference_format)
    pieces = context.map_responses(context.own_responses(), work)
    return _reject_wrong(context, context.answers_by_exchange(pieces), wrong_answers)


def extracted_answers(
    context: AnswerContext, extraction: Extraction, wrong_answers: pl.DataFrame | None = None
) -> pl.DataFrame:
    """Return what is extracted from the logged responses; see `logged_answers`.

    A response that has no value there gives no answer, and no problem.
    """
    work = partial(extracted_references, context.reference_format, extraction)
    pieces = context.map_responses(context.own_responses(), work)
    return _reject_wrong(context, context.answers_by_exchange(pieces), wrong_answers)


def _reject_wrong(
    context: AnswerContext, answers: pl.DataFrame, wrong_answers: pl.DataFrame | None
) -> pl.DataFrame:
    if wrong_answers is None:
        return answers
    # A wrong response to any duplicate of the prompt counts: it makes the others doubtful too.
    requests = context.prompts.join(wrong_answers, on="prompt_digest", how="semi")[REQUEST_ID]
    is_wrong = pl.col(REQUEST_ID).is_in(requests.implode())
    problem = pl.lit(Reason.ANSWER_REJECTED.value)
    return answers.with_columns(
        reference_answer=pl.when(~is_wrong).then("reference_answer"),
        problem=pl.when(is_wrong).then(problem).otherwise("problem"),
    )


def agreement_answers(
    context: AnswerContext,
    wrong_answers: pl.DataFrame | None = None,
    minimum_share: float = MINIMUM_SHARE,
    minimum_responses: int = MINIMUM_RESPONSES,
) -> pl.DataFrame:
    """Return the answer that most responses to a prompt give; no row for too few responses.

    More responses must give it than any other answer, and at least `minimum_share` of all,
    responses without an answer included. Its text is that of the prompt's own response, if that
    gives it, else of the newest that does.
    """
    responses = context.select_of_prompts(context.candidate_responses)
    responses = responses.filter(pl.len().over("prompt_digest") >= minimum_responses)
    # Forms alone are held for all responses; texts are read again for the winners.
    forms = [piece.drop("reference_answer") for piece in context.read_references(responses)]
    own = context.prompts["exchange"].implode()
    votes = responses.with_columns(is_own=pl.col("exchange").is_in(own)).join(
        concat_pieces(forms, {"exchange": pl.UInt32, "form": pl.String}), on="exchange"
    )
    winners = _elect(votes, minimum_share)
    references = context.read_references(winners.drop_nulls("form"))
    texts = concat_pieces(references, EXCHANGE_REFERENCES).drop("form")
    wrong_digests = winners.join(
        pl.DataFrame(schema=WRONG_ANSWERS) if wrong_answers is None else wrong_answers,
        on=["prompt_digest", "form"],
        how="semi",
    )["prompt_digest"]
    is_wrong = pl.col("prompt_digest").is_in(wrong_digests.implode())
    answers = winners.join(texts, on="exchange", how="left").with_columns(
        reference_answer=pl.when(~is_wrong).then("reference_answer"),
        problem=pl.when(is_wrong).then(pl.lit(Reason.ANSWER_REJECTED.value)).otherwise("problem"),
        passthrough=NO_PASSTHROUGH,
    )
    return context.answers_by_digest(answers)


def _elect(votes: pl.DataFrame, minimum_share: float) -> pl.DataFrame:
    """Return for each prompt the winning `form` and the `exchange` to quote, or the `problem`."""
    order = ["is_own", "timestamp", "request_id"]
    best_first = votes.sort(order, descending=[True, True, False], nulls_last=True)
    tallies = best_first.group_by("prompt_digest", "form").agg(
        pl.col("exchange").first(), votes=pl.len()
    )
    shares = tallies.with_columns(
        share=pl.col("votes") / pl.col("votes").sum().over("prompt_digest")
    )
    best = (
        shares.drop_nulls("form")
        .filter(pl.col("votes") == pl.col("votes").max().over("prompt_digest"))
        .filter(pl.len().over("prompt_digest") == 1, pl.col("share") >= minimum_share)
    )
    has_answer = tallies.group_by("prompt_digest").agg(
        pl.col("form").is_not_null().any().alias("has_answer")
    )
    return has_answer.join(best, on="prompt_digest", how="left").with_columns(
        problem=pl.when(~pl.col("has_answer"))
        .then(pl.lit(Reason.ANSWER_UNFIT.value))
        .when(pl.col("form").is_null())
        .then(pl.lit(Reason.ANSWER_DISAGREEMENT.value))
    )
