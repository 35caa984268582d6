"""The sources of reference answers: frames of prompts and responses in, frames of answers out.

Everything is looked up by prompt: labels, feedback and responses of the exact duplicates that
curation dropped count for the record that it kept.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from typing import Any, NamedTuple, Protocol

import msgspec
import polars as pl

from bedrock_sluice.transforms.answers.choice import (
    ANSWERS,
    LABEL_ROWS,
    resolve_answers,
    select_before_cutoff,
)
from bedrock_sluice.transforms.answers.extract import Extraction, extract
from bedrock_sluice.transforms.reasons import Reason
from bedrock_sluice.transforms.settings import MINIMUM_RESPONSES, MINIMUM_SHARE, ConflictRule

REQUEST_ID = "request_id"
FORM_BYTES = 16

Reference = dict[str, Any] | str
Row = Mapping[str, Any]
ColumnType = pl.DataType | type[pl.DataType]

NO_PASSTHROUGH = pl.lit(None, pl.String)
REFERENCE_COLUMNS: dict[str, ColumnType] = {"reference_answer": pl.String, "form": pl.String}
EXCHANGE_REFERENCES: dict[str, ColumnType] = {"exchange": pl.UInt32, **REFERENCE_COLUMNS}
WRONG_ANSWERS: dict[str, ColumnType] = {"prompt_digest": pl.String, "form": pl.String}


class ReferenceFormat(Protocol):
    """The part of a template that turns answers into references.

    Each method returns None where the input does not make a reference.
    """

    def from_fields(self, fields: Row) -> Reference | None:
        """Make a reference from the fields of a label."""
        ...

    def from_metadata(self, metadata: Mapping[str, str], key: str | None) -> Reference | None:
        """Make a reference from request metadata, of which `key` holds the answer."""
        ...

    def from_text(self, text: str) -> Reference | None:
        """Make a reference from the text of a whole answer."""
        ...

    def from_response(self, message: Row) -> Reference | None:
        """Make a reference from the assistant's message as it was logged."""
        ...

    def comparison_key(self, reference: Reference) -> object:
        """Return what the grader looks at: references with equal keys do not contradict."""
        ...

    def passthrough(self, fields: Row) -> Mapping[str, Any]:
        """Return the fields of a label that the line carries beside the reference."""
        ...


@dataclass(frozen=True, slots=True)
class AnswerContext:
    """The frames that answers are looked up in, and the format of references.

    The frames have `request_id, prompt_digest, exchange, timestamp, request_metadata`: `prompts`
    need an answer, `members` are all exchanges, kept or dropped, and `candidate_responses` are the
    exchanges whose responses may be an answer; no other response is ever used as one. `responses`
    reads `exchange` and `response` (JSON of a chat message) of the rows of a frame, in pieces.
    """

    prompts: pl.DataFrame
    members: pl.DataFrame
    candidate_responses: pl.DataFrame
    responses: Callable[[pl.DataFrame], Iterable[pl.DataFrame]]
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

    def from_value(self, value: object) -> Reference | None:
        """Make a reference from one value: an object with all fields of a label, or the answer."""
        return reference_from_value(self.reference_format, value)

    def read_references(self, rows: pl.DataFrame) -> Iterator[pl.DataFrame]:
        """Read the references in the responses of rows, as pieces of `EXCHANGE_REFERENCES`."""
        for piece in self.responses(rows):
            pairs = piece.select("exchange", "response").iter_rows()
            yield self.tabulate_references(
                (exchange, self.reference_format.from_response(msgspec.json.decode(response)))
                for exchange, response in pairs
            )

    def tabulate_references(self, pairs: Iterable[tuple[int, Reference | None]]) -> pl.DataFrame:
        """Return `EXCHANGE_REFERENCES` of pairs of an exchange and its reference."""
        numbers, forms, references = list[int](), list[str | None](), list[str | None]()
        for number, answer in pairs:
            reference = self.encode_reference(answer)
            numbers.append(number)
            references.append(reference["reference_answer"])
            forms.append(reference["form"])
        columns = {"exchange": numbers, "reference_answer": references, "form": forms}
        return pl.DataFrame(columns, schema=EXCHANGE_REFERENCES)

    def answers_by_exchange(self, pieces: Iterable[pl.DataFrame]) -> pl.DataFrame:
        """Return answers (schema `ANSWERS`) from pieces of `EXCHANGE_REFERENCES`."""
        own = self.prompts.select(REQUEST_ID, "exchange")
        problem = pl.when(pl.col("reference_answer").is_null()).then(
            pl.lit(Reason.ANSWER_UNFIT.value)
        )
        rows = own.join(concat_pieces(pieces, EXCHANGE_REFERENCES), on="exchange")
        return rows.with_columns(problem=problem).select(
            REQUEST_ID, "reference_answer", "problem", passthrough=NO_PASSTHROUGH
        )

    def answers_by_digest(self, answers: pl.DataFrame) -> pl.DataFrame:
        """Return answers (schema `ANSWERS`) from one row per `prompt_digest`."""
        prompts = self.prompts.select(REQUEST_ID, "prompt_digest")
        return prompts.join(answers, on="prompt_digest").select(ANSWERS.names())


