"""What is changed in the text of lines before they are written: masks, and words broken up."""

from collections.abc import Callable, Collection, Sequence
from functools import partial
from itertools import compress
from typing import Any, NamedTuple

import msgspec
import polars as pl
import polars.selectors as cs

from bedrock_sluice.transforms.features.quality import escape_reserved
from bedrock_sluice.transforms.privacy.detection import (
    DETECTORS,
    count_personal_data,
    mask_json,
    screen_texts,
)

ID = "id"  # names the record, and is not a text
PROMPT_KEYS = ("messages", "tools")
TOOL_KEYS = frozenset({"tools", "tool_calls", "tool_call_id"})
"""What calls and their schemas must agree on; nobody reads it for reserved words."""

_RAW_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])


class Masked(NamedTuple):
    """Lines, and of each the first kind that masking left in it, or null."""

    lines: pl.Series
    unclean: pl.Series


def mask_lines(
    lines: pl.Series, is_clean: pl.Series, key: str, mask: Collection[str], forbid: Collection[str]
) -> Masked:
    """The lines (JSON objects) with all personal data and secrets of the kinds `mask` masked.

    Prompt, reference answer and passthrough fields are masked alike: a value that the prompt and
    the answer share has the same mask in both. Keys and the id stay; so does, to the byte, a line
    without any. Where `is_clean`, the prompt and its tools are known to hold none, and are not read
    again. What is left (in a key, in the id), or of the kinds in `forbid`, is named in `unclean`.
    """
    kinds = sorted({*mask, *forbid})
    nothing = pl.repeat(None, len(lines), dtype=pl.String, eager=True).alias("unclean")
    if not kinds:
        return Masked(lines, nothing)
    suspicions = _suspicions(lines, is_clean)
    rows = suspicions["row"]
    flags = suspicions.drop("row").iter_rows()
    suspects = zip(lines.gather(rows), is_clean.gather(rows), flags, strict=True)
    masked_lines = [_mask_line(*suspect, key, mask) for suspect in suspects]
    texts = pl.Series([text for text, _ in masked_lines], dtype=pl.String)
    counts = count_personal_data(pl.Series([rest for _, rest in masked_lines], dtype=pl.String))
    leftovers = pl.coalesce(pl.when(pl.col(kind) > 0).then(pl.lit(kind)) for kind in kinds)
    unclean = counts.select(leftovers).to_series()
    return Masked(lines.clone().scatter(rows, texts), nothing.scatter(rows, unclean))


def _suspicions(lines: pl.Series, is_clean: pl.Series) -> pl.DataFrame:
    """The rows of lines that may hold something in what is read of them, and what finds it."""
    short_lines = [_without_prompt(line) for line in lines.filter(is_clean)]
    to_search = lines.clone().scatter(is_clean.arg_true(), pl.Series(short_lines, dtype=pl.String))
    # A line that another program wrote may escape any letter; ours escape control characters alone.
    is_escaped = pl.lit(to_search.str.contains(r"\\[u/]"))
    flags = screen_texts(to_search).with_row_index("row").with_columns(cs.boolean() | is_escaped)
    return flags.filter(pl.any_horizontal(cs.boolean()))


def _without_prompt(line: str) -> str:
    fields = _RAW_FIELDS.decode(line)
    return msgspec.json.encode({k: v for k, v in fields.items() if k not in PROMPT_KEYS}).decode()


def _mask_line(
    text: str, is_clean: bool, flags: Sequence[bool], key: str, mask: Collection[str]
) -> tuple[str, str]:
    """The line masked, and all of it that is read, as JSON texts."""
    line = msgspec.json.decode(text)
    clean_keys = PROMPT_KEYS if is_clean else ()
    fields = {name: value for name, value in line.items() if name not in clean_keys}
    to_mask = {k: v for k, v in fields.items() if k != ID}
    result = fields | mask_json(to_mask, key, mask, tuple(compress(DETECTORS, flags)))
    text_out = text if result == fields else msgspec.json.encode(line | result).decode()
    return text_out, msgspec.json.encode(result).decode()


def escape_lines(lines: pl.Series) -> pl.Series:
    """The lines (JSON objects) with the words broken up that AWS's validators reserve.

    Prompt, reference answer and what rides along are changed alike. Keys stay, and `TOOL_KEYS` with
    all that is in them; so does, to the byte, a line without such words.
    """
    return _map_lines(lines, partial(_each_text, escape_reserved))


def _map_lines(lines: pl.Series, change: Callable[[Any], Any]) -> pl.Series:
    return pl.Series(lines.name, [_change_line(line, change) for line in lines], dtype=pl.String)


def _change_line(text: str, change: Callable[[Any], Any]) -> str:
    line = msgspec.json.decode(text)
    fields = {key: value for key, value in line.items() if key != ID}
    changes = change(fields)
    return text if changes == fields else msgspec.json.encode(line | changes).decode()


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
