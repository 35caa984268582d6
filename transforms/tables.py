"""The tables that pass between stages: their names, columns and types, in one place.

Two kinds: files of Parquet (`LANDED`, `EXCHANGES`) have Arrow schemas; frames in memory are a
`Table`, which `fates.Ledger` checks when a stage hands one on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from bedrock_sluice.transforms.errors import IntegrityError

BODY_DIGEST_BYTES = 8

_UTC = pa.timestamp("us", tz="UTC")
_TEXTS = pa.map_(pa.string(), pa.string())

LANDED = pa.schema(
    [
        pa.field("request_id", pa.string()),  # null where the line could not be read
        pa.field("timestamp", _UTC),  # of the call, by the log
        pa.field("account_id", pa.string()),
        pa.field("region", pa.string()),
        pa.field("model_id", pa.string()),  # an id, or an ARN that ends in one
        pa.field("operation", pa.string()),  # Converse, InvokeModel …
        pa.field("identity_arn", pa.string()),  # of the caller
        pa.field("error_code", pa.string()),  # null where the call succeeded
        pa.field("input_tokens", pa.int64()),  # as Bedrock counted them
        pa.field("output_tokens", pa.int64()),
        pa.field("request_metadata", _TEXTS),
        pa.field("input_body", pa.large_string()),  # JSON as it was logged
        pa.field("output_body", pa.large_string()),
        pa.field("input_body_uri", pa.string()),  # where Bedrock stored a body of its own
        pa.field("output_body_uri", pa.string()),
        pa.field("body_digest", pa.string()),  # equal for two deliveries of one record
        pa.field("object", pa.string(), nullable=False),  # key of the log object
        pa.field("line", pa.uint32(), nullable=False),  # from 1; 0 stands for the whole object
        pa.field("reason", pa.string()),  # why it is quarantined, else null
        pa.field("detail", pa.string()),  # says more than the reason, without record content
    ]
)
"""One row per record; `reason` is set where a line, or a whole object (line 0), was quarantined."""

RECORD_KEY = ("object", "line")  # the columns that name a record
BODY_COLUMNS = ("input_body", "output_body")

EXCHANGES = pa.schema(
    [
        pa.field("request_id", pa.string()),
        pa.field("timestamp", _UTC),
        pa.field("model_id", pa.string()),
        pa.field("operation", pa.string()),
        pa.field("identity_arn", pa.string()),
        pa.field("request_metadata", _TEXTS),
        pa.field("object", pa.string()),
        pa.field("line", pa.uint32()),
        pa.field("messages", pa.large_string()),  # JSON list of the chat messages of the prompt
        pa.field("response", pa.large_string()),  # JSON of the assistant's chat message
        pa.field("tools", pa.large_string()),  # JSON list of the tools on offer; null without any
        pa.field("reasoning", pa.large_string()),  # where the recipe keeps it
        pa.field("stop_reason", pa.string()),
        pa.field("dialect", pa.string()),  # name of the reader that knew the shape of the bodies
        pa.field("prompt_digest", pa.string()),
        pa.field("prompt_tokens", pa.int64()),
        pa.field("has_media", pa.bool_()),
        pa.field("has_prompt", pa.bool_()),
        pa.field("has_blank_turn", pa.bool_()),
        pa.field("has_response", pa.bool_()),
        pa.field("has_dangling_call", pa.bool_()),
        pa.field("is_user_last", pa.bool_()),
        pa.field("is_single_turn", pa.bool_()),
        pa.field("path", pa.list_(pa.uint64())),  # marks of the conversation: `ConversationMarks`
        pa.field("head", pa.uint64()),
        pa.field("tail", pa.uint64()),
        pa.field("system_digest", pa.string()),
        pa.field("dated_system_digest", pa.string()),
    ]
)
"""One row per record that was read: its chat messages, and the features that curation needs.

