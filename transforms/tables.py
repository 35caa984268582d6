"""The tables that pass between stages: their names, columns and types, in one place."""

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any

import polars as pl
import pyarrow as pa

BODY_DIGEST_BYTES = 8

LANDED = pa.schema(
    [
        pa.field("request_id", pa.string()),
        pa.field("timestamp", pa.timestamp("us", tz="UTC")),
        pa.field("account_id", pa.string()),
        pa.field("region", pa.string()),
        pa.field("model_id", pa.string()),
        pa.field("operation", pa.string()),
        pa.field("identity_arn", pa.string()),
        pa.field("error_code", pa.string()),
        pa.field("input_tokens", pa.int64()),
        pa.field("output_tokens", pa.int64()),
        pa.field("request_metadata", pa.map_(pa.string(), pa.string())),
        pa.field("input_body", pa.large_string()),
        pa.field("output_body", pa.large_string()),
        pa.field("input_body_uri", pa.string()),
        pa.field("output_body_uri", pa.string()),
        pa.field("body_digest", pa.string()),
        pa.field("object", pa.string(), nullable=False),
        pa.field("line", pa.uint32(), nullable=False),
        pa.field("reason", pa.string()),
        pa.field("detail", pa.string()),
    ]
)
"""One row per record; `reason` is set where a line, or a whole object (line 0), was quarantined."""

RECORD_KEY = ("object", "line")  # the columns that name a record
BODY_COLUMNS = ("input_body", "output_body")

EXCHANGES = pa.schema(
    [
        pa.field("request_id", pa.string()),
        pa.field("timestamp", pa.timestamp("us", tz="UTC")),
        pa.field("model_id", pa.string()),
        pa.field("operation", pa.string()),
        pa.field("identity_arn", pa.string()),
        pa.field("request_metadata", pa.map_(pa.string(), pa.string())),
        pa.field("object", pa.string()),
        pa.field("line", pa.uint32()),
        pa.field("messages", pa.large_string()),
        pa.field("response", pa.large_string()),
        pa.field("tools", pa.large_string()),
        pa.field("reasoning", pa.large_string()),
        pa.field("stop_reason", pa.string()),
        pa.field("dialect", pa.string()),
        pa.field("prompt_digest", pa.string()),
        pa.field("prompt_tokens", pa.int64()),
        pa.field("has_media", pa.bool_()),
        pa.field("has_prompt", pa.bool_()),
        pa.field("has_blank_turn", pa.bool_()),
        pa.field("has_response", pa.bool_()),
        pa.field("has_dangling_call", pa.bool_()),
        pa.field("is_user_last", pa.bool_()),
        pa.field("is_single_turn", pa.bool_()),
        pa.field("path", pa.list_(pa.uint64())),
        pa.field("head", pa.uint64()),
        pa.field("tail", pa.uint64()),
        pa.field("system_digest", pa.string()),
        pa.field("dated_system_digest", pa.string()),
    ]
)
"""One row per record that was read: its chat messages, and what curation judges it by."""

TEXT_COLUMNS = ("messages", "response", "tools", "reasoning")

_PROVENANCE: dict[str, pl.DataType | type[pl.DataType]] = {
    "id": pl.String,
    "request_id": pl.String,
    "prompt_digest": pl.String,
    "timestamp": pl.Datetime("us", "UTC"),
    "model_id": pl.String,
    "split": pl.String,
    "group": pl.String,
    "root": pl.String,
    "reference_source": pl.String,
    "duplicates": pl.UInt32,
}
PROVENANCE = pl.Schema(_PROVENANCE)


def landed_table(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Rows of `records.decode_object` as an Arrow table with the schema `tables.LANDED`.

    `body_digest` is made here, where the bodies that were stored apart are known too.
    """
    columns = {name: [row.get(name) for row in rows] for name in LANDED.names}
    columns["body_digest"] = [_body_digest(row) for row in rows]
    return pa.table(columns, schema=LANDED)


def _body_digest(row: Mapping[str, Any]) -> str | None:
    """A digest that tells whether two records of one id carry the same bodies."""
    if row.get("request_id") is None:
        return None
    digest = blake2b(digest_size=BODY_DIGEST_BYTES)
    for text in (row.get("input_body") or "", "\0", row.get("output_body") or ""):
        digest.update(text.encode())
    return digest.hexdigest()
