"""Prompts to lines: one JSON object each, the same bytes on every machine.

Format: AWS user guide, "Prepare data for RFT": `messages` and `reference_answer`, optionally `id`
and `tools`; further fields are handed to the grader.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
import polars as pl

from bedrock_sluice.rewards.templates.base import OWN_KEYS, Template, add_instruction
from bedrock_sluice.transforms.errors import ConfigError


def render(prompts: pl.DataFrame, fields: Sequence[str]) -> pl.Series:
    """The `json` of each prompt: its line as JSON text without a line break.

    `prompts` has `request_id`, `messages`, `tools` and `reference_answer` (JSON text; tools may be
    null) and `request_metadata`; of the latter, the keys named in `fields` ride along. So do, if
    there is a column `passthrough` (a JSON object, or null), its fields; they go before metadata.

    Raises:
        ConfigError: a field would take the place of one that every line has.
    """
    if clashes := OWN_KEYS.intersection(fields):
        raise ConfigError(f"[template] fields: a line has its own {', '.join(sorted(clashes))}")
    columns = ["request_id", "messages", "reference_answer", "tools", "request_metadata"]
    passthrough = ["passthrough"] if "passthrough" in prompts.columns else []
    lines = [
        _line(row, fields) for row in prompts.select(columns + passthrough).iter_rows(named=True)
    ]
    return pl.Series("json", lines, dtype=pl.String)


def instruct(prompts: pl.DataFrame, template: Template) -> pl.DataFrame:
    """The prompts with `messages` that ask for the template's marker, and `is_instructed`.

    Messages that ask for it already stay as they are, to the byte.
    """
    if not template.marker or not template.instruction:
        return prompts.with_columns(is_instructed=pl.lit(False))
    texts, flags = list[str](), list[bool]()
    for text in prompts["messages"]:
        messages, is_changed = add_instruction(msgspec.json.decode(text), template)
        # Unchanged messages keep their text: encoding it again could write the same JSON otherwise.
        texts.append(msgspec.json.encode(messages).decode() if is_changed else text)
        flags.append(is_changed)
    return prompts.with_columns(
        messages=pl.Series(texts, dtype=pl.String),
        is_instructed=pl.Series(flags, dtype=pl.Boolean),
    )


def _line(row: dict[str, Any], fields: Sequence[str]) -> str:
    # JSON texts go in as they are: decoding them would cost time, and could change their bytes.
    line: dict[str, object] = {
        "id": row["request_id"],
        "messages": msgspec.Raw(row["messages"].encode()),
        "reference_answer": msgspec.Raw(row["reference_answer"].encode()),
    }
    if row["tools"] is not None:
        line["tools"] = msgspec.Raw(row["tools"].encode())
    metadata = row["request_metadata"] or {}
    line |= {field: metadata[field] for field in fields if field in metadata}
    if row.get("passthrough") is not None:
        passthrough = msgspec.json.decode(row["passthrough"], type=dict[str, msgspec.Raw])
        if clashes := OWN_KEYS.intersection(passthrough):
            own = ", ".join(sorted(clashes))
            raise ConfigError(f"`passthrough_fields` of the template: a line has its own {own}")
        line |= passthrough
    return msgspec.json.encode(line).decode()
