"""The lines of a dataset as tables: polars frames, and Arrow tables of JSON text."""

from collections.abc import Mapping
from pathlib import Path

import msgspec
import polars as pl
import pyarrow as pa

_FUNCTION = pl.Struct({"name": pl.String, "arguments": pl.String})
_TOOL_CALL = pl.Struct({"id": pl.String, "type": pl.String, "function": _FUNCTION})
MESSAGES = pl.List(
    pl.Struct(
        {
            "role": pl.String,
            "content": pl.String,
            "tool_calls": pl.List(_TOOL_CALL),
            "tool_call_id": pl.String,
        }
    )
)
"""OpenAI chat messages, as `transforms.chat.messages.Message` writes them."""

CHECKS = pl.Schema(
    {
        "name": pl.String(),
        "message": pl.String(),
        "severity": pl.String(),
        "passed": pl.Boolean(),
        "measured": pl.Float64(),
        "limit": pl.Struct({"min": pl.Float64, "max": pl.Float64}),
        "unit": pl.String(),
        "examples": pl.List(pl.String),
        "hint": pl.String(),
    }
)
"""The fields of `expectations.checks.Check`."""

DECISIONS = pl.Schema(
    {
        "number": pl.UInt32(),
        "verdict": pl.String(),
        "by": pl.String(),
        "role": pl.String(),
        "note": pl.String(),
        "override": pl.String(),
        "at": pl.Datetime("us", "UTC"),
    }
)
"""The fields of a decision that people read: not those that bind it to the release."""

Line = dict[str, msgspec.Raw]

_LINE = msgspec.json.Decoder(Line)
_MESSAGES = msgspec.json.Decoder(list[msgspec.Raw])
_HEAD = ("id", "messages", "reference_answer")


def line_frames(paths: Mapping[str, Path]) -> dict[str, pl.DataFrame]:
    """Read files of lines as frames, by side, all with the same columns.

    Their types do not depend on the content: fields other than `messages` are text, and where they
    are not, JSON text.
    """
    sides = {side: _read_lines(path) for side, path in paths.items()}
    schema: dict[str, pl.DataType] = dict.fromkeys(_field_names(sides), pl.String())
    schema["messages"] = MESSAGES
    return {
        side: pl.DataFrame(
            {name: [_decode(name, line.get(name)) for line in lines] for name in schema}, schema
        )
        for side, lines in sides.items()
    }


def line_tables(paths: Mapping[str, Path]) -> dict[str, pa.Table]:
    """Read files of lines as Arrow tables, by side: each field but `id` as JSON text.

    `messages` is a list with the JSON text of each message.
    """
    sides = {side: _read_lines(path) for side, path in paths.items()}
    columns: dict[str, pa.DataType] = dict.fromkeys(_field_names(sides), pa.string())
    columns["messages"] = pa.list_(pa.string())
    return {
        side: pa.table(
            {name: [_json(name, line.get(name)) for line in lines] for name in columns},
            schema=pa.schema(columns),
        )
        for side, lines in sides.items()
    }


def _read_lines(path: Path) -> list[Line]:
    return [_LINE.decode(line) for line in path.read_bytes().splitlines()]


def _field_names(sides: Mapping[str, list[Line]]) -> list[str]:
    """Return the fields that any line has, on either side, in the order of their appearance."""
    return list(dict.fromkeys([*_HEAD, *(n for s in sides.values() for line in s for n in line)]))


def _decode(name: str, value: msgspec.Raw | None) -> object:
    """Return a value for a frame; a field that is not text stays the JSON text that it is."""
    if value is None:
        return None
    text = bytes(value)
    is_decoded = name == "messages" or text.startswith(b'"')
    return msgspec.json.decode(text) if is_decoded else text.decode()


def _json(name: str, value: msgspec.Raw | None) -> object:
    if value is None:
        return None
    if name == "messages":
        return [bytes(message).decode() for message in _MESSAGES.decode(value)]
    return msgspec.json.decode(value) if name == "id" else bytes(value).decode()
