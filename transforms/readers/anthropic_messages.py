"""Anthropic Messages through InvokeModel, not streamed.

Shape: AWS user guide, "Anthropic Claude Messages API".
"""

from msgspec import Raw, Struct
from msgspec.json import Decoder

from bedrock_sluice.transforms.chat import (
    Exchange,
    Turn,
    Unreadable,
    function_tool,
    stop_word,
    with_system,
)
from bedrock_sluice.transforms.readers import Keys

DIALECT = "anthropic_messages"

_MEDIA = frozenset({"image", "document"})


class _ResultBlock(Struct):
    type: str
    text: str = ""


class Block(Struct):
    """A piece of content; which fields are set depends on `type`."""

    type: str
    text: str = ""
    thinking: str = ""
    id: str = ""
    name: str = ""
    input: Raw = Raw()
    tool_use_id: str = ""
    content: str | list[_ResultBlock] = ""


class _Message(Struct):
    role: str
    content: str | list[Block]


class _Tool(Struct):
    name: str
    description: str | None = None
    input_schema: Raw = Raw()


class _Request(Struct):
    messages: list[_Message]
    system: str | list[Block] = ""
    tools: list[_Tool] = []


class _Response(Struct):
    content: list[Block]
    stop_reason: str | None = None


_REQUEST = Decoder(_Request)
_RESPONSE = Decoder(_Response)


def claims(request: Keys, response: Keys | list[Raw]) -> bool:
    """Messages answers with one message, that is `role` and `content`, to `messages`."""
    return "messages" in request and "content" in response and "role" in response


def read(request: bytes, response: bytes) -> Exchange:
    """Read a Messages request and its whole answer."""
    answered = _RESPONSE.decode(response)
    return to_exchange(request, _turn(answered.content), answered.stop_reason)


def to_exchange(request: bytes, reply: Turn, stop_reason: str | None) -> Exchange:
    """The exchange of a Messages request (JSON) and what was said to it.

    Raises:
        chat.Unreadable, msgspec.DecodeError: the request is of another dialect.
    """
    asked = _REQUEST.decode(request)
    turns = [(m.role, _turn(m.content)) for m in asked.messages]
    system = _turn(asked.system)
    messages = [message for role, turn in turns for message in turn.messages(role)]
    return Exchange(
        messages=with_system(system.texts, messages),
        response=reply.messages("assistant")[0],
        tools=[function_tool(t.name, t.description, t.input_schema) for t in asked.tools],
        stop_reason=stop_word(stop_reason),
        reasoning="\n".join(reply.reasoning),
        has_media=reply.has_media or any(turn.has_media for _, turn in turns),
    )


def _turn(content: str | list[Block]) -> Turn:
    if isinstance(content, str):
        return Turn(texts=[content])
    turn = Turn()
    for block in content:
        add_block(turn, block)
    return turn


def add_block(turn: Turn, block: Block) -> None:
    """Add a block to its turn.

    Raises:
        chat.Unreadable: it is of an unknown kind.
    """
    match block.type:
        case "text":
            turn.texts.append(block.text)
        case "tool_use":
            turn.call(block.id, block.name, block.input)
        case "tool_result":
            _add_result(turn, block)
        case "thinking":
            turn.reasoning.append(block.thinking)
        case "redacted_thinking":
            pass
        case media if media in _MEDIA:
            turn.has_media = True
        case _:
            raise Unreadable("a content block of an unknown kind")


def _add_result(turn: Turn, block: Block) -> None:
    if isinstance(block.content, str):
        turn.result(block.tool_use_id, [block.content])
        return
    if any(part.type != "text" and part.type not in _MEDIA for part in block.content):
        raise Unreadable("a tool result of an unknown kind")
    turn.has_media |= any(part.type in _MEDIA for part in block.content)
    turn.result(block.tool_use_id, [part.text for part in block.content if part.type == "text"])
