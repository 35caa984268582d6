"""Anthropic Messages through InvokeModel, not streamed.

Shape: AWS user guide, "Anthropic Claude Messages API".
"""

from msgspec import Raw, Struct
from msgspec.json import Decoder

from bedrock_sluice.transforms.chat.messages import (
    ContextLost,
    Exchange,
    JsonObject,
    Turn,
    Unreadable,
    function_tool,
    is_set,
    source_text,
    stop_word,
    with_system,
)
from bedrock_sluice.transforms.readers.reader import Keys

DIALECT = "anthropic_messages"

# Blocks of tools that Anthropic's server runs, beside the results, whose types end alike.
_SERVER_TOOLS = frozenset({"server_tool_use", "mcp_tool_use", "container_upload", "tool_reference"})
_SERVER_RESULT = "_tool_result"


class Block(Struct):
    """A piece of content; which fields are set depends on `type`."""

    type: str
    text: str | None = None
    thinking: str | None = None
    id: str | None = None
    name: str | None = None
    input: Raw = Raw()
    tool_use_id: str | None = None
    content: Raw = Raw()
    is_error: bool | None = None
    source: Raw = Raw()
    title: str | None = None
    context: str | None = None


class _Source(Struct):
    type: str
    data: str | None = None
    content: Raw = Raw()


class _Message(Struct):
    role: str
    content: str | list[Block]


class _Tool(Struct):
    name: str
    type: str | None = None
    description: str | None = None
    input_schema: Raw = Raw()


class _Request(Struct):
    messages: list[_Message]
    system: str | list[Block] | None = None
    tools: list[_Tool] | None = None


class _Response(Struct):
    content: list[Block]
    stop_reason: str | None = None


_REQUEST = Decoder(_Request)
_RESPONSE = Decoder(_Response)
_CONTENT = Decoder(str | list[Block])
_SOURCE = Decoder(_Source)
_TITLE = Decoder(str)


def claims(request: Keys, response: Keys | list[Raw]) -> bool:
    """Messages answers with one message, that is `role` and `content`, to `messages`."""
    return "messages" in request and "content" in response and "role" in response


def read(request: bytes, response: bytes) -> Exchange:
    """Read a Messages request and its whole answer."""
    response_body = _RESPONSE.decode(response)
    return to_exchange(request, _turn(response_body.content), response_body.stop_reason)


def to_exchange(request: bytes, reply: Turn, stop_reason: str | None) -> Exchange:
    """The exchange of a Messages request (JSON) and what was said to it.

    Raises:
        chat.Unreadable, msgspec.DecodeError: the request is of another dialect.
    """
    request_body = _REQUEST.decode(request)
    turns = [(m.role, _turn(m.content)) for m in request_body.messages]
    system = _turn(request_body.system or "")
    messages = [message for role, turn in turns for message in turn.messages(role)]
    return Exchange(
        messages=with_system(system.texts, messages),
        response=reply.messages("assistant")[0],
        tools=[_tool(tool) for tool in request_body.tools or ()],
        stop_reason=stop_word(stop_reason),
        reasoning="\n".join(reply.reasoning),
        has_media=system.has_media or reply.has_media or any(turn.has_media for _, turn in turns),
    )


def _turn(content: str | list[Block]) -> Turn:
    if isinstance(content, str):
        return Turn(texts=[content])
    turn = Turn()
    for block in content:
        add_block(turn, block)
    return turn


def _tool(tool: _Tool) -> JsonObject:
    if tool.type not in {None, "custom"}:
        raise ContextLost("a tool without a schema")
    return function_tool(tool.name, tool.description, tool.input_schema)


def add_block(turn: Turn, block: Block) -> None:
    """Add a block to its turn.

    Raises:
        chat.ContextLost: it is of a tool that the server runs, or tells of an error.
        chat.Unreadable: it is of an unknown kind.
    """
    match block.type:
        case "text":
            turn.texts.append(block.text or "")
        case "tool_use":
            turn.call(block.id or "", block.name or "", block.input)
        case "tool_result":
            if block.is_error:
                raise ContextLost("a tool result that is an error")
            content = _inner(block.content)
            turn.has_media |= content.has_media
            turn.result(block.tool_use_id or "", content.texts)
        case "thinking":
            turn.reasoning.append(block.thinking or "")
        case "redacted_thinking":  # encrypted: there is nothing to keep
            pass
        case "image":
            turn.has_media = True
        case "document":
            _add_document(turn, block)
        case "search_result":
            source = _TITLE.decode(block.source) if is_set(block.source) else None
            content = _inner(block.content)
            turn.has_media |= content.has_media
            turn.texts.append(source_text([block.title, source], content.texts))
        case server if server in _SERVER_TOOLS or server.endswith(_SERVER_RESULT):
            raise ContextLost("a call of a server tool")
        case _:
            raise Unreadable("a content block of an unknown kind")


def _add_document(turn: Turn, block: Block) -> None:
    """Add a document: its text, or that it is a file."""
    source = _SOURCE.decode(block.source) if is_set(block.source) else None
    if source is None or source.type not in {"text", "content"}:
        turn.has_media = True
        return
    content = _inner(source.content)
    turn.has_media |= content.has_media
    texts = source_text([block.title, block.context], [source.data, *content.texts])
    turn.texts.append(texts)


def _inner(content: Raw) -> Turn:
    """The texts inside of a block, and whether there are media among them."""
    inner = _turn(_CONTENT.decode(content)) if is_set(content) else Turn()
    if inner.calls or inner.results or inner.reasoning:
        raise Unreadable("a content block of an unknown kind")
    return inner
