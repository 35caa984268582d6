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
    ids = [_encode(name) for name in prompts["request_id"]]
    texts = prompts.select("messages", "reference_answer", "tools").with_columns(
        pl.Series("id", ids, dtype=pl.String), _further_fields(prompts, fields)
    )
    # JSON texts go in as they are: decoding them would cost time, and could change their bytes.
    tools = (pl.lit(',"tools":') + pl.col("tools")).fill_null("")
    line = pl.format(
        '{{"id":{},"messages":{},"reference_answer":{}{}{}}}',
        *("id", "messages", "reference_answer", tools, "further"),
    )
    return texts.select(json=line).to_series()


def _further_fields(prompts: pl.DataFrame, fields: Sequence[str]) -> pl.Series:
    """The fields of each line behind its own: what rides along, as JSON text after a comma."""
    values = [dict[str, Any]() for _ in range(prompts.height)]
    if fields:
        for value, metadata in zip(values, prompts["request_metadata"], strict=True):
            value.update({name: metadata[name] for name in fields if name in (metadata or {})})
    if "passthrough" in prompts.columns:
        for value, text in zip(values, prompts["passthrough"], strict=True):
            value.update(_decode_passthrough(text) if text is not None else {})
    texts = [f",{_encode(value)[1:-1]}" if value else "" for value in values]
    return pl.Series("further", texts, dtype=pl.String)


def _decode_passthrough(text: str) -> dict[str, msgspec.Raw]:
    passthrough = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
    if clashes := OWN_KEYS.intersection(passthrough):
        own = ", ".join(sorted(clashes))
        raise ConfigError(f"`passthrough_fields` of the template: a line has its own {own}")
    return passthrough


def _encode(value: object) -> str:
    return msgspec.json.encode(value).decode()


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