def encode_reference(reference_format: ReferenceFormat, reference: Reference) -> tuple[str, str]:
    """Return the JSON of a reference, and its form: a digest, equal for what the grader equates."""
    key = _canonical_json(reference_format.comparison_key(reference))
    form = blake2b(key, digest_size=FORM_BYTES).hexdigest()
    return _canonical_json(reference).decode(), form


def reference_from_value(reference_format: ReferenceFormat, value: object) -> Reference | None:
    """Make a reference from one value: an object with all fields of a label, or the answer."""
    if isinstance(value, dict):
        return reference_format.from_fields(value)
    reference = reference_format.from_fields({"answer": value, "final_answer": value})
    if reference is None and isinstance(value, str):
        return reference_format.from_text(value)
    return reference


def reference_from_correction(
    reference_format: ReferenceFormat, correction: object
) -> Reference | None:
    """Make a reference from a correction: people write the whole answer, or only its value."""
    if isinstance(correction, str):
        reference = reference_format.from_text(correction)
        if reference is not None:
            return reference
    return reference_from_value(reference_format, correction)


def concat_pieces(pieces: Iterable[pl.DataFrame], schema: Mapping[str, ColumnType]) -> pl.DataFrame:
    """Concatenate pieces, of which there may be none."""
    return pl.concat([pl.DataFrame(schema=schema), *pieces])


def _canonical_json(value: object) -> bytes:
    return msgspec.json.encode(value, order="deterministic")


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
                    "passthrough": _canonical_json(fields).decode() if fields else None,
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
    return context.answers_by_exchange([context.tabulate_references(references)])


def logged_answers(
    context: AnswerContext, wrong_answers: pl.DataFrame | None = None
) -> pl.DataFrame:
    """Return the logged responses as answers; a prompt with a wrong answer gets a problem instead.

    `wrong_answers` has the columns `WRONG_ANSWERS`.
    """
    answers = context.answers_by_exchange(context.read_references(context.own_responses()))
    return _reject_wrong(context, answers, wrong_answers)


def extracted_answers(
    context: AnswerContext, extraction: Extraction, wrong_answers: pl.DataFrame | None = None
) -> pl.DataFrame:
    """Return what is extracted from the logged responses; see `logged_answers`.

    A response that has no value there gives no answer, and no problem.
    """
    pieces = [
        context.tabulate_references(
            (number, context.from_value(value))
            for number, value in zip(
                piece["exchange"], extract(piece["response"], extraction), strict=True
            )
            if value is not None
        )
        for piece in context.responses(context.own_responses())
    ]
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
