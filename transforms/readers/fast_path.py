"""Plain chats, read in one pass over their line: most traffic is text and nothing else.

Each type here takes less than the readers do, and refuses unknown fields (so nothing in it can be
nested deep). What it takes is read as the readers would read it, several times faster; what it
refuses is left to them, and nothing is decided about it here. So this is never another reading: a
test compares the two.
"""

from typing import Literal, NamedTuple

from msgspec import UNSET, Struct, UnsetType, field
from msgspec.json import Decoder

from bedrock_sluice.transforms.chat.messages import (
    Exchange,
    Message,
    split_reasoning,
    stop_word,
    with_system,
)
from bedrock_sluice.transforms.decode.records import Envelope, Given, Made, as_utc, check_schema
from bedrock_sluice.transforms.errors import InputError
from bedrock_sluice.transforms.readers.chat_dialects import (
    anthropic_messages,
    chat_completions,
    converse,
)
from bedrock_sluice.transforms.readers.guardrail import UNKNOWN_SIDE
from bedrock_sluice.transforms.readers.lost_context import is_managed_prompt

MAX_PLAIN_BYTES = 64 << 10  # a longer line has more in it than chat, and more limits to keep

_Number = int | float | None
_Count = int | None
_Usage = dict[str, _Count | str | dict[str, _Count]]


class _Text(Struct, forbid_unknown_fields=True, gc=False):
    text: str
    type: Literal["text"] | UnsetType = UNSET


_Content = str | list[_Text]


class _Said(Struct, forbid_unknown_fields=True, gc=False):
    role: Literal["user", "assistant", "system"]
    content: _Content
    refusal: None = None


class _Inference(Struct, forbid_unknown_fields=True, rename="camel", gc=False):
    max_tokens: _Number = None
    temperature: _Number = None
    top_p: _Number = None
    top_k: _Number = None
    stop_sequences: list[str] | None = None


class _Request(Struct, forbid_unknown_fields=True, gc=False):
    messages: list[_Said]
    system: _Content | UnsetType = UNSET
    inference: _Inference | None = field(default=None, name="inferenceConfig")
    anthropic_version: str | None = None
    model: str | None = None
    max_tokens: _Number = None
    max_completion_tokens: _Number = None
    temperature: _Number = None
    top_p: _Number = None
    top_k: _Number = None
    stop: str | list[str] | None = None
    stop_sequences: list[str] | None = None
    stream: bool | None = None


class _Output(Struct, forbid_unknown_fields=True, gc=False):
    message: _Said


class _Choice(Struct, forbid_unknown_fields=True, gc=False):
    message: _Said
    finish_reason: str | None = None
    index: int | None = None
    logprobs: None = None


class _Response(Struct, forbid_unknown_fields=True, gc=False):
    """Of Converse (`output`), of Anthropic Messages (`content`), or a completion (`choices`)."""

    output: _Output | UnsetType = UNSET
    converse_stop: str | UnsetType = field(default=UNSET, name="stopReason")
    content: list[_Text] | UnsetType = UNSET
    role: str | UnsetType = UNSET
    choices: list[_Choice] | UnsetType = UNSET
    stop_reason: str | None = None
    stop_sequence: str | None = None
    type: str | None = None
    id: str | None = None
    model: str | None = None
    object: str | None = None
    created: int | None = None
    system_fingerprint: str | None = None
    usage: _Usage | None = None
    metrics: dict[str, _Count] | None = None


class _Input(Given, forbid_unknown_fields=True, rename="camel", gc=False):
    body: _Request = field(name="inputBodyJson")
    input_content_type: str | None = None
    cache_read_input_token_count: _Count = None
    cache_write_input_token_count: _Count = None


class _Result(Made, forbid_unknown_fields=True, rename="camel", gc=False):
    body: _Response = field(name="outputBodyJson")
    output_content_type: str | None = None


class _Record(Envelope, forbid_unknown_fields=True, rename="camel", kw_only=True, gc=False):
    input: _Input
    output: _Result
    inference_region: str | None = None


_RECORD = Decoder(_Record)
_REQUEST, _RESPONSE = Decoder(_Request), Decoder(_Response)
_UNFIT = (InputError, ValueError, RecursionError)  # msgspec's errors are ValueErrors


