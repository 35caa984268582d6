"""The sources of reference answers: frames of prompts and responses in, frames of answers out.

What is known of one request is known of its prompt: labels, judgements and responses of the exact
duplicates that curation dropped count for the one that it kept.
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
    TOLD,
    ConflictRule,
    settle,
    told_before,
)
from bedrock_sluice.transforms.answers.extract import Extraction, extract
from bedrock_sluice.transforms.reasons import Reason

REQUEST_ID = "request_id"
FORM_BYTES = 16
MINIMUM_SHARE = 0.6
MINIMUM_RESPONSES = 2

Reference = dict[str, Any] | str
Row = Mapping[str, Any]
Kind = pl.DataType | type[pl.DataType]

NO_PASSTHROUGH = pl.lit(None, pl.String)
MADE: dict[str, Kind] = {"reference_answer": pl.String, "form": pl.String}
READ: dict[str, Kind] = {"exchange": pl.UInt32, **MADE}
WRONG: dict[str, Kind] = {"prompt_digest": pl.String, "form": pl.String}


class Shape(Protocol):
    """How answers become references, as templates know it."""

    def from_fields(self, fields: Row) -> Reference | None:
        """A reference from the fields of a label; None where they do not make one."""
        ...

    def from_metadata(self, metadata: Mapping[str, str], key: str | None) -> Reference | None:
        """A reference from request metadata, of which `key` holds the answer."""
        ...

    def from_text(self, text: str) -> Reference | None:
        """A reference from a whole answer; None if it has none."""
        ...

    def from_response(self, message: Row) -> Reference | None:
        """A reference from the assistant's message as it was logged; None if it has none."""
        ...

    def comparison_key(self, reference: Reference) -> object:
        """What the grader looks at: references that are the same in this do not contradict."""
        ...

    def passthrough(self, fields: Row) -> Mapping[str, Any]:
        """The fields of a label that the line carries beside the reference."""
        ...


