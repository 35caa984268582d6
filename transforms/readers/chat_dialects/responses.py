"""OpenAI Responses, whole and streamed: the Responses operation.

Shape: OpenAI API reference, "Create a model response" and its "Streaming events".
"""

from collections import defaultdict
from typing import Any

from msgspec import Raw, Struct
from msgspec.json import Decoder

from bedrock_sluice.transforms.chat.messages import (
    UNFINISHED,
    CallFailed,
    ContextLost,
    Exchange,
    FunctionCall,
    JsonObject,
    ToolCall,
    Turn,
    Unreadable,
    function_tool,
    with_system,
)
from bedrock_sluice.transforms.readers.reader import Keys
from bedrock_sluice.transforms.readers.streams import FAILED, Chunk, opening, refuse_failure

DIALECT = "responses"

_SPEAKERS = {"user": "user", "assistant": "assistant", "system": "system", "developer": "system"}
_TEXTS = frozenset(
    {"input_text", "output_text", "text", "refusal", "summary_text", "reasoning_text"}
)
_MEDIA = frozenset({"input_image", "input_file", "input_audio"})
_CUT_OFF = {"max_output_tokens": "max_tokens", "content_filter": "content_filtered"}

_OTHER_TOOLS = ("_call", "_call_output", "_approval_request", "_approval_response", "_list_tools")

_ENDS = frozenset({"response.completed", "response.incomplete", "response.failed"})
_PIECES = {  # the kinds of item whose pieces an event holds
    "response.output_text.delta": "message",
    "response.refusal.delta": "message",
    "response.reasoning_text.delta": "reasoning",
    "response.reasoning_summary_text.delta": "reasoning",
    "response.function_call_arguments.delta": "function_call",
}


class _Part(Struct):
    type: str
    text: str | None = None
    refusal: str | None = None


_Content = str | list[_Part] | None


class _Item(Struct):
    type: str | None = None
    role: str | None = None
    content: _Content = None
    summary: _Content = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None
    output: _Content = None

    def __post_init__(self) -> None:
        """Take an item without a type for a message."""
        self.type = self.type or "message"


class _Tool(Struct):
    type: str
    name: str | None = None
    description: str | None = None
    parameters: Raw = Raw()


class _Request(Struct):
    input: str | list[_Item] | None = None
    instructions: str | None = None
    tools: list[_Tool] | None = None


class _Incomplete(Struct):
    reason: str | None = None


class _Response(Struct):
    output: list[_Item] | None = None
    status: str | None = None
    incomplete_details: _Incomplete | None = None


class _Event(Chunk):
    type: str | None = None
    response: _Response | None = None
    item: _Item | None = None
    output_index: int | None = None
    delta: Any = None


_REQUEST = Decoder(_Request)
_RESPONSE = Decoder(_Response | list[_Event | str | None])


def claims(request: Keys, response: Keys | list[Raw]) -> bool:
    """Responses answer `output`, or events of that name, to `input`."""
    if isinstance(response, list):
        kinds = [bytes(event.get("type", b"")) for event in opening(response)]
        return "input" in request and any(kind.startswith(b'"response.') for kind in kinds)
    return "input" in request and "output" in response


def read(request: bytes, response: bytes) -> Exchange:
    """Read a request and its answer; of a stream that broke off, what there is."""
    request_body, response_body = _REQUEST.decode(request), _answer(response)
    turns, reply_turns = _turns(request_body.input or []), _turns(response_body.output or [])
    if any(who != "assistant" for who, _ in reply_turns):
        raise Unreadable("an answer that is not the assistant's")
    reply = reply_turns[0][1] if reply_turns else Turn()
    messages = [
        message
        for who, turn in turns
        if who != "assistant" or turn.texts or turn.calls  # else the turn is reasoning alone
        for message in turn.messages(who)
    ]
    return Exchange(
        messages=with_system([request_body.instructions or ""], messages),
        response=reply.messages("assistant")[0],
        tools=[_tool(tool) for tool in request_body.tools or ()],
        stop_reason=_stop_reason(response_body, reply),
        reasoning="\n".join(reply.reasoning),
        has_media=reply.has_media or any(turn.has_media for _, turn in turns),
    )


