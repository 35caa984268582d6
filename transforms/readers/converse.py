"""Converse and ConverseStream (logged aggregated), and Nova's native bodies, which look the same.

Shape: AWS API reference, `Converse`; Amazon Nova user guide, "Complete request schema".
"""

from typing import Literal

from msgspec import Raw, Struct
from msgspec.json import Decoder

from bedrock_sluice.transforms.chat import (
    Exchange,
    JsonObject,
    Turn,
    Unreadable,
    compact,
    function_tool,
    stop_word,
    with_system,
)
from bedrock_sluice.transforms.readers import Keys

DIALECT = "converse"


class _Text(Struct):
    text: str = ""


class _GuardContent(Struct):
    text: _Text | None = None
    image: Raw = Raw()


class _ToolUse(Struct, rename="camel"):
    tool_use_id: str
    name: str
    input: Raw = Raw()


class _SearchResult(Struct):
    content: list[_Text] = []


class _ResultBlock(Struct, rename="camel"):
    text: str | None = None
    json: Raw = Raw()
    image: Raw = Raw()
    document: Raw = Raw()
    video: Raw = Raw()
    search_result: _SearchResult | None = None


class _ToolResult(Struct, rename="camel"):
    tool_use_id: str
    content: list[_ResultBlock] = []


class _Reasoning(Struct, rename="camel"):
    reasoning_text: _Text | None = None


class _Citations(Struct):
    content: list[_Text] = []


class _Block(Struct, rename="camel"):
    text: str | None = None
    image: Raw = Raw()
    document: Raw = Raw()
    video: Raw = Raw()
    audio: Raw = Raw()
    tool_use: _ToolUse | None = None
    tool_result: _ToolResult | None = None
    guard_content: _GuardContent | None = None
    cache_point: Raw = Raw()
    reasoning_content: _Reasoning | None = None
    citations_content: _Citations | None = None
    search_result: _SearchResult | None = None
    tool_addition: Raw = Raw()
    tool_removal: Raw = Raw()


class _Message(Struct):
    role: Literal["user", "assistant", "system"]
    content: list[_Block]


class _Schema(Struct):
    json: Raw = Raw()


class _ToolSpec(Struct, rename="camel"):
    name: str
    description: str | None = None
    input_schema: _Schema | None = None


class _Tool(Struct, rename="camel"):
    tool_spec: _ToolSpec | None = None


class _ToolConfig(Struct):
    tools: list[_Tool] = []


class _Request(Struct, rename="camel"):
    messages: list[_Message]
    system: list[_Block] = []
    tool_config: _ToolConfig | None = None


class _Output(Struct):
    message: _Message


class _Response(Struct, rename="camel"):
    output: _Output
    stop_reason: str | None = None


_REQUEST = Decoder(_Request)
_RESPONSE = Decoder(_Response)


def claims(request: Keys, response: Keys | list[Raw]) -> bool:
    """Converse answers `output` and `stopReason` to `messages`."""
    return "messages" in request and "output" in response and "stopReason" in response


def read(request: bytes, response: bytes) -> Exchange:
    """Read a Converse or Nova request and its whole answer."""
    answered = _RESPONSE.decode(response)
    return to_exchange(request, _turn(answered.output.message.content), answered.stop_reason)


def to_exchange(request: bytes, reply: Turn, stop_reason: str | None) -> Exchange:
    """The exchange of a Converse or Nova request (JSON) and what was said to it.

    Raises:
        chat.Unreadable, msgspec.DecodeError: the request is of another dialect.
    """
    asked = _REQUEST.decode(request)
    turns = [(m.role, _turn(m.content)) for m in asked.messages]
    systems = [_turn(asked.system), *(turn for role, turn in turns if role == "system")]
    spoken = [(role, turn) for role, turn in turns if role != "system"]
    messages = [message for role, turn in spoken for message in turn.messages(role)]
    return Exchange(
        messages=with_system([text for turn in systems for text in turn.texts], messages),
        response=reply.messages("assistant")[0],
        tools=_tools(asked.tool_config),
        stop_reason=stop_word(stop_reason),
        reasoning="\n".join(reply.reasoning),
        has_media=reply.has_media or any(turn.has_media for _, turn in turns),
    )


def _turn(blocks: list[_Block]) -> Turn:
    turn = Turn()
    for block in blocks:
        _add(turn, block)
    return turn


def _add(turn: Turn, block: _Block) -> None:
    if block.text is not None:
        turn.texts.append(block.text)
    elif block.tool_use:
        turn.call(block.tool_use.tool_use_id, block.tool_use.name, block.tool_use.input)
    elif block.tool_result:
        _add_result(turn, block.tool_result)
    elif block.guard_content:
        turn.texts.append(block.guard_content.text.text if block.guard_content.text else "")
        turn.has_media |= bool(block.guard_content.image)
    elif block.reasoning_content:
        thought = block.reasoning_content.reasoning_text
        turn.reasoning.append(thought.text if thought else "")
    elif block.citations_content:
        turn.texts.extend(piece.text for piece in block.citations_content.content)
    elif block.search_result:
        turn.texts.extend(piece.text for piece in block.search_result.content)
    elif block.image or block.document or block.video or block.audio:
        turn.has_media = True
    elif not (block.cache_point or block.tool_addition or block.tool_removal):  # configuration
        raise Unreadable("a content block of an unknown kind")


def _add_result(turn: Turn, result: _ToolResult) -> None:
    texts = []
    for block in result.content:
        if block.text is not None:
            texts.append(block.text)
        elif block.json:
            texts.append(compact(block.json))
        elif block.search_result:
            texts.extend(piece.text for piece in block.search_result.content)
        elif block.image or block.document or block.video:
            turn.has_media = True
        else:
            raise Unreadable("a tool result of an unknown kind")
    turn.result(result.tool_use_id, texts)


def _tools(config: _ToolConfig | None) -> list[JsonObject]:
    specs = [tool.tool_spec for tool in config.tools if tool.tool_spec] if config else []
    return [
        function_tool(s.name, s.description, s.input_schema.json if s.input_schema else Raw())
        for s in specs
    ]
