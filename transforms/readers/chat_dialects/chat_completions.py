"""OpenAI chat completions, not streamed: the ChatCompletions operation, and native bodies alike.

Shape: OpenAI API reference, "Create chat completion"; DeepSeek says `stop_reason` for
`finish_reason`.
"""

from typing import Any

from msgspec import Raw, Struct, json
from msgspec.json import Decoder

from bedrock_sluice.transforms.chat.messages import (
    ContextLost,
    Exchange,
    FunctionCall,
    JsonObject,
    Message,
    ToolCall,
    Unreadable,
    compact,
    fill_call_ids,
    function_tool,
    is_set,
    split_reasoning,
    stop_word,
    with_system,
)
from bedrock_sluice.transforms.readers.reader import Keys

DIALECT = "chat_completions"

_ROLES = frozenset({"system", "user", "assistant", "tool"})
_TEXT = frozenset({"text", "refusal", "input_text", "output_text"})
_MEDIA = frozenset(
    {"image_url", "input_image", "video_url", "audio_url", "input_audio", "file", "document_url"}
)


class Part(Struct):
    """A part of a message's content."""

    type: str
    text: str | None = None
    refusal: str | None = None


class Function(Struct):
    """The function that a call names; `arguments` is JSON text, of some servers an object."""

    name: str
    arguments: Raw = Raw()


class Call(Struct):
    """A call of a tool."""

    function: Function
    id: str | None = None


class Said(Struct):
    """A message as it is logged."""

    role: str
    content: str | list[Part] | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[Call] | None = None
    tool_call_id: str | None = None
    name: str | None = None
    function_call: Any = None
    audio: Any = None


class Choice(Struct):
    """One of the answers to a request, and why it ended."""

    message: Said
    finish_reason: str | None = None
    stop_reason: str | int | None = None


class _ToolFunction(Struct):
    name: str
    description: str | None = None
    parameters: Raw = Raw()


class _Tool(Struct):
    function: _ToolFunction | None = None


class _Request(Struct):
    messages: list[Said]
    tools: list[_Tool] | None = None


class _Response(Struct):
    choices: list[Choice]


_REQUEST = Decoder(_Request)
_RESPONSE = Decoder(_Response)


def claims(request: Keys, response: Keys | list[Raw]) -> bool:
    """A chat completion answers `choices` to `messages`."""
    return "messages" in request and "choices" in response and not isinstance(response, list)


def read(request: bytes, response: bytes) -> Exchange:
    """Read a chat completion; of several choices, the first is taken as the response."""
    response_body = _RESPONSE.decode(response)
    if not response_body.choices:
        raise Unreadable("no choices")
    return to_exchange(request, response_body.choices[0])


def to_exchange(request: bytes, choice: Choice) -> Exchange:
    """The exchange of a request (JSON) and the choice taken as its response.

    Raises:
        chat.Unreadable, msgspec.DecodeError: the request is of another dialect.
    """
    request_body, reply_message = _REQUEST.decode(request), choice.message
    messages = [_message(message) for message in request_body.messages]
    reply, reasoning = _spoken(reply_message)
    fill_call_ids([*messages, reply])  # some servers leave the ids out
    return Exchange(
        messages=with_system([], messages),
        response=reply,
        tools=[_tool(tool) for tool in request_body.tools or ()],
        stop_reason=stop_word(choice.finish_reason or choice.stop_reason),
        reasoning="\n".join(
            t for t in (reply_message.reasoning_content or reply_message.reasoning, reasoning) if t
        ),
        has_media=any(_has_media(message) for message in (reply_message, *request_body.messages)),
    )


def arguments_text(arguments: Raw) -> str:
    """The arguments of a call as JSON text: that text, or an object."""
    if not is_set(arguments):
        return ""
    is_text = bytes(arguments).startswith(b'"')
    return json.decode(arguments, type=str) if is_text else compact(arguments)


def _message(logged_message: Said) -> Message:
    role = "system" if logged_message.role == "developer" else logged_message.role
    if logged_message.role == "function":
        raise ContextLost("functions in place of tools")
    if role not in _ROLES:
        raise Unreadable("a message of an unknown role")
    if logged_message.name and role != "tool":
        raise ContextLost("the name of a speaker")
    if role == "assistant":
        return _spoken(logged_message)[0]
    return Message(role, _text(logged_message), tool_call_id=logged_message.tool_call_id or "")


def _spoken(logged_message: Said) -> tuple[Message, str]:
    """An assistant's message without its reasoning, and that reasoning."""
    if logged_message.function_call is not None:
        raise ContextLost("functions in place of tools")
    calls = list[ToolCall]()
    for call in logged_message.tool_calls or ():
        arguments = arguments_text(call.function.arguments) or "{}"
        function = FunctionCall(call.function.name, arguments)
        calls.append(ToolCall(call.id or "", "function", function))
    text, reasoning = split_reasoning(_text(logged_message))
    content = None if calls and not text.strip() else text
    return Message("assistant", content, tool_calls=calls), reasoning


def _text(logged_message: Said) -> str:
    if not isinstance(logged_message.content, list):
        return logged_message.content or logged_message.refusal or ""
    if any(part.type not in _TEXT and part.type not in _MEDIA for part in logged_message.content):
        raise Unreadable("a content part of an unknown kind")
    joint = "" if logged_message.role == "assistant" else "\n"
    return joint.join(p.text or p.refusal or "" for p in logged_message.content if p.type in _TEXT)


def _has_media(logged_message: Said) -> bool:
    has_parts = isinstance(logged_message.content, list) and any(
        p.type in _MEDIA for p in logged_message.content
    )
    return has_parts or logged_message.audio is not None


def _tool(tool: _Tool) -> JsonObject:
    if tool.function is None:
        raise ContextLost("a tool without a schema")
    return function_tool(tool.function.name, tool.function.description, tool.function.parameters)
