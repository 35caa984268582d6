"""Anthropic Messages through InvokeModelWithResponseStream.

Shape: Anthropic API reference, "Streaming messages".
"""

from msgspec import Raw, Struct
from msgspec.json import Decoder

from bedrock_sluice.transforms.chat.messages import CallFailed, Exchange, Unreadable, is_set
from bedrock_sluice.transforms.readers.chat_dialects.anthropic_messages import (
    Block,
    add_block,
    to_exchange,
)
from bedrock_sluice.transforms.readers.reader import Keys
from bedrock_sluice.transforms.readers.streams import FAILED, Chunk, Reply, opening, refuse_failure

DIALECT = "anthropic_stream"

_EVENTS = {
    *(b'"message_start"', b'"message_delta"', b'"message_stop"', b'"ping"', b'"error"'),
    *(b'"content_block_start"', b'"content_block_delta"', b'"content_block_stop"'),
}
_NO_INPUT = Raw(b"{}")  # what a block opens with whose input comes in pieces


class _Delta(Struct):
    type: str | None = None
    text: str | None = None
    partial_json: str | None = None
    thinking: str | None = None
    stop_reason: str | None = None


class _Event(Chunk):
    type: str | None = None
    index: int | None = None
    content_block: Block | None = None
    delta: _Delta | None = None


_RESPONSE = Decoder(list[_Event | str | None])


def claims(request: Keys, response: Keys | list[Raw]) -> bool:
    """Events have a `type`, by which they are known; they answer `messages`."""
    if not isinstance(response, list) or "messages" not in request:
        return False
    return any(bytes(event.get("type", b"")) in _EVENTS for event in opening(response))


def read(request: bytes, response: bytes) -> Exchange:
    """Read a Messages request and the events of its answer."""
    reply = Reply()
    for event in _RESPONSE.decode(response):
        if not isinstance(event, _Event):
            continue
        if event.type == "content_block_delta" and event.delta:
            _add_piece(reply, event.index, event.delta)
        elif event.type == "content_block_start" and event.content_block:
            _open(reply, event.index, event.content_block)
        elif event.type == "message_delta" and event.delta:
            reply.stop_reason = event.delta.stop_reason or reply.stop_reason
        elif event.type == "error":
            raise CallFailed(FAILED)
        else:
            refuse_failure(event)
    return to_exchange(request, reply.turn(), reply.stop_reason)


def _open(reply: Reply, index: int | None, block: Block) -> None:
    match block.type:
        case "tool_use":
            reply.begin_call(index, block.id or "", block.name or "")
            if is_set(block.input) and block.input != _NO_INPUT:  # then no pieces of it follow
                reply.add_arguments(index, bytes(block.input).decode())
        case "thinking":
            reply.end_thought()
            reply.think(block.thinking or "")
        case _:
            reply.end_thought()
            add_block(reply.parts, block)


def _add_piece(reply: Reply, index: int | None, piece: _Delta) -> None:
    match piece.type:
        case "text_delta":
            reply.say(piece.text or "")
        case "input_json_delta":
            reply.add_arguments(index, piece.partial_json or "")
        case "thinking_delta":
            reply.think(piece.thinking or "")
        case "signature_delta" | "citations_delta":
            pass
        case _:
            raise Unreadable("a delta of an unknown kind")
