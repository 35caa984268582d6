"""Answers that are taken out of the logged response: a regex's group, or a place in its JSON."""

import re
from typing import Any, NamedTuple

import msgspec
import polars as pl

from bedrock_sluice.transforms.chat.messages import Message
from bedrock_sluice.transforms.decode.json_limits import check_limits
from bedrock_sluice.transforms.derived_metadata import pattern_fault
from bedrock_sluice.transforms.errors import InputError

MAX_PATTERN_CHARS = 1_000
MAX_PATH_STEPS = 32

_STEP = re.compile(
    r"""(?: (?:\A|(?<=.)\.) (?P<name>[^.\[\]"\s]+)
          | \[ (?P<index>-?\d{1,6}) \]
          | \[ (?P<quoted>"(?:[^"\\]|\\.)*") \] )""",
    re.VERBOSE | re.DOTALL,
)
_FENCE = "```"
_RESPONSE = msgspec.json.Decoder(Message)

JsonPath = tuple[str | int, ...]


class Extraction(NamedTuple):
    """What to take out of a response: a pattern's only group, or what stands at a path."""

    pattern: str | None = None
    path: JsonPath = ()


def extraction_fault(pattern: str) -> str | None:
    """Why a pattern can't be used to extract an answer; None if it can."""
    if len(pattern) > MAX_PATTERN_CHARS:
        return f"is over {MAX_PATTERN_CHARS} characters long"
    fault = pattern_fault(pattern)
    if fault:
        return fault
    groups = pl.Series([""]).str.extract_groups(pattern).struct.fields
    return None if len(groups) == 1 else "needs one group; write the others as `(?:…)`"


def parse_path(text: str) -> JsonPath:
    """The steps of a path such as `result.items[-1]["total cost"]`; -1 is the last element.

    Raises:
        ValueError: the text is no path; the message says where it goes wrong.
    """
    steps, at = list[str | int](), 0
    while at < len(text):
        found = _STEP.match(text, at)
        if found is None:
            raise ValueError(f'goes wrong at character {at + 1}; write it as `a.b[0]["c d"].e`')
        steps.append(_step(found))
        at = found.end()
    if not 0 < len(steps) <= MAX_PATH_STEPS:
        raise ValueError(f"needs 1 to {MAX_PATH_STEPS} steps, as in `result.total`")
    return tuple(steps)


def _step(found: re.Match[str]) -> str | int:
    if found["index"]:
        return int(found["index"])
    if found["quoted"]:
        try:
            return msgspec.json.decode(found["quoted"], type=str)
        except msgspec.DecodeError:
            raise ValueError("has a quoted name that is no JSON text") from None
    return found["name"]


def extract(responses: pl.Series, asked: Extraction) -> list[Any]:
    """What each response (JSON of a chat message) holds there, in order; None: nothing.

    A path leads through the arguments of the only tool call, where there is one, else through the
    content, which may stand in a fence of three backticks.
    """
    messages = [_RESPONSE.decode(response) for response in responses]
    if asked.pattern is not None:
        contents = pl.Series([message.content for message in messages], dtype=pl.String)
        return contents.str.extract(asked.pattern, 1).to_list()
    return [_at(_document(message), asked.path) for message in messages]


def _document(message: Message) -> Any:
    text = (message.content or "").strip()
    if len(message.tool_calls) == 1:
        text = message.tool_calls[0].function.arguments
    else:
        text = _unfenced(text)
    try:
        check_limits(text.encode())
        return msgspec.json.decode(text)
    except (InputError, ValueError, RecursionError):
        return None


def _unfenced(text: str) -> str:
    """What stands in a fence that is the whole text; without a pattern, which would backtrack."""
    if not (text.startswith(_FENCE) and text.endswith(_FENCE)):
        return text
    language, _, inner = text[len(_FENCE) : -len(_FENCE)].partition("\n")
    language = language.strip()
    return inner if not language or (language.isascii() and language.isalpha()) else text


def _at(document: Any, path: JsonPath) -> Any:
    """What stands at the path; None where it leads nowhere."""
    for step in path:
        if isinstance(step, str):
            document = document.get(step) if isinstance(document, dict) else None
        elif isinstance(document, list) and -len(document) <= step < len(document):
            document = document[step]
        else:
            return None
    return document