@dataclass(frozen=True, slots=True)
class AnswerContext:
    """What answers are found from.

    The frames have `request_id, prompt_digest, exchange, timestamp, request_metadata`: `prompts`
    are to be answered, `members` are all exchanges, whatever became of them, and `voters` those
    whose responses may be an answer: of no others is a response ever read as one. `responses` gives
    `exchange` and `response` (JSON of a chat message) of the rows of a frame, in pieces.
    """

    prompts: pl.DataFrame
    members: pl.DataFrame
    candidate_responses: pl.DataFrame
    responses: Callable[[pl.DataFrame], Iterable[pl.DataFrame]]
    shape: Shape

    def own_responses(self) -> pl.DataFrame:
        """The prompts whose own response may be their answer."""
        return self.prompts.join(
            self.candidate_responses, on="exchange", how="semi", maintain_order="left"
        )

    def of_prompts(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The rows of a frame whose prompt is to be answered."""
        return frame.join(self.prompts, on="prompt_digest", how="semi")

    def made(self, reference: Reference | None) -> dict[str, str | None]:
        """The text of a reference, and its form: equal forms are one answer to the grader."""
        if reference is None:
            return {"reference_answer": None, "form": None}
        essence = _canonical(self.shape.comparison_key(reference))
        form = blake2b(essence, digest_size=FORM_BYTES).hexdigest()
        return {"reference_answer": _canonical(reference).decode(), "form": form}

    def from_value(self, value: object) -> Reference | None:
        """A reference from one value: all the fields of a label, or the answer alone."""
        if isinstance(value, dict):
            return self.shape.from_fields(value)
        made = self.shape.from_fields({"answer": value, "final_answer": value})
        return self.shape.from_text(value) if made is None and isinstance(value, str) else made

    def read(self, wanted: pl.DataFrame) -> Iterator[pl.DataFrame]:
        """The references that the responses to rows hold, in pieces with the columns `READ`."""
        for piece in self.responses(wanted):
            pairs = piece.select("exchange", "response").iter_rows()
            yield self.referenced(
                (exchange, self.shape.from_response(msgspec.json.decode(response)))
                for exchange, response in pairs
            )

    def referenced(self, pairs: Iterable[tuple[int, Reference | None]]) -> pl.DataFrame:
        """A frame of the columns `READ`, of pairs of an exchange and its reference."""
        rows = [{"exchange": number, **self.made(reference)} for number, reference in pairs]
        return pl.DataFrame(rows, schema=READ)

    def of_exchanges(self, pieces: Iterable[pl.DataFrame]) -> pl.DataFrame:
        """Answers (schema `ANSWERS`) from pieces with the columns `READ`."""
        own = self.prompts.select(REQUEST_ID, "exchange")
        problem = pl.when(pl.col("reference_answer").is_null()).then(
            pl.lit(Reason.ANSWER_UNFIT.value)
        )
        told = own.join(joined(pieces, READ), on="exchange").with_columns(problem=problem)
        return told.select(REQUEST_ID, "reference_answer", "problem", passthrough=NO_PASSTHROUGH)

    def of_digests(self, settled: pl.DataFrame) -> pl.DataFrame:
        """Answers (schema `ANSWERS`) from those of each `prompt_digest`."""
        prompts = self.prompts.select(REQUEST_ID, "prompt_digest")
        return prompts.join(settled, on="prompt_digest").select(ANSWERS.names())


def joined(pieces: Iterable[pl.DataFrame], schema: Mapping[str, Kind]) -> pl.DataFrame:
    """The pieces, of which there may be none, as one frame."""
    return pl.concat([pl.DataFrame(schema=schema), *pieces])


def _canonical(value: object) -> bytes:
    return msgspec.json.encode(value, order="deterministic")


class Sourced(NamedTuple):
    """Answers (schema `ANSWERS`, at most one row a prompt), and what became of the rows told.

    Of so many `rows`, those of the keys `unmatched` belong to no prompt that is to be answered; of
    the others, `late` came after the cut-off, `undated` do not say whether they did, and
    `unreadable` make no answer. What is left is `usable`: pairs of `row` and `prompt_digest`.
    """

    answers: pl.DataFrame
    rows: int
    unmatched: pl.Series
    late: int
    undated: int
    unreadable: int
    usable: pl.DataFrame


class TableUsage(NamedTuple):
    """How the rows of a table were used: each row of `rows` is counted once more.

    `not_selected` are for records of the logs that are not to be answered, `unknown` for none of
    the logs; `unused` were contradicted, or another source came first. `prompts` is the number of
    prompts that have a usable row.
    """

    rows: int
    used: int
    not_selected: int
    unknown: int
    unreadable: int
    late: int
    undated: int
    unused: int
    prompts: int


def table_usage(sourced: Sourced, seen: pl.Series, decided: pl.Series) -> TableUsage:
    """How the rows of a table were used.

    `seen` are all keys in the logs, `decided` the digests of the prompts whose answer, or the lack
    of one, comes from this table.
    """
    known = int(sourced.unmatched.is_in(seen.unique().implode()).sum())
    usable = sourced.usable
    used = usable.filter(pl.col("prompt_digest").is_in(decided.implode()))["row"].n_unique()
    return TableUsage(
        rows=sourced.rows,
        used=used,
        not_selected=known,
        unknown=sourced.unmatched.len() - known,
        unreadable=sourced.unreadable,
        late=sourced.late,
        undated=sourced.undated,
        unused=usable["row"].n_unique() - used,
        prompts=usable["prompt_digest"].n_unique(),
    )


def label_answers(
    material: AnswerContext,
    labels: Iterable[Row],
    key: str = REQUEST_ID,
    rule: ConflictRule = "drop",
    before: datetime | None = None,
) -> Sourced:
    """Answers that people gave: rows with `key`, a template's fields and maybe `labelled_at`.

    `key` is `request_id`, or a metadata key: then a label is for every prompt of that value.
    """
    members = material.of_prompts(material.members)
    owners = members.select("prompt_digest", key=_whose(key)).drop_nulls().unique()
    wanted, labels = frozenset(owners["key"]), list(labels)
    rows = [
        {
            "key": label[key],
            "labelled_at": label.get("labelled_at"),
            "passthrough": _passthrough(material.shape, label),
            **material.made(material.shape.from_fields(label)),
        }
        for label in labels
        if label[key] in wanted
    ]
    schema: dict[str, Kind] = {"key": pl.String, **TOLD}
    numbered = pl.DataFrame(rows, schema=schema).drop("prompt_digest").with_row_index("row")
    timely = told_before(numbered, before)
    matched = timely.told.join(owners, on="key")
    return Sourced(
        material.of_digests(settle(matched.select(TOLD.names()), rule)),
        rows=len(labels),
        unmatched=unmatched_keys((label[key] for label in labels), wanted),
        late=timely.late,
        undated=timely.undated,
        unreadable=timely.told["form"].null_count(),
        usable=matched.drop_nulls("form").select("row", "prompt_digest"),
    )


def unmatched_keys(keys: Iterable[str], wanted: Collection[str]) -> pl.Series:
    """The keys that are not wanted, as often as they stand there."""
    return pl.Series([key for key in keys if key not in wanted], dtype=pl.String)


def _passthrough(shape: Shape, label: Row) -> str | None:
    held = shape.passthrough(label)
    return _canonical(held).decode() if held else None


def labelled_requests(
    exchanges: pl.DataFrame,
    labels: Iterable[Row],
    key: str = REQUEST_ID,
    before: datetime | None = None,
) -> pl.Series:
    """Return the ids of the requests that have a label which counts, whatever it says, sorted."""
    rows = [{"key": label[key], "labelled_at": label.get("labelled_at")} for label in labels]
    schema: dict[str, Kind] = {"key": pl.String, "labelled_at": TOLD["labelled_at"]}
    keys = told_before(pl.DataFrame(rows, schema=schema), before).told["key"].unique()
    return exchanges.filter(_whose(key).is_in(keys.implode()))[REQUEST_ID].unique().sort()


def _whose(key: str) -> pl.Expr:
    return pl.col(REQUEST_ID) if key == REQUEST_ID else pl.col("request_metadata").map.get(key)


def metadata_answers(material: AnswerContext, key: str | None) -> pl.DataFrame:
    """Answers that callers logged with their requests: under a metadata key, or several.

    Without a `key` the template knows which; then it is no problem, if they make no answer.
    """
    tagged = material.prompts.select("exchange", "request_metadata").drop_nulls()
    references = [
        (number, material.shape.from_metadata(held, key))
        for number, pairs in tagged.iter_rows()
        for held in (dict(pairs),)
        if key is None or key in held
    ]
    told = [each for each in references if key is not None or each[1] is not None]
    return material.of_exchanges([material.referenced(told)])


def logged_answers(material: AnswerContext, wrong: pl.DataFrame | None = None) -> pl.DataFrame:
    """The answers that the models gave; of prompts with a `wrong` one, that is a problem."""
    told = material.of_exchanges(material.read(material.own_responses()))
    return _unless_wrong(material, told, wrong)


def extracted_answers(
    material: AnswerContext, asked: Extraction, wrong: pl.DataFrame | None = None
) -> pl.DataFrame:
    """What stands at one place of the models' answers, maybe nothing; else as `logged_answers`."""
    told = [
        material.referenced(
            (number, material.from_value(value))
            for number, value in zip(
                piece["exchange"], extract(piece["response"], asked), strict=True
            )
            if value is not None
        )
        for piece in material.responses(material.own_responses())
    ]
    return _unless_wrong(material, material.of_exchanges(told), wrong)


def _unless_wrong(
    material: AnswerContext, told: pl.DataFrame, wrong: pl.DataFrame | None
) -> pl.DataFrame:
    if wrong is None:
        return told
    judged = material.prompts.join(wrong, on="prompt_digest", how="semi")[REQUEST_ID]
    is_wrong = pl.col(REQUEST_ID).is_in(judged.implode())
    rejected = pl.lit(Reason.ANSWER_REJECTED.value)
    return told.with_columns(
        reference_answer=pl.when(~is_wrong).then("reference_answer"),
        problem=pl.when(is_wrong).then(rejected).otherwise("problem"),
    )


def agreement_answers(
    material: AnswerContext,
    wrong: pl.DataFrame | None = None,
    minimum_share: float = MINIMUM_SHARE,
    minimum_responses: int = MINIMUM_RESPONSES,
) -> pl.DataFrame:
    """The answer that most responses to a prompt give; no row where there are too few responses.

    More than any other must give it, and `minimum_share` of all, of those without an answer too.
    It is told in the words of the prompt's own response, else of the newest that gives it.
    """
    candidate_responses = material.of_prompts(material.candidate_responses)
    candidate_responses = candidate_responses.filter(
        pl.len().over("prompt_digest") >= minimum_responses
    )
    forms = [piece.drop("reference_answer") for piece in material.read(candidate_responses)]
    own = material.prompts["exchange"].implode()
    candidate_responses = candidate_responses.with_columns(is_own=pl.col("exchange").is_in(own))
    votes = candidate_responses.join(
        joined(forms, {"exchange": pl.UInt32, "form": pl.String}), on="exchange"
    )
    elected = _elect(votes, minimum_share)
    texts = joined(material.read(elected.drop_nulls("form")), READ).drop("form")
    is_wrong = elected.join(
        pl.DataFrame(schema=WRONG) if wrong is None else wrong,
        on=["prompt_digest", "form"],
        how="semi",
    )["prompt_digest"]
    rejected = pl.col("prompt_digest").is_in(is_wrong.implode())
    settled = elected.join(texts, on="exchange", how="left").with_columns(
        reference_answer=pl.when(~rejected).then("reference_answer"),
        problem=pl.when(rejected).then(pl.lit(Reason.ANSWER_REJECTED.value)).otherwise("problem"),
        passthrough=NO_PASSTHROUGH,
    )
    return material.of_digests(settled)


def _elect(votes: pl.DataFrame, minimum_share: float) -> pl.DataFrame:
    """Of each prompt the `form` that won and the `exchange` to tell it, or the `problem`."""
    order = ["is_own", "timestamp", "request_id"]
    best_first = votes.sort(order, descending=[True, True, False], nulls_last=True)
    counted = best_first.group_by("prompt_digest", "form").agg(
        pl.col("exchange").first(), votes=pl.len()
    )
    shares = counted.with_columns(
        share=pl.col("votes") / pl.col("votes").sum().over("prompt_digest")
    )
    best = (
        shares.drop_nulls("form")
        .filter(pl.col("votes") == pl.col("votes").max().over("prompt_digest"))
        .filter(pl.len().over("prompt_digest") == 1, pl.col("share") >= minimum_share)
    )
    has_answer = counted.group_by("prompt_digest").agg(
        pl.col("form").is_not_null().any().alias("fit")
    )
    return has_answer.join(best, on="prompt_digest", how="left").with_columns(
        problem=pl.when(~pl.col("fit"))
        .then(pl.lit(Reason.ANSWER_UNFIT.value))
        .when(pl.col("form").is_null())
        .then(pl.lit(Reason.ANSWER_DISAGREEMENT.value))
    )
