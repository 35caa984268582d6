"""Landed records to exchanges: the bodies of any dialect become OpenAI chat messages."""

from collections.abc import Sequence
from hashlib import blake2b
from operator import attrgetter
from typing import Any, NamedTuple

import msgspec
import polars as pl
import pyarrow as pa

from bedrock_sluice.transforms.chat.digests import marks_of_contents, plain_texts
from bedrock_sluice.transforms.chat.messages import Exchange, json_bytes
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


class Measures(NamedTuple):
    """What curation needs to know of an exchange; the fields are columns of `tables.EXCHANGES`."""

    prompt_digest: str
    prompt_tokens: int
    has_prompt: bool
    has_blank_turn: bool
    has_dangling_call: bool
    has_response: bool
    is_user_last: bool
    is_single_turn: bool
    path: list[int]
    head: int | None
    tail: int | None
    system_digest: str | None
    dated_system_digest: str | None


class Normalised(NamedTuple):
    """Exchanges (schema `tables.EXCHANGES`) and the rows that gave none, with their reason.

    `chats` are the exchanges as objects. `kept_rows` and `rejected_rows` are the numbers of their
    landed rows.
    """

    exchanges: pa.Table
    chats: list[Exchange]
    rejected: pl.DataFrame
    kept_rows: list[int]
    rejected_rows: list[int]


def normalise(landed: pa.Table, *, keep_reasoning: bool = False) -> Normalised:
    """Read each landed row (schema `tables.LANDED`) into an exchange, or reject it.

    Reasoning goes to a column of its own, and with `keep_reasoning` stays in the response too.
    """
    kept, dialects, chats = list[int](), list[str](), list[Exchange]()
    rejected_rows, rejections = list[int](), list[_Row]()
    for number, row in enumerate(landed.select(_READ).to_pylist()):
        try:
            dialect, exchange = read_exchange(row)
        except InputError as error:
            rejections.append(rejected_row(row, error))
            rejected_rows.append(number)
        else:
            kept.append(number)
            dialects.append(dialect)
            chats.append(exchange)
    columns = _columns(chats, keep_reasoning) | {"dialect": dialects}
    # What an exchange takes over from its landed row never becomes Python objects.
    copied_columns = landed.select(_PASSED).take(pa.array(kept, pa.int64()))
    columns |= {name: copied_columns[name] for name in _PASSED}
    exchanges = pa.table({name: columns[name] for name in EXCHANGES.names}, schema=EXCHANGES)
    keys = landed.select(_KEYS).take(pa.array(rejected_rows, pa.int64()))
    texts = {name: [row[name] for row in rejections] for name in ("reason", "detail")}
    rejected = pl.DataFrame(keys).with_columns(
        pl.Series(name, values, dtype=pl.String) for name, values in texts.items()
    )
    return Normalised(exchanges, chats, rejected, kept, rejected_rows)


def _columns(chats: Sequence[Exchange], keep_reasoning: bool) -> dict[str, Any]:
    """Return what exchanges have beyond the columns that they take over from their landed row."""
    measures = measure(chats)  # first: whether reasoning is kept must not change them
    for exchange in chats if keep_reasoning else ():
        if exchange.reasoning:
            reply_text = exchange.response.content or ""
            exchange.response.content = f"<reasoning>{exchange.reasoning}</reasoning>{reply_text}"
    return {
        "messages": [json_bytes(each.messages) for each in chats],
        "response": [json_bytes(each.response) for each in chats],
        "tools": [json_bytes(each.tools) if each.tools else None for each in chats],
        "reasoning": [each.reasoning or None for each in chats],
        "stop_reason": [each.stop_reason for each in chats],
        "has_media": [each.has_media for each in chats],
        **{name: list(map(attrgetter(name), measures)) for name in Measures._fields},
    }


def measure(chats: Sequence[Exchange]) -> list[Measures]:
    """Return what curation needs to know of exchanges, so that it need not read their texts again.

    The texts of all are folded as one column, and then digested one by one.
    """
    messages = [message for each in chats for message in (*each.messages, each.response)]
    contents = plain_texts([message.content or "" for message in messages])
    measures, start = list[Measures](), 0
    for each in chats:
        end = start + len(each.messages) + 1
        measures.append(_measure(each, contents[start:end]))
        start = end
    return measures


def _measure(exchange: Exchange, contents: Sequence[bytes]) -> Measures:
    """`contents` are the plain texts of the messages, and of the response."""
    messages, response = exchange.messages, exchange.response
    roles = [message.role for message in messages]
    # Most histories have no tools: they are spared the conversion to dicts, which takes time.
    has_tools = "tool" in roles or any(message.tool_calls for message in messages)
    # A message without text may call a tool; and a tool may well have nothing to say.
    has_blank_turn = b"" in contents[:-1] and any(
        not (content or message.tool_calls or message.role == "tool")
        for message, content in zip(messages, contents, strict=False)
    )
    return Measures(
        _prompt_digest(exchange, contents),
        estimate_tokens(messages, exchange.tools),
        has_prompt=any(
            content and role == "user" for role, content in zip(roles, contents, strict=False)
        ),
        has_blank_turn=has_blank_turn,
        has_dangling_call=has_tools
        and has_dangling_tool_calls(msgspec.to_builtins(messages), exchange.tools),
        has_response=bool(response.tool_calls or contents[-1]),
        is_user_last=roles[-1:] == ["user"],
        is_single_turn=[role for role in roles if role != "system"] == ["user"],
        **marks_of_contents(messages, response, contents)._asdict(),
    )


def _prompt_digest(exchange: Exchange, contents: Sequence[bytes]) -> str:
    """Digest of the prompt after normalising Unicode (NFC) and runs of blanks."""
    state = blake2b(digest_size=PROMPT_DIGEST_BYTES)
    for message, content in zip(exchange.messages, contents, strict=False):
        state.update(b"%s %d %s" % (message.role.encode(), len(content), content))
        if message.tool_calls:
            state.update(json_bytes(message.tool_calls))
    if exchange.tools:
        state.update(json_bytes(exchange.tools))
    return state.hexdigest()
