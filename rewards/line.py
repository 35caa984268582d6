"""Prompts to lines: one JSON object each, the same bytes on every machine.

Format: AWS user guide, "Prepare data for RFT": `messages` and `reference_answer`, optionally `id`
and `tools`; further fields are handed to the grader.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
import polars as pl

from bedrock_sluice.transforms.errors import ConfigError

OWN_KEYS = frozenset({"id", "messages", "reference_answer", "tools", "metadata"})


def render(prompts: pl.DataFrame, fields: Sequence[str]) -> pl.Series:
    """The `json` of each prompt: its line as JSON text without a line break.

    `prompts` has `request_id`, `messages`, `tools` and `reference_answer` (JSON text; tools may be
    null) and `request_metadata`; of the latter, the keys named in `fields` ride along.

    Raises:
        ConfigError: a field would take the place of one that every line has.
    """
    if taken := OWN_KEYS.intersection(fields):
        raise ConfigError(f"[template] fields: a line has its own {', '.join(sorted(taken))}")
    columns = ["request_id", "messages", "reference_answer", "tools", "request_metadata"]
    lines = [_line(row, fields) for row in prompts.select(columns).iter_rows(named=True)]
    return pl.Series("json", lines, dtype=pl.String)


def _line(row: dict[str, Any], fields: Sequence[str]) -> str:
    line: dict[str, object] = {
        "id": row["request_id"],
        "messages": msgspec.Raw(row["messages"].encode()),
        "reference_answer": msgspec.Raw(row["reference_answer"].encode()),
    }
    if row["tools"] is not None:
        line["tools"] = msgspec.Raw(row["tools"].encode())
    held = row["request_metadata"] or {}
    line |= {field: held[field] for field in fields if field in held}
    return msgspec.json.encode(line).decode()
