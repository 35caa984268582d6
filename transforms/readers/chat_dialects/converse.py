"""Converse and ConverseStream (logged aggregated), and Nova's native bodies, which look the same.

Shape: AWS API reference, `Converse`; Amazon Nova user guide, "Complete request schema".
"""

from typing import Any, Literal

from msgspec import Raw, Struct
from msgspec.json import Decoder

from bedrock_sluice.transforms.chat.messages import (
    ContextLost,
    Exchange,
    JsonObject,
    Turn,
    Unreadable,
    compact,
    function_tool,
    is_set,
    source_text,
    stop_word,
    with_system,
)
from bedrock_sluice.transforms.readers.reader import Keys

DIALECT = "converse"


class _Text(Struct):
    text: str | None = None


class _GuardContent(Struct):
    text: _Text | None = None
    image: Any = None


class _ToolUse(Struct, rename="camel"):
    tool_use_id: str | None
    name: str
    input: Raw = Raw()
    type: str | None = None


class _SearchResult(Struct):
    source: str | None = None
    title: str | None = None
    content: list[_Text] | None = None

    def text(self) -> str:
        """The result as text."""
        return source_text([self.title, self.source], [part.text for part in self.content or ()])


class _DocumentSource(Struct):
    text: str | None = None
    content: list[_Text] | None = None


class _Document(Struct):
    name: str | None = None
    context: str | None = None
    source: _DocumentSource | None = None

    def text(self) -> str | None:
        """The document as text; None if it is a file."""
        source = self.source
        if source is None or (source.text is None and source.content is None):
            return None
        parts = [source.text, *(part.text for part in source.content or ())]
        return source_text([self.name, self.context], parts)


class _ResultBlock(Struct, rename="camel"):
    text: str | None = None
    json: Raw = Raw()
    image: Any = None
    document: _Document | None = None
    video: Any = None
    audio: Any = None
    search_result: _SearchResult | None = None


class _ToolResult(Struct, rename="camel"):
    tool_use_id: str | None
    content: list[_ResultBlock] | None = None
    status: str | None = None


class _Reasoning(Struct, rename="camel"):
    reasoning_text: _Text | None = None


class _Citations(Struct):
    content: list[_Text] | None = None


class _Block(Struct, rename="camel"):
    text: str | None = None
    image: Any = None
    document: _Document | None = None
    video: Any = None
    audio: Any = None
    tool_use: _ToolUse | None = None
    tool_result: _ToolResult | None = None
    guard_content: _GuardContent | None = None
    cache_point: Any = None
    reasoning_content: _Reasoning | None = None
    citations_content: _Citations | None = None
    search_result: _SearchResult | None = None
    tool_addition: Any = None
    tool_removal: Any = None


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
    cache_point: Any = None


class _ToolConfig(Struct):
    tools: list[_Tool] | None = None


class _Request(Struct, rename="camel"):
    messages: list[_Message] | None = None
    system: list[_Block] | None = None
    tool_config: _ToolConfig | None = None


class _Output(Struct):
    message: _Message


class _Response(Struct, rename="camel"):
    output: _Output
    stop_reason: str | None = None


_REQUEST = Decoder(_Request)
_RESPONSE = Decoder(_Response)


def claims(request: Keys, response: Keys | list[Raw]) -> bool:
    """Converse answers `output` and `stopReason` to `messages`, or to those of a managed prompt."""
    has_prompt = "messages" in request or "promptVariables" in request
    return has_prompt and "output" in response and "stopReason" in response


def read(request: bytes, response: bytes) -> Exchange:
    """Read a Converse or Nova request and its whole answer."""
    response_body = _RESPONSE.decode(response)
    return to_exchange(
        request, _turn(response_body.output.message.content), response_body.stop_reason
    )


def to_exchange(request: bytes, reply: Turn, stop_reason: str | None) -> Exchange:
    """The exchange of a Converse or Nova request (JSON) and what was said to it.

    Raises:
        chat.Unreadable, msgspec.DecodeError: the request is of another dialect.
    """
    request_body = _REQUEST.decode(request)
    system = _turn(request_body.system or [])
    turns = [(m.role, _turn(m.content)) for m in request_body.messages or ()]
    messages = [message for role, turn in turns for message in turn.messages(role)]
    return Exchange(
        messages=with_system(system.texts, messages),
        response=reply.messages("assistant")[0],
        tools=_tools(request_body.tool_config),
        stop_reason=stop_word(stop_reason),
        reasoning="\n".join(reply.reasoning),
        has_media=system.has_media or reply.has_media or any(turn.has_media for _, turn in turns),
    )


def _turn(blocks: list[_Block]) -> Turn:
    turn = Turn()
    for block in blocks:
        if block.text is not None:
            turn.texts.append(block.text)
        elif call := block.tool_use:
            if call.type is not None:
                raise ContextLost("a call of a server tool")
            turn.call(call.tool_use_id or "", call.name, call.input)
        elif block.tool_result:
            _add_result(turn, block.tool_result)
        elif guard := block.guard_content:
            turn.texts.append((guard.text.text if guard.text else "") or "")
            turn.has_media |= guard.image is not None
        elif block.reasoning_content:
            reasoning_text_block = block.reasoning_content.reasoning_text
            turn.reasoning.append((reasoning_text_block.text if reasoning_text_block else "") or "")
        elif block.citations_content:
            turn.texts.extend(piece.text or "" for piece in block.citations_content.content or ())
        elif block.search_result:
            turn.texts.append(block.search_result.text())
        elif block.document and (text := block.document.text()) is not None:
            turn.texts.append(text)
        else:
            _add_other(turn, block)
    return turn


def _add_other(turn: Turn, block: _Block) -> None:
    if any(part is not None for part in (block.image, block.document, block.video, block.audio)):
        turn.has_media = True
    elif block.tool_addition is not None or block.tool_removal is not None:
        raise ContextLost("a change of the tools in mid-conversation")
    elif block.cache_point is None:
        raise Unreadable("a content block of an unknown kind")


def _add_result(turn: Turn, result: _ToolResult) -> None:
    if result.status == "error":
        raise ContextLost("a tool result that is an error")
    texts = []
    for block in result.content or ():
        if block.text is not None:
            texts.append(block.text)
        elif is_set(block.json):
            texts.append(compact(block.json))
        elif block.search_result:
            texts.append(block.search_result.text())
        elif block.document and (text := block.document.text()) is not None:
            texts.append(text)
        elif any(b is not None for b in (block.image, block.document, block.video, block.audio)):
            turn.has_media = True
        else:
            raise Unreadable("a tool result of an unknown kind")
    turn.result(result.tool_use_id or "", texts)


def _tools(config: _ToolConfig | None) -> list[JsonObject]:
    tools = (config.tools if config else None) or []
    if any(tool.tool_spec is None and tool.cache_point is None for tool in tools):
        raise ContextLost("a tool that the service runs")
    return [
        function_tool(s.name, s.description, s.input_schema.json if s.input_schema else Raw())
        for s in (tool.tool_spec for tool in tools)
        if s
    ]
