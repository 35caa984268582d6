"""Answers extracted from logged responses, by a regular expression or a path into their JSON."""

from typing import Any, NamedTuple

import msgspec
import polars as pl

from bedrock_sluice.transforms.answers.json_path import JsonPath
from bedrock_sluice.transforms.chat.messages import Message
from bedrock_sluice.transforms.decode.json_limits import check_limits
from bedrock_sluice.transforms.errors import InputError

_FENCE = "```"
_RESPONSE = msgspec.json.Decoder(Message)


class Extraction(NamedTuple):
    """Where an answer is in a response: the only group of a pattern, or a path into its JSON."""

    pattern: str | None = None
    path: JsonPath | None = None


def extract(responses: pl.Series, extraction: Extraction) -> list[Any]:
    """Return the value that each response (JSON of a chat message) has there; None if none.

    A path is evaluated on the arguments of the tool call, if there is exactly one; else on the
    content, with or without a fence of three backticks around it.
    """
    messages = [_RESPONSE.decode(response) for response in responses]
    if extraction.pattern is not None:
        contents = pl.Series([message.content for message in messages], dtype=pl.String)
        return contents.str.extract(extraction.pattern, 1).to_list()
    if extraction.path is None:
        return [None] * len(messages)
    return [extraction.path.search(_decode_document(message)) for message in messages]


def _decode_document(message: Message) -> Any:
    if len(message.tool_calls) == 1:
        text = message.tool_calls[0].function.arguments
    else:
        text = _strip_fence((message.content or "").strip())
    try:
        check_limits(text.encode())
        return msgspec.json.decode(text)
    except (InputError, ValueError, RecursionError):
        return None


def _strip_fence(text: str) -> str:
    """Remove a fence around the whole text. A pattern for it would backtrack on hostile text."""
    if not (text.startswith(_FENCE) and text.endswith(_FENCE)):
        return text
    language, _, inner = text[len(_FENCE) : -len(_FENCE)].partition("\n")
    language = language.strip()
    return inner if not language or (language.isascii() and language.isalpha()) else text