Columns without a remark mean the same as in `LANDED`, or in `COLUMNS`.
"""

TEXT_COLUMNS = ("messages", "response", "tools", "reasoning")


@dataclass(frozen=True, slots=True)
class Column:
    """The type of a column, and what it means."""

    kind: pl.DataType
    meaning: str


_TEXT, _FLAG, _MARK, _NUMBER = pl.String(), pl.Boolean(), pl.UInt64(), pl.UInt32()

COLUMNS: Mapping[str, Column] = {
    "object": Column(_TEXT, "key of the log object"),
    "line": Column(_NUMBER, "its line there, from 1; 0 is the whole object"),
    "request_id": Column(_TEXT, "id of the record; null where it could not be read"),
    "reason": Column(_TEXT, "why the record was not kept (`reasons.Reason`), else null"),
    "survivor": Column(_TEXT, "id of the record that was kept instead, where there is one"),
    "detail": Column(_TEXT, "more about the reason, without record content"),
    "lacks_negated_key": Column(_FLAG, "a negated filter holds only because the key is missing"),
    "exchange": Column(_NUMBER, "row in the files of `EXCHANGES`, counted over all of them"),
    "timestamp": Column(pl.Datetime("us", "UTC"), "time of the call"),
    "model_id": Column(_TEXT, "id of the model, or an ARN that ends in one"),
    "identity_arn": Column(_TEXT, "the caller"),
    "request_metadata": Column(pl.Map(_TEXT, _TEXT), "as it was logged, with derived keys"),
    "stop_reason": Column(_TEXT, "why the model stopped, in one vocabulary for all dialects"),
    "prompt_digest": Column(_TEXT, "equal for equal messages and tools, whatever their blanks"),
    "prompt_tokens": Column(pl.Int64(), "estimated tokens of messages and tools"),
    "has_media": Column(_FLAG, "there is an image, document, audio or video"),
    "has_prompt": Column(_FLAG, "the user said something"),
    "has_blank_turn": Column(_FLAG, "a message is empty"),
    "has_response": Column(_FLAG, "the response has text or a tool call"),
    "has_dangling_call": Column(_FLAG, "a tool call of the history has no result, or no tool"),
    "is_user_last": Column(_FLAG, "the last message is the user's"),
    "is_single_turn": Column(_FLAG, "there is no earlier turn"),
    "path": Column(pl.List(_MARK), "a mark for each beginning of the conversation, the whole last"),
    "head": Column(_MARK, "mark of the first turn that was answered, with its answer"),
    "tail": Column(_MARK, "mark of the last turn, with the response"),
    "system_digest": Column(_TEXT, "digest of the system message"),
    "dated_system_digest": Column(_TEXT, "likewise, with its dates masked"),
    "conversation": Column(_TEXT, "name of the conversation that the exchange is a turn of"),
    "root": Column(_TEXT, "keyed hash of what the user said first, or of the recipe's group"),
    "duplicates": Column(_NUMBER, "dropped duplicates that the prompt stands for"),
    "is_clean": Column(_FLAG, "no secrets or personal data were found in the prompt"),
    "reference_answer": Column(_TEXT, "JSON, as the template shapes it"),
    "reference_source": Column(_TEXT, "the source of the answer: review, labels, logged …"),
    "passthrough": Column(_TEXT, "JSON object of passthrough fields from a label, or null"),
    "split": Column(_TEXT, "train or validation"),
    "group": Column(_TEXT, "lowest root of those that must stay on one side"),
    "json": Column(_TEXT, "the line as it is written"),
    "is_instructed": Column(_FLAG, "the template's instruction was added to the prompt"),
    "fate": Column(_TEXT, "train, validation, dropped or quarantined"),
    "stage": Column(_TEXT, "the stage that decided the fate"),
    "id": Column(_TEXT, "id of the line: that of its record"),
    "score": Column(pl.Float64(), "reward by the grader; null where it gave none"),
}
"""What each column means, in whatever table it stands."""


@dataclass(frozen=True, slots=True)
class Table:
    """A frame that one stage hands to the next."""

    name: str
    columns: tuple[str, ...]

    @property
    def schema(self) -> pl.Schema:
        """The columns and their types, in the order of the table."""
        return pl.Schema({name: COLUMNS[name].kind for name in self.columns})

    def check(self, frame: pl.DataFrame, stage: str) -> pl.DataFrame:
        """Return the columns of this table; others end with the stage that made them.

        Raises:
            IntegrityError: columns are missing, or have another type.
        """
        faults = [
            f"{name} (missing)" if actual is None else f"{name} ({actual}, expected {kind})"
            for name, kind in self.schema.items()
            if (actual := frame.schema.get(name)) != kind
        ]
        if faults:
            raise IntegrityError(
                f"the frame does not fit the table {self.name}: {', '.join(faults)}",
                place=f"stage {stage}",
                value=", ".join(faults),
                hint="nothing was published. This is a bug in Sluice: please report it",
            )
        return frame.select(self.columns)


_KEYS = ("object", "line", "request_id")

RECORDS = Table("RECORDS", (*_KEYS, "reason", "survivor", "detail", "lacks_negated_key"))
"""One row per record of the window, as the recipe selects it or not."""

READ_EXCHANGES = Table(
    "READ_EXCHANGES",
    (
        *("exchange", *_KEYS, "timestamp", "model_id", "identity_arn", "request_metadata"),
        *("stop_reason", "prompt_digest", "prompt_tokens", "has_media", "has_prompt"),
        *("has_blank_turn", "has_response", "has_dangling_call", "is_user_last", "is_single_turn"),
        *("path", "head", "tail", "system_digest", "dated_system_digest"),
    ),
)
"""One row per exchange on disk (`EXCHANGES`), without its texts."""

# Until a prompt is written as a line; `exchange` finds its texts.
_PROMPT = (
    *("exchange", *_KEYS, "timestamp", "model_id", "request_metadata", "prompt_digest"),
    *("root", "duplicates", "is_clean"),
)
_ANSWER = ("reference_answer", "reference_source", "passthrough")
_SIDE = ("group", "split")

PROMPTS = Table("PROMPTS", (*_PROMPT, "prompt_tokens", "path", "conversation"))
"""One row per prompt that curation kept."""

ANSWERED = Table("ANSWERED", (*PROMPTS.columns, *_ANSWER))
"""One row per prompt that has a reference answer."""

SPLIT = Table("SPLIT", (*_PROMPT, *_ANSWER, *_SIDE))
"""One row per prompt that has a side, and a place among `max_lines`."""

LINES = Table(
    "LINES",
    (
        *(*_KEYS, "timestamp", "model_id", "prompt_digest", "root", "duplicates"),
        *("reference_source", *_SIDE, "json", "is_instructed"),
    ),
)
"""One row per line of the release."""

STAGES: Mapping[str, Table] = {
    "pull": RECORDS,
    "select": RECORDS,
    "rights": RECORDS,
    "normalise": READ_EXCHANGES,
    "review": READ_EXCHANGES,
    "curate": PROMPTS,
    "answer": ANSWERED,
    "split": SPLIT,
    "render": LINES,
    "grade": LINES,
}
"""The table that each stage hands on, in the order of a build."""

FATES = Table("FATES", (*_KEYS, "fate", "stage", "reason", "survivor", "detail")).schema
"""One row per record, whatever became of it; a file of the release."""

PROVENANCE = Table(
    "PROVENANCE",
    (
        *("id", "request_id", "prompt_digest", "timestamp", "model_id", "split", "group", "root"),
        *("reference_source", "duplicates"),
    ),
).schema
"""One row per line; a file of the release."""

SCORES = Table("SCORES", ("id", "request_id", "score")).schema
"""One row per response that the grader of the recipe was tried on; `request_id` is that of the
response. A file of the release, if its recipe tries one."""


def landed_table(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Return rows of `records.decode_object` as an Arrow table with the schema `LANDED`.

    `body_digest` is computed here, where the bodies that were stored apart are known too.
    """
    columns = {name: [row.get(name) for row in rows] for name in LANDED.names}
    columns["body_digest"] = list(
        map(_body_digest, columns["request_id"], columns["input_body"], columns["output_body"])
    )
    return pa.table(columns, schema=LANDED)


