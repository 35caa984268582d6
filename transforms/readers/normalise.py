"""Landed records to exchanges: the bodies of any dialect become OpenAI chat messages."""

from hashlib import blake2b
from typing import Any, NamedTuple

import msgspec
import polars as pl
import pyarrow as pa

from bedrock_sluice.transforms.chat.digests import conversation_marks, plain_text
from bedrock_sluice.transforms.chat.messages import Exchange, is_telling, json_text
from bedrock_sluice.transforms.chat.tokens import estimate_tokens
from bedrock_sluice.transforms.chat.tool_calls import has_dangling_tool_calls
from bedrock_sluice.transforms.errors import InputError
from bedrock_sluice.transforms.readers.exchanges import read_exchange, rejected_row
from bedrock_sluice.transforms.tables import EXCHANGES, LANDED

PROMPT_DIGEST_BYTES = 16

_KEYS = ["object", "line", "request_id"]
_PASSED = [name for name in EXCHANGES.names if name in LANDED.names]
READ_COLUMNS = [name for name in EXCHANGES.names if name not in LANDED.names]
"""The columns of an exchange that come from its bodies; the others are those of its landed row."""

_READ = ["input_body", "output_body", "input_body_uri", "output_body_uri", "error_code"]
_READ += ["model_id", "reason", "detail"]

_Row = dict[str, Any]


class Normalised(NamedTuple):
    """Exchanges (schema `tables.EXCHANGES`) and the rows that gave none, with their reason.

    `kept_rows` and `rejected_rows` are the numbers of their landed rows.
    """

    exchanges: pa.Table
    rejected: pl.DataFrame
    kept_rows: list[int]
    rejected_rows: list[int]


def normalise(landed: pa.Table, *, keep_reasoning: bool = False) -> Normalised:
    """Read each landed row (schema `tables.LANDED`) into an exchange, or reject it.

    Reasoning goes to a column of its own, and with `keep_reasoning` stays in the response too.
    """
    kept, exchange_rows = list[int](), list[_Row]()
    rejected_rows, rejections = list[int](), list[_Row]()
    for number, row in enumerate(landed.select(_READ).to_pylist()):
        try:
            exchange_rows.append(_read_row(row, keep_reasoning))
            kept.append(number)
        except InputError as error:
            rejections.append(rejected_row(row, error))
            rejected_rows.append(number)
    # What an exchange takes over from its landed row never becomes Python objects.
    copied_columns = landed.select(_PASSED).take(pa.array(kept, pa.int64()))
    columns: dict[str, Any] = {name: [row[name] for row in exchange_rows] for name in READ_COLUMNS}
    columns |= {name: copied_columns[name] for name in _PASSED}
    exchanges = pa.table({name: columns[name] for name in EXCHANGES.names}, schema=EXCHANGES)
    keys = landed.select(_KEYS).take(pa.array(rejected_rows, pa.int64()))
    texts = {name: [row[name] for row in rejections] for name in ("reason", "detail")}
    rejected = pl.DataFrame(keys).with_columns(
        pl.Series(name, values, dtype=pl.String) for name, values in texts.items()
    )
    return Normalised(exchanges, rejected, kept, rejected_rows)


def _read_row(row: _Row, keep_reasoning: bool) -> _Row:
    """What an exchange has beyond the columns that it takes over from its landed row."""
    dialect, exchange = read_exchange(row)
    measures = measure(exchange)  # first: whether reasoning is kept must not change them
    if keep_reasoning and exchange.reasoning:
        reply_text = exchange.response.content or ""
        exchange.response.content = f"<reasoning>{exchange.reasoning}</reasoning>{reply_text}"
    return {
        "messages": json_text(exchange.messages),
        "response": json_text(exchange.response),
        "tools": json_text(exchange.tools) if exchange.tools else None,
        "reasoning": exchange.reasoning or None,
        "stop_reason": exchange.stop_reason,
        "dialect": dialect,
        "has_media": exchange.has_media,
        **measures,
    }


def measure(exchange: Exchange) -> _Row:
    """Return what curation needs to know of an exchange, so that it need not read its text again.

    The keys are columns of `tables.EXCHANGES`.
    """
    messages, response = exchange.messages, exchange.response
    questions = [m for m in messages if m.role == "user" and (m.content or "").strip()]
    # Most histories have no tools: they are spared the conversion to dicts, which takes time.
    has_tools = any(message.tool_calls or message.role == "tool" for message in messages)
    return {
        "prompt_digest": _prompt_digest(exchange),
        "prompt_tokens": estimate_tokens(messages, exchange.tools),
        "has_prompt": bool(questions),
        "has_blank_turn": not all(is_telling(message) for message in messages),
        "has_dangling_call": has_tools
        and has_dangling_tool_calls(msgspec.to_builtins(messages), exchange.tools),
        "has_response": bool(response.tool_calls or (response.content or "").strip()),
        "is_user_last": bool(messages) and messages[-1].role == "user",
        "is_single_turn": [m.role for m in messages if m.role != "system"] == ["user"],
        **conversation_marks(messages, response)._asdict(),
    }


def _prompt_digest(exchange: Exchange) -> str:
    """Digest of the prompt after normalising Unicode (NFC) and runs of blanks."""
    state = blake2b(digest_size=PROMPT_DIGEST_BYTES)
    for message in exchange.messages:
        text = plain_text(message.content or "").encode()
        state.update(b"%s %d " % (message.role.encode(), len(text)))
        state.update(text)
        if message.tool_calls:
            state.update(json_text(message.tool_calls).encode())
    if exchange.tools:
        state.update(json_text(exchange.tools).encode())
    return state.hexdigest()