def _turns(items: str | list[_Item]) -> list[tuple[str, Turn]]:
    """Who said what; what the assistant says and calls in a row is one turn."""
    if isinstance(items, str):
        return [("user", Turn(texts=[items]))]
    turns = list[tuple[str, Turn]]()
    for item in items:
        who = _speaker(item)
        if not (turns and who == turns[-1][0] == "assistant"):
            turns.append((who, Turn()))
        _add(turns[-1][1], item)
    return turns


def _speaker(item: _Item) -> str:
    match item.type:
        case "message" if item.role in _SPEAKERS:
            return _SPEAKERS[item.role or ""]
        case "function_call" | "reasoning":
            return "assistant"
        case "function_call_output":
            return "tool"
        case "item_reference" | "compaction":
            raise ContextLost("a part of the prompt that is stored apart")
        case str(kind) if kind.endswith(_OTHER_TOOLS):
            raise ContextLost("a call of a server tool")
    raise Unreadable("an item of an unknown kind or role")


def _add(turn: Turn, item: _Item) -> None:
    match item.type:
        case "message":
            text = ("" if item.role == "assistant" else "\n").join(_texts(turn, item.content))
            turn.texts.append(f"\n{text}" if text and turn.texts else text)
        case "function_call":
            if not item.name:
                raise Unreadable("a tool call without a name")
            function_call = FunctionCall(item.name, item.arguments or "{}")
            turn.calls.append(ToolCall(item.call_id or "", "function", function_call))
        case "function_call_output":
            turn.result(item.call_id or "", _texts(turn, item.output))
        case "reasoning":
            turn.reasoning += _texts(turn, item.summary) + _texts(turn, item.content)


def _texts(turn: Turn, content: _Content) -> list[str]:
    """The texts of some content; that there were media is told to the turn."""
    if not isinstance(content, list):
        return [content] if content else []
    if any(part.type not in _TEXTS and part.type not in _MEDIA for part in content):
        raise Unreadable("a part of an unknown kind")
    turn.has_media |= any(part.type in _MEDIA for part in content)
    return [part.text or part.refusal or "" for part in content if part.type in _TEXTS]


def _tool(tool: _Tool) -> JsonObject:
    if tool.type != "function":
        raise ContextLost("a tool without a schema")
    return function_tool(tool.name or "", tool.description, tool.parameters)


def _stop_reason(response_body: _Response, reply: Turn) -> str:
    match response_body.status:
        case "completed":
            return "tool_use" if reply.calls else "end_turn"
        case "incomplete":
            details = response_body.incomplete_details
            why = details.reason if details else None
            return _CUT_OFF.get(why, why) if why else UNFINISHED
        case "failed":
            raise CallFailed("a response that failed")
    return response_body.status or UNFINISHED


# --- streams


def _answer(body: bytes) -> _Response:
    body_content = _RESPONSE.decode(body)
    if isinstance(body_content, _Response):
        return body_content
    events = [event for event in body_content if isinstance(event, _Event)]
    ends = [event.response for event in events if event.type in _ENDS and event.response]
    return ends[-1] if ends else _Response(_collect_items(events))


def _collect_items(events: list[_Event]) -> list[_Item]:
    """The items of a stream that broke off: whole where they were done, else from their pieces."""
    items, finished_indexes = dict[int, _Item](), set[int]()
    pieces = defaultdict[int, list[str]](list)
    for event in events:
        if event.type == "error":
            raise CallFailed(FAILED)
        refuse_failure(event)
        index, kind = event.output_index or 0, event.type or ""
        if event.item:
            items[index] = event.item
            if kind == "response.output_item.done":
                finished_indexes.add(index)
        elif kind in _PIECES and isinstance(event.delta, str):
            items.setdefault(index, _Item(_PIECES[kind], "assistant"))
            pieces[index].append(event.delta)
    for index in items.keys() - finished_indexes:
        text = "".join(pieces[index])
        if items[index].type == "function_call":
            items[index].arguments = text
        else:
            items[index].content = text
    return [items[index] for index in sorted(items)]