def _body_digest(
    request_id: str | None, input_body: str | None, output_body: str | None
) -> str | None:
    """Return a digest that differs where two records of one id carry different bodies."""
    if request_id is None:
        return None
    content = f"{input_body or ''}\0{output_body or ''}".encode()
    return blake2b(content, digest_size=BODY_DIGEST_BYTES).hexdigest()


REPETITIVE = frozenset({"object", "model_id", "identity_arn"})
"""Columns of long texts that many rows share."""


def compact(frame: pl.DataFrame) -> pl.DataFrame:
    """Return an equal frame that holds no memory beside that of its rows.

    In polars, a few rows of a column of text hold the texts of all rows that it was made of; and a
    column from Arrow holds all columns that came with it. Of `REPETITIVE` columns, each text is
    held only once: the key of a log object has a hundred bytes, and stands beside all its records.
    """
    return pl.DataFrame(
        [_share(each) if each.name in REPETITIVE else _copy(each) for each in frame.get_columns()]
    )


def _copy(column: pl.Series) -> pl.Series:
    if column.dtype == pl.String or column.dtype.is_nested():
        # The oldest form has no views into the texts of other columns.
        array = column.to_arrow(compat_level=pl.CompatLevel.oldest())
        return pl.Series(column.name, array, column.dtype)
    return column.gather(np.arange(len(column)))


def _share(texts: pl.Series) -> pl.Series:
    values = texts.drop_nulls().unique()
    codes = texts.cast(pl.Enum(values)).to_physical()
    return _copy(values).gather(codes)