def read_plain_line(line: bytes) -> tuple[Envelope, Exchange] | None:
    """The envelope and the exchange of a log line; None if the line is not plain."""
    if len(line) > MAX_PLAIN_BYTES:
        return None
    try:
        record = _RECORD.decode(line)
        check_schema(record)
        record.timestamp = as_utc(record.timestamp)
    except _UNFIT:
        return None
    is_odd = record.error_code or is_managed_prompt(record.model_id)
    read = None if is_odd else _exchange(record.input.body, record.output.body)
    return (record, read[1]) if read else None


def read_plain_bodies(request: str, response: str) -> tuple[str, Exchange] | None:
    """The dialect and the exchange of two logged bodies (JSON); None if they are not plain."""
    if len(request) + len(response) > MAX_PLAIN_BYTES:
        return None
    try:
        return _exchange(_REQUEST.decode(request), _RESPONSE.decode(response))
    except _UNFIT:
        return None


class _Dialect(NamedTuple):
    name: str
    takes_texts: bool  # as content, beside blocks
    takes_untyped: bool  # blocks
    takes_system: bool  # as a role


_CONVERSE = _Dialect(converse.DIALECT, False, True, False)
_MESSAGES = _Dialect(anthropic_messages.DIALECT, True, False, False)
_COMPLETION = _Dialect(chat_completions.DIALECT, True, False, True)


def _exchange(request_body: _Request, response_body: _Response) -> tuple[str, Exchange] | None:
    """By the one dialect whose answer this is; none, or more than one, is for the readers."""
    output, content, choices = response_body.output, response_body.content, response_body.choices
    if (output is UNSET) + (content is UNSET) + (choices is UNSET) != 2:
        return None
    stop = response_body.converse_stop
    if output is not UNSET:
        is_plain = stop is not UNSET and stop != UNKNOWN_SIDE
        return (
            _build_exchange(_CONVERSE, request_body, output.message, stop_word(stop or None))
            if is_plain
            else None
        )
    if stop is not UNSET:
        return None
    if content is not UNSET and response_body.role is not UNSET:
        return _build_exchange(
            _MESSAGES,
            request_body,
            _Said("assistant", content),
            stop_word(response_body.stop_reason),
        )
    if choices and len(choices) == 1:
        return _build_exchange(
            _COMPLETION, request_body, choices[0].message, stop_word(choices[0].finish_reason)
        )
    return None


def _build_exchange(
    dialect: _Dialect, request_body: _Request, reply: _Said, stop_reason: str
) -> tuple[str, Exchange] | None:
    systems = _systems(dialect, request_body.system)
    if systems is None or reply.role != "assistant":
        return None
    messages, reasoning = list[Message](), ""
    for message in (*request_body.messages, reply):
        role = message.role
        text = _text(dialect, message)
        if text is None or (role == "system" and (messages or not dialect.takes_system)):
            return None
        if role == "assistant":
            text, reasoning = split_reasoning(text) if "<" in text else (text, "")
        if role == "system":
            systems.append(text)
        else:
            messages.append(Message(role, text))
    response = messages.pop()
    if systems:
        messages = with_system(systems, messages)
    return dialect.name, Exchange(messages, response, [], stop_reason, reasoning)


def _systems(dialect: _Dialect, content: _Content | UnsetType) -> list[str] | None:
    """Its texts; completions know no such field, and pass it over."""
    if content is UNSET or dialect.takes_system:
        return []
    if isinstance(content, str):
        return [content] if dialect.takes_texts else None
    return None if _lacks_types(dialect, content) else [block.text for block in content]


def _text(dialect: _Dialect, message: _Said) -> str | None:
    """The text of a message; see `chat.Turn` for how its blocks are joined."""
    content = message.content
    if isinstance(content, str):
        return content if dialect.takes_texts else None
    if _lacks_types(dialect, content):
        return None
    if len(content) == 1:
        return content[0].text
    return ("" if message.role == "assistant" else "\n").join([block.text for block in content])


def _lacks_types(dialect: _Dialect, blocks: list[_Text]) -> bool:
    return not dialect.takes_untyped and UNSET in [block.type for block in blocks]
