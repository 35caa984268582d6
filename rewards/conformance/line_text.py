"""One line of a dataset, from bytes to a JSON object; or the one thing that is wrong with it."""

import json
from typing import Any, NamedTuple

import msgspec

from bedrock_sluice.rewards.conformance.profile import Severity
from bedrock_sluice.transforms.chat.messages import JsonObject
from bedrock_sluice.transforms.decode.json_limits import MAX_KEYS, check_limits, has_lone_surrogate
from bedrock_sluice.transforms.decode.lines import MAX_LINE_BYTES
from bedrock_sluice.transforms.errors import InputError


class Fault(NamedTuple):
    """Something wrong with the file or with the text of a line, whoever reads it."""

    name: str
    message: str
    hint: str
    severity: Severity = "error"


LINE_TOO_LONG = Fault(
    "line-too-long", f"a line has more than {MAX_LINE_BYTES:,} bytes", "split or leave it out"
)
TOO_MUCH = Fault(
    "too-deep", f"a line is nested too deep, or has over {MAX_KEYS:,} keys", "make it flatter"
)
NOT_UTF8 = Fault("not-utf8", "a line holds what is not UTF-8", "write the file as UTF-8")
LONE_SURROGATE = Fault(
    "lone-surrogate",
    "a line escapes half of a surrogate pair, which is not a character",
    "escape characters whole; leave the line out",
)
NOT_A_NUMBER = Fault(
    "not-a-number",
    "a line holds NaN or Infinity, which JSON has not",
    "write null, or leave it out",
)
NUMBER_RANGE = Fault(
    "number-range", "a line holds a number beyond what readers of JSON take", "write it as text"
)
TRAILING_COMMA = Fault(
    "trailing-comma", "a line ends in a comma, or has one before a bracket", "take the comma out"
)
NOT_JSON = Fault("not-json", "a line is no JSON", "write one JSON object on each line")
NOT_OBJECT = Fault("not-object", "a line is JSON, but no object", "write one object on each line")
REPEATED_KEY = Fault(
    "repeated-key",
    "an object has a key twice: which of them counts depends on the reader",
    "keep one of them",
)
LOG_RECORD = Fault(
    "log-record",
    "a line is a record of a Bedrock invocation log, no training line",
    "make a dataset of it with `sluice build`, or chat lines with `sluice convert`",
)
LAMBDA_EVENT = Fault(
    "lambda-event",
    "a line is what a reward function is called with, no training line",
    "write each of its elements on a line, without the answer",
)
QUESTION_ROW = Fault(
    "question-row",
    "a line is a row of question and answer, as the Nova Forge SDK converts them",
    "write the question as `messages`",
)
PROMPT_ROW = Fault(
    "prompt-row",
    "a line has `prompt`, as RFT in SageMaker wants it, and no `messages`",
    "write `messages` and `reference_answer`; for SageMaker take profile sagemaker-rlvr",
)


def decode_line(text: bytes) -> JsonObject | Fault:
    """The object of a line, whatever its shape; or why it has none."""
    if len(text) > MAX_LINE_BYTES:
        return LINE_TOO_LONG
    try:
        check_limits(text)
        value = msgspec.json.decode(text)
    except InputError:
        return TOO_MUCH
    except ValueError as error:
        return _why_not(text, error)
    if not isinstance(value, dict):
        return LAMBDA_EVENT if _is_event(value) else NOT_OBJECT
    return REPEATED_KEY if _has_repeated_key(text) else value


def foreign_shape(line: JsonObject) -> Fault | None:
    """What a line is that was made for something else; None for what may be a training line."""
    if "messages" in line:
        return None
    if "question" in line:
        return QUESTION_ROW
    if "schemaType" in line and "modelId" in line:
        return LOG_RECORD
    nested = line.get("metadata")
    is_prompt = "prompt" in line or (isinstance(nested, dict) and "prompt" in nested)
    return PROMPT_ROW if is_prompt else None


def _is_event(value: object) -> bool:
    """Whether this is a list of samples that carry an answer, or the service's `metadata`."""
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(each, dict) and "messages" in each for each in value)
        and any("metadata" in each for each in value)
    )


def _why_not(text: bytes, error: ValueError) -> Fault:
    """What is wrong with a text that msgspec refused; its limits are checked already."""
    if isinstance(error, UnicodeDecodeError):
        return NOT_UTF8
    if isinstance(error, msgspec.ValidationError):
        return NUMBER_RANGE
    if has_lone_surrogate(text):
        return LONE_SURROGATE
    try:
        json.loads(text.decode())
    except UnicodeDecodeError:
        return NOT_UTF8
    except ValueError:
        return TRAILING_COMMA if _has_trailing_comma(text) else NOT_JSON
    return NOT_A_NUMBER  # all that Python reads, and JSON has not


def _has_trailing_comma(text: bytes) -> bool:
    try:
        msgspec.json.decode(text.rstrip().removesuffix(b","))
    except UnicodeDecodeError:
        return False
    except msgspec.DecodeError as error:
        return "trailing comma" in str(error)  # msgspec's words; they hold no content
    return True


class _RepeatedKeyError(Exception):
    pass


def _has_repeated_key(text: bytes) -> bool:
    try:
        _KEYS.decode(text.decode())
    except _RepeatedKeyError:
        return True
    return False


def _check_keys(pairs: list[tuple[str, Any]]) -> None:
    if len(dict(pairs)) < len(pairs):
        raise _RepeatedKeyError


# Only keys matter here. Numbers stay text: Python refuses to read integers of over 4,300 digits.
_KEYS = json.JSONDecoder(object_pairs_hook=_check_keys, parse_float=str, parse_int=str)
