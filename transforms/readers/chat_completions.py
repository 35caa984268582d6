"""OpenAI chat completions, not streamed: the ChatCompletions operation, and native bodies alike.

Shape: OpenAI API reference, "Create chat completion"; DeepSeek says `stop_reason` for
`finish_reason`.
"""

from msgspec import Raw, Struct
from msgspec.json import Decoder

from bedrock_sluice.transforms.chat import (
    Exchange,
    FunctionCall,
    JsonObject,
    Message,
    ToolCall,
    Unreadable,
    function_tool,
    split_reasoning,
    stop_word,
    with_system,
)
from bedrock_sluice.transforms.readers import Keys

DIALECT = "chat_completions"

_SYSTEM_ROLES = frozenset({"system", "developer"})
_ROLES = frozenset({"user", "assistant", "tool"})
_TEXT = frozenset({"text", "refusal", "input_text", "output_text"})
_MEDIA = frozenset({"image_url", "input_audio", "file"})


class Part(Struct):
    """A part of a message's content."""

    type: str
    text: str = ""
    refusal: str = ""


class Function(Struct):
    """The function that a call names; `arguments` is JSON text."""

    name: str
    arguments: str = "{}"


class Call(Struct):
    """A call of a tool."""

    function: Function
    id: str = ""


class Said(Struct):
    """A message as it is logged."""

    role: str
    content: str | list[Part] | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[Call] | None = None
    tool_call_id: str = ""


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
    function: _ToolFunction


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
    answered = _RESPONSE.decode(response)
    if not answered.choices:
        raise Unreadable("no choices")
    return to_exchange(request, answered.choices[0])


def to_exchange(request: bytes, choice: Choice) -> Exchange:
    """The exchange of a request (JSON) and the choice taken as its response.

    Raises:
        chat.Unreadable, msgspec.DecodeError: the request is of another dialect.
    """
    asked = _REQUEST.decode(request)
    reply, thought = _spoken(choice.message)
    logged = [choice.message, *asked.messages]
    return Exchange(
        messages=_messages(asked.messages),
        response=reply,
        tools=[_tool(tool) for tool in asked.tools or ()],
        stop_reason=stop_word(choice.finish_reason or choice.stop_reason),
        reasoning="\n".join(t for t in (choice.message.reasoning_content, thought) if t),
        has_media=any(_has_media(message) for message in logged),
    )


def _messages(logged: list[Said]) -> list[Message]:
    system = [_text(m) for m in logged if m.role in _SYSTEM_ROLES]
    return with_system(system, [_message(m) for m in logged if m.role not in _SYSTEM_ROLES])


def _message(logged: Said) -> Message:
    if logged.role not in _ROLES:
        raise Unreadable("a message of an unknown role")
    if logged.role == "assistant":
        return _spoken(logged)[0]
    return Message(logged.role, _text(logged), tool_call_id=logged.tool_call_id)


def _spoken(logged: Said) -> tuple[Message, str]:
    """An assistant's message without its reasoning, and that reasoning."""
    calls = [
        ToolCall(call.id, "function", FunctionCall(call.function.name, call.function.arguments))
        for call in logged.tool_calls or ()
    ]
    text, thought = split_reasoning(_text(logged))
    content = None if calls and not text.strip() else text
    return Message("assistant", content, tool_calls=calls), thought


def _text(logged: Said) -> str:
    if not isinstance(logged.content, list):
        return logged.content or logged.refusal or ""
    if any(part.type not in _TEXT and part.type not in _MEDIA for part in logged.content):
        raise Unreadable("a content part of an unknown kind")
    joint = "" if logged.role == "assistant" else "\n"
    return joint.join(p.text or p.refusal for p in logged.content if p.type in _TEXT)


def _has_media(logged: Said) -> bool:
    return isinstance(logged.content, list) and any(p.type in _MEDIA for p in logged.content)


def _tool(tool: _Tool) -> JsonObject:
    return function_tool(tool.function.name, tool.function.description, tool.function.parameters)
