"""The events of Nova's native streams, and of a ConverseStream that was logged as its events.

Shape: AWS API reference, `ConverseStream`.
"""

from typing import Any

from msgspec import Raw, Struct, field
from msgspec.json import Decoder

from bedrock_sluice.transforms.chat.messages import ContextLost, Exchange, Unreadable
from bedrock_sluice.transforms.readers.chat_dialects.converse import to_exchange
from bedrock_sluice.transforms.readers.reader import Keys
from bedrock_sluice.transforms.readers.streams import Chunk, Reply, opening, refuse_failure

DIALECT = "converse_events"

_EVENTS = {
    *("messageStart", "messageStop", "metadata"),
    *("contentBlockStart", "contentBlockDelta", "contentBlockStop"),
}


class _Call(Struct, rename="camel"):
    tool_use_id: str | None
    name: str
    type: str | None = None


class _Opened(Struct, rename="camel"):
    tool_use: _Call | None = None
    tool_result: Any = None
    image: Any = None


class _Start(Struct, rename="camel"):
    start: _Opened
    content_block_index: int | None = None


class _Arguments(Struct):
    input: str | None = None


class _Reasoning(Struct):
    text: str | None = None


class _Piece(Struct, rename="camel"):
    text: str | None = None
    tool_use: _Arguments | None = None
    reasoning_content: _Reasoning | None = None
    image: Any = None
    citation: Any = None
    tool_result: Any = None


class _Delta(Struct, rename="camel"):
    delta: _Piece
    content_block_index: int | None = None


class _Stop(Struct, rename="camel"):
    stop_reason: str | None = None


class _Event(Chunk):
    delta: _Delta | None = field(default=None, name="contentBlockDelta")
    start: _Start | None = field(default=None, name="contentBlockStart")
    stop: _Stop | None = field(default=None, name="messageStop")


_RESPONSE = Decoder(list[_Event | str | None])


def claims(request: Keys, response: Keys | list[Raw]) -> bool:
    """Events are objects of one key, their kind; they answer `messages`."""
    if not isinstance(response, list) or "messages" not in request:
        return False
    return any(not _EVENTS.isdisjoint(event) for event in opening(response))


def read(request: bytes, response: bytes) -> Exchange:
    """Read a Converse or Nova request and the events of its answer."""
    reply = Reply()
    for event in _RESPONSE.decode(response):
        if not isinstance(event, _Event):
            continue
        if event.delta:
            _add_piece(reply, event.delta.content_block_index, event.delta.delta)
        elif event.start:
            _open(reply, event.start.content_block_index, event.start.start)
        elif event.stop:
            reply.stop_reason = event.stop.stop_reason
        else:
            refuse_failure(event)
    return to_exchange(request, reply.turn(), reply.stop_reason)


def _open(reply: Reply, index: int | None, open_block: _Opened) -> None:
    if open_block.tool_result is not None or (
        open_block.tool_use and open_block.tool_use.type is not None
    ):
        raise ContextLost("a call of a server tool")
    if open_block.tool_use:
        reply.begin_call(index, open_block.tool_use.tool_use_id or "", open_block.tool_use.name)
    elif open_block.image is not None:
        reply.parts.has_media = True


def _add_piece(reply: Reply, index: int | None, piece: _Piece) -> None:
    if piece.text is not None:
        reply.say(piece.text)
    elif piece.tool_use:
        reply.add_arguments(index, piece.tool_use.input or "")
    elif piece.reasoning_content:
        if piece.reasoning_content.text is None:  # its signature, or a thought that is not shown
            reply.end_thought()
        else:
            reply.think(piece.reasoning_content.text)
    elif piece.image is not None:
        reply.parts.has_media = True
    elif piece.tool_result is not None:
        raise ContextLost("a call of a server tool")
    elif piece.citation is None:
        raise Unreadable("a delta of an unknown kind")
