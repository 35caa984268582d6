"""The texts of exchanges, as curation reads them."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec
import polars as pl

from bedrock_sluice.transforms.chat.messages import Exchange, Message

TEXTS = pl.Schema(
    {
        "last_user": pl.String,  # what the user said last
        "turns": pl.String,  # all that was said, but for the system message
        "prompt": pl.String,  # with the system message
        "response": pl.String,
    }
)
PARTS = pl.Schema({"turns": pl.String, "system": pl.String, "tools": pl.String})
"""All texts of a prompt, by where they are: `tools` has the arguments of calls and the schemas."""

_MESSAGES = msgspec.json.Decoder(list[Message])


def prompt_texts(exchanges: Iterable[Exchange]) -> pl.DataFrame:
    """The texts (`TEXTS`) of the messages and the response, a row for each, in their order."""
    rows = list[tuple[str, str, str, str]]()
    for exchange in exchanges:
        messages = exchange.messages
        turns = turns_of(messages)
        has_system = any(message.role == "system" for message in messages)
        prompt = f"{_system(messages)}\n{turns}" if has_system else turns
        rows.append((last_user_text(messages), turns, prompt, exchange.response.content or ""))
    columns = zip(*rows, strict=True) if rows else ([] for _ in TEXTS)
    return pl.DataFrame(dict(zip(TEXTS, columns, strict=True)), schema=TEXTS)


def last_user_text(messages: Sequence[Message]) -> str:
    """Return what the user said last, empty if nothing."""
    return next((m.content or "" for m in reversed(messages) if m.role == "user"), "")


def turns_of(messages: Sequence[Message]) -> str:
    """Return what was said, but for the system message."""
    return "\n".join([m.content or "" for m in messages if m.role != "system"])


def _system(messages: Sequence[Message]) -> str:
    return "\n".join([m.content or "" for m in messages if m.role == "system"])


def compared_texts(messages: pl.Series, scope: str) -> pl.Series:
    """Return the text of each of `messages` (JSON) by which prompts are compared.

    `scope` is `turns` or `last_user`: the result is that column of `prompt_texts`.
    """
    text_of = {"turns": turns_of, "last_user": last_user_text}[scope]
    texts = [text_of(_MESSAGES.decode(each)) for each in messages]
    return pl.Series(scope, texts, dtype=pl.String)


def exchange_parts(exchanges: pl.DataFrame) -> pl.DataFrame:
    """The texts (`PARTS`) of `messages` and `tools` (JSON), a row for each, in their order."""
    pairs = exchanges.select("messages", "tools").iter_rows()
    return prompt_parts(
        (_MESSAGES.decode(messages), msgspec.json.decode(tools) if tools else None)
        for messages, tools in pairs
    )


def prompt_parts(prompts: Iterable[tuple[Sequence[Message], Any]]) -> pl.DataFrame:
    """The texts (`PARTS`) of prompts: the messages and the tools of each."""
    rows = list[tuple[str, str, str]]()
    for messages, tools in prompts:
        calls = [call.function for message in messages for call in message.tool_calls]
        arguments = [text for call in calls for text in _strings(_decode(call.arguments))]
        tool_texts = "\n".join([*arguments, *_strings(tools)])
        rows.append((turns_of(messages), _system(messages), tool_texts))
    return pl.DataFrame(rows, schema=PARTS, orient="row")


def _decode(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (ValueError, RecursionError):  # a stream that broke off leaves JSON that is not whole
        return text


def _strings(value: Any) -> Iterator[str]:
    """All strings of a JSON value but its keys, in their order."""
    values = [value]
    while values:
        match values.pop():
            case dict() as members:
                values += reversed(members.values())
            case list() as items:
                values += reversed(items)
            case str() as text:
                yield text
