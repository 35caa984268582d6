"""What is changed in the text of lines before they are written: masks, and words broken up."""

from collections.abc import Callable, Collection
from functools import partial
from typing import Any

import msgspec
import polars as pl

from bedrock_sluice.transforms.personal_data import find_personal_data, mask_json
from bedrock_sluice.transforms.quality import escape_reserved

ID = "id"  # names the record, and is no text
TOOL_KEYS = frozenset({"tools", "tool_calls", "tool_call_id"})
"""What calls and their schemas must agree on; nobody reads it for reserved words."""


class _Named(msgspec.Struct):
    id: Any = None


def mask_lines(lines: pl.Series, key: str, kinds: Collection[str]) -> pl.Series:
    """The lines (JSON objects) with all personal data and secrets of `kinds` masked.

    Prompt, reference answer and what rides along are masked alike: a value that the prompt and the
    answer share has the same mask in both. Keys stay; so does, to the byte, a line without any.
    """
    return _mapped(lines, lambda line: mask_json(line, key, kinds)) if kinds else lines


def kinds_in(text: str) -> set[str]:
    """The kinds of personal data and secrets in a line (a JSON object), its id aside."""
    name = msgspec.json.encode(msgspec.json.decode(text, type=_Named).id).decode()
    return {finding.kind for finding in find_personal_data(text.replace(name, '""', 1))}


def unclean(lines: pl.Series, kinds: Collection[str]) -> pl.Series:
    """Of each line, the first of `kinds` that it holds, or null.

    Masking leaves keys as they are, and what takes too many passes.
    """
    found = [kinds_in(line).intersection(kinds) if kinds else () for line in lines]
    return pl.Series("unclean", [min(each, default=None) for each in found], dtype=pl.String)


def escape_lines(lines: pl.Series) -> pl.Series:
    """The lines (JSON objects) with the words broken up that AWS's validators reserve.

    Prompt, reference answer and what rides along are changed alike. Keys stay, and `TOOL_KEYS` with
    all that is in them; so does, to the byte, a line without such words.
    """
    return _mapped(lines, partial(_each_text, escape_reserved))


def _mapped(lines: pl.Series, change: Callable[[Any], Any]) -> pl.Series:
    return pl.Series(lines.name, [_changed(line, change) for line in lines], dtype=pl.String)


def _changed(text: str, change: Callable[[Any], Any]) -> str:
    line = msgspec.json.decode(text)
    told = {key: value for key, value in line.items() if key != ID}
    made = change(told)
    return text if made == told else msgspec.json.encode(line | made).decode()


def _each_text(change: Callable[[str], str], value: Any) -> Any:
    """A JSON value with each of its texts changed, but for those of tools."""
    match value:
        case dict():
            return {
                key: each if key in TOOL_KEYS else _each_text(change, each)
                for key, each in value.items()
            }
        case list():
            return [_each_text(change, each) for each in value]
        case str():
            return change(value)
        case _:
            return value
