"""Streamed OpenAI chat completions: the ChatCompletions operation, and native streams alike.

Shape: OpenAI API reference, "The chat completion chunk object". Reasoning comes as
`reasoning_content` or as `reasoning`; DeepSeek's chunks hold a `message` for a `delta`.
"""

from dataclasses import dataclass, field
from typing import Any

from msgspec import Raw, Struct, json
from msgspec.json import Decoder

from bedrock_sluice.transforms.chat.messages import Exchange, Unreadable
from bedrock_sluice.transforms.readers.chat_dialects.chat_completions import (
    Call,
    Choice,
    Function,
    Part,
    Said,
    arguments_text,
    to_exchange,
)
from bedrock_sluice.transforms.readers.reader import Keys
from bedrock_sluice.transforms.readers.streams import Chunk, OpenCall, opening, refuse_failure

DIALECT = "chat_chunks"


class _FunctionPiece(Struct):
    name: str | None = None
    arguments: Raw = Raw()


class _CallPiece(Struct):
    function: _FunctionPiece
    index: int | None = None
    id: str | None = None


class _Delta(Struct):
    content: str | list[Part] | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[_CallPiece] | None = None
    function_call: Any = None
    audio: Any = None


class _ChoicePiece(Struct):
    index: int | None = None
    delta: _Delta | None = None
    message: _Delta | None = None
    finish_reason: str | None = None
    stop_reason: str | int | None = None


class _Chunk(Chunk):
    choices: list[_ChoicePiece] | None = None


_RESPONSE = Decoder(list[_Chunk | str | None])


@dataclass(slots=True)
class _Reply:
    """A choice, gathered from its pieces in their order."""

    parts: list[Part] = field(default_factory=list)
    reasoning: list[str] = field(default_factory=list)
    calls: list[OpenCall] = field(default_factory=list)
    by_index: dict[int | None, OpenCall] = field(default_factory=dict)
    finish_reason: str | None = None
    stop_reason: str | int | None = None
    function_call: Any = None
    audio: Any = None

    def choice(self) -> Choice:
        """The whole choice."""
        calls = [
            Call(Function(call.name, Raw(json.encode("".join(call.pieces)))), call.id)
            for call in self.calls
        ]
        message = Said(
            role="assistant",
            content=self.parts,
            reasoning_content="".join(self.reasoning),
            tool_calls=calls,
            function_call=self.function_call,
            audio=self.audio,
        )
        return Choice(message, self.finish_reason, self.stop_reason)


def claims(request: Keys, response: Keys | list[Raw]) -> bool:
    """Chunks have `choices`; they answer `messages`."""
    if not isinstance(response, list) or "messages" not in request:
        return False
    return any("choices" in chunk for chunk in opening(response))


def read(request: bytes, response: bytes) -> Exchange:
    """Read a request and the chunks of its chat completion; the choice of index 0 is taken."""
    reply = _Reply()
    for chunk in _RESPONSE.decode(response):
        if not isinstance(chunk, _Chunk):
            continue
        if chunk.error is not None or not chunk.choices:
            refuse_failure(chunk)
        for choice in chunk.choices or ():
            if not choice.index:
                reply.finish_reason = choice.finish_reason or reply.finish_reason
                reply.stop_reason = choice.stop_reason or reply.stop_reason
                _add_delta(reply, choice.delta or choice.message or _Delta())
    return to_exchange(request, reply.choice())


def _add_delta(reply: _Reply, delta: _Delta) -> None:
    if isinstance(delta.content, list):
        reply.parts.extend(delta.content)
    elif delta.content or delta.refusal:
        reply.parts.append(Part("text", delta.content or delta.refusal or ""))
    if reasoning := delta.reasoning_content or delta.reasoning:
        reply.reasoning.append(reasoning)
    reply.function_call = delta.function_call or reply.function_call
    reply.audio = delta.audio or reply.audio
    for piece in delta.tool_calls or ():
        _add_call(reply, piece)


def _add_call(reply: _Reply, piece: _CallPiece) -> None:
    """Some servers give each piece an id, and some all calls one index; a name tells a new call."""
    name, call = piece.function.name, reply.by_index.get(piece.index)
    if name and (call is None or (piece.id or "") != call.id):
        call = reply.by_index[piece.index] = OpenCall(piece.id or "", name)
        reply.calls.append(call)
    if call is None:
        raise Unreadable("a piece of a tool call that did not begin")
    call.pieces.append(arguments_text(piece.function.arguments))
