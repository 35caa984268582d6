"""Landed records to exchanges: the bodies of any dialect become OpenAI chat messages."""

import unicodedata
from hashlib import blake2b
from typing import Any, NamedTuple

import msgspec
import polars as pl
import pyarrow as pa

from bedrock_sluice.transforms.chat import Exchange, Message, is_telling
from bedrock_sluice.transforms.errors import InputError
from bedrock_sluice.transforms.exchanges import read_exchange, rejected_row
from bedrock_sluice.transforms.tables import EXCHANGES
from bedrock_sluice.transforms.tokens import estimate_tokens

PROMPT_DIGEST_BYTES = 16
HELD_WORDS = 1 << 18  # of one text, as objects of their own: some 60 bytes each

_Row = dict[str, Any]


class Normalised(NamedTuple):
    """Exchanges (schema `tables.EXCHANGES`) and the rows that gave none, with their reason."""

    exchanges: pa.Table
    rejected: pl.DataFrame


def normalise(landed: pa.Table, *, keep_reasoning: bool = False) -> Normalised:
    """Read each landed row (schema `tables.LANDED`) into an exchange, or reject it.

    Reasoning goes to a column of its own, and with `keep_reasoning` stays in the response too.
    """
    kept, rejected = list[_Row](), list[_Row]()
    for row in landed.to_pylist():
        try:
            kept.append(_exchange_row(row, keep_reasoning))
        except InputError as error:
            rejected.append(rejected_row(row, error))
    columns = {name: [row[name] for row in kept] for name in EXCHANGES.names}
    schema = dict.fromkeys(("object", "request_id", "reason", "detail"), pl.String)
    return Normalised(
        pa.table(columns, schema=EXCHANGES),
        pl.DataFrame(rejected, schema=schema | {"line": pl.UInt32}),
    )


def _exchange_row(row: _Row, keep_reasoning: bool) -> _Row:
    dialect, exchange = read_exchange(row)
    judged = _judged(exchange)
    if keep_reasoning and exchange.reasoning:
        told = exchange.response.content or ""
        exchange.response.content = f"<reasoning>{exchange.reasoning}</reasoning>{told}"
    return row | {
        "messages": _json(exchange.messages),
        "response": _json(exchange.response),
        "tools": _json(exchange.tools) if exchange.tools else None,
        "reasoning": exchange.reasoning or None,
        "stop_reason": exchange.stop_reason,
        "dialect": dialect,
        "has_media": exchange.has_media,
        **judged,
    }


def _judged(exchange: Exchange) -> _Row:
    """What curation needs to know of an exchange, so that it need not read its text again."""
    messages, response = exchange.messages, exchange.response
    asked = [m for m in messages if m.role == "user" and (m.content or "").strip()]
    return {
        "prompt_digest": _prompt_digest(exchange),
        "prompt_tokens": estimate_tokens(messages, exchange.tools),
        "has_prompt": bool(asked),
        "has_blank_turn": not all(is_telling(message) for message in messages),
        "has_response": bool(response.tool_calls or (response.content or "").strip()),
        "is_user_last": bool(messages) and messages[-1].role == "user",
        "is_single_turn": [m.role for m in messages if m.role != "system"] == ["user"],
    }


def _prompt_digest(exchange: Exchange) -> str:
    """Digest of the prompt after normalising Unicode (NFC) and runs of blanks."""
    state = blake2b(digest_size=PROMPT_DIGEST_BYTES)
    for message in exchange.messages:
        state.update(_json([message.role, _plain(message), message.tool_calls]).encode())
    state.update(_json(exchange.tools).encode())
    return state.hexdigest()


def _plain(message: Message) -> str:
    """The text, composed, each run of blanks as one; of a long text, not all words are held."""
    pieces, rest = list[str](), unicodedata.normalize("NFC", message.content or "")
    while rest:
        words = rest.split(None, HELD_WORDS)
        rest = words.pop() if len(words) > HELD_WORDS else ""
        pieces.append(" ".join(words))
    return " ".join(pieces)


def _json(value: object) -> str:
    return msgspec.json.encode(value, order="deterministic").decode()
