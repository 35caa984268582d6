"""What readers of streams share: a streamed body is logged as the list of its chunks."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import msgspec

from bedrock_sluice.transforms.chat.messages import (
    CallFailed,
    FunctionCall,
    ToolCall,
    Turn,
    Unreadable,
    compact,
)
from bedrock_sluice.transforms.decode.json_limits import MAX_BODY_KEYS, check_limits
from bedrock_sluice.transforms.readers.reader import Keys

FAILED = "a stream that ended in an error"
PEEKED_CHUNKS = 4

_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])


class Chunk(msgspec.Struct):
    """What any chunk may hold in place of content: why the stream failed.

    The exceptions are those of the `ResponseStream` and `ConverseStreamOutput` of Bedrock's API.
    """

    error: Any = None
    internal: Any = msgspec.field(default=None, name="internalServerException")
    model: Any = msgspec.field(default=None, name="modelStreamErrorException")
    timeout: Any = msgspec.field(default=None, name="modelTimeoutException")
    unavailable: Any = msgspec.field(default=None, name="serviceUnavailableException")
    throttling: Any = msgspec.field(default=None, name="throttlingException")
    validation: Any = msgspec.field(default=None, name="validationException")


def refuse_failure(chunk: Chunk) -> None:
    """Accept a chunk without content, unless it tells of an error.

    Raises:
        chat.CallFailed: it does.
    """
    failures = [
        *(chunk.error, chunk.internal, chunk.model, chunk.timeout),
        *(chunk.unavailable, chunk.throttling, chunk.validation),
    ]
    if any(failure is not None for failure in failures):
        raise CallFailed(FAILED)


def opening(response: Keys | list[msgspec.Raw]) -> Iterator[Keys]:
    """The first few chunks of a stream that are objects; none if the body is not a stream."""
    chunks = response if isinstance(response, list) else []
    objects = (chunk for chunk in chunks if bytes(chunk).startswith(b"{"))
    return map(_OBJECT.decode, islice(objects, PEEKED_CHUNKS))


@dataclass(slots=True)
class OpenCall:
    """A tool call that may go on; `pieces` are those of the JSON text of its arguments."""

    id: str
    name: str
    pieces: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Reply:
    """An assistant's turn, gathered from the pieces of a stream in their order.

    Text is joined without a seam, whatever blocks its pieces stand in: some models open a block for
    each token. Reasoning is one thought until something else comes between.
    """

    stop_reason: str | None = None
    parts: Turn = field(default_factory=Turn)
    _thoughts: list[list[str]] = field(default_factory=list)
    _is_thinking: bool = False
    _calls: list[OpenCall] = field(default_factory=list)
    _by_index: dict[int | None, OpenCall] = field(default_factory=dict)

    def say(self, piece: str) -> None:
        """Add a piece of text."""
        self._is_thinking = False
        self.parts.texts.append(piece)

    def think(self, piece: str) -> None:
        """Add a piece of reasoning."""
        if not self._is_thinking:
            self._thoughts.append([])
        self._is_thinking = True
        self._thoughts[-1].append(piece)

    def end_thought(self) -> None:
        """Let reasoning that comes next be another thought."""
        self._is_thinking = False

    def begin_call(self, index: int | None, call_id: str, name: str) -> None:
        """Begin a tool call, in the block of that index."""
        self.end_thought()
        self._by_index[index] = OpenCall(call_id, name)
        self._calls.append(self._by_index[index])

    def add_arguments(self, index: int | None, piece: str) -> None:
        """Add a piece of the arguments of the call in the block of that index.

        Raises:
            chat.Unreadable: no call began there.
        """
        if index not in self._by_index:
            raise Unreadable("a piece of a tool call that did not begin")
        self._by_index[index].pieces.append(piece)

    def turn(self) -> Turn:
        """The whole turn.

        Raises:
            InputError: the arguments of a call are nested too deep.
        """
        self.parts.reasoning = ["".join(pieces) for pieces in self._thoughts]
        self.parts.calls = [
            ToolCall(call.id, "function", FunctionCall(call.name, _arguments(call)))
            for call in self._calls
        ]
        return self.parts


def _arguments(call: OpenCall) -> str:
    """JSON without blanks; where a stream broke off, it is not whole, and stays as it came.

    Raises:
        InputError: it is nested too deep; limits of the body, where it is text, do not see it.
    """
    text = "".join(call.pieces)
    check_limits(text.encode(), MAX_BODY_KEYS)
    try:
        return compact(msgspec.Raw(text.encode())) if text else "{}"
    except msgspec.DecodeError:
        return text
