"""Cohere Command R: history, preamble, documents and tools become chat messages."""

import json
from typing import Any

import msgspec
import pytest

from bedrock_sluice.transforms.chat.messages import Exchange
from bedrock_sluice.transforms.readers.exchanges import read_bodies

Json = dict[str, Any]

SAID = {"text": "4", "finish_reason": "COMPLETE"}
LOOK: Json = {"name": "look", "parameters": {"at": "sky"}}
CLEAR: Json = {"call": LOOK, "outputs": [{"sky": "clear"}, {"sun": 1}]}


def read(response: object = SAID, **request: object) -> Exchange:
    """The exchange of a message, with the other fields of the request, and its answer."""
    request_body = json.dumps({"message": "2 + 2?", **request}).encode()
    dialect, exchange = read_bodies(request_body, json.dumps(response).encode())
    assert dialect == "cohere_command"
    return exchange


def turns(exchange: Exchange) -> list[tuple[str, str | None]]:
    """Who says what."""
    return [(message.role, message.content) for message in exchange.messages]


def test_history_and_preamble_come_before_the_message() -> None:
    history = [
        {"role": "SYSTEM", "message": "be kind"},
        {"role": "USER", "message": "hi"},
        {"role": "CHATBOT", "message": "<thinking>hm</thinking>hello"},
    ]
    exchange = read(preamble="be brief", chat_history=history)
    assert turns(exchange) == [
        ("system", "be brief\nbe kind"),
        ("user", "hi"),
        ("assistant", "hello"),
        ("user", "2 + 2?"),
    ]
    assert (exchange.response.content, exchange.reasoning) == ("4", "")


def test_documents_stand_in_the_system_message() -> None:
    exchange = read(documents=[{"title": "Sums", "snippet": "2 + 2 = 4"}])
    assert turns(exchange)[0] == ("system", '{"title":"Sums","snippet":"2 + 2 = 4"}')


def test_tools_get_a_json_schema() -> None:
    parameters = {
        "at": {"description": "where", "type": "str", "required": True},
        "eyes": {"type": "int"},
        "notes": {"type": "List[str]", "required": False},
        "mood": {"type": "object"},
    }
    tools = [
        {"name": "look", "description": "Look at it", "parameter_definitions": parameters},
        {"name": "blink"},
    ]
    look, blink = (tool["function"] for tool in read(tools=tools).tools)
    assert look == {
        "name": "look",
        "description": "Look at it",
        "parameters": {
            "type": "object",
            "properties": {
                "at": {"type": "string", "description": "where"},
                "eyes": {"type": "integer"},
                "notes": {"type": "array"},
                "mood": {"type": "object"},
            },
            "required": ["at"],
        },
    }
    assert blink["parameters"]["properties"] == {}


def _calls(exchange: Exchange) -> list[tuple[str, list[str], str]]:
    """Role, ids of calls, and id of the call that is answered, of each message."""
    return [(m.role, [call.id for call in m.tool_calls], m.tool_call_id) for m in exchange.messages]


def test_each_result_belongs_to_its_call() -> None:
    history = [
        {"role": "USER", "message": "how is it?"},
        {"role": "CHATBOT", "message": "", "tool_calls": [LOOK, LOOK]},
        {"role": "TOOL", "tool_results": [CLEAR, CLEAR]},
        {"role": "CHATBOT", "message": "once more", "tool_calls": [LOOK]},
    ]
    exchange = read(message="", chat_history=history, tool_results=[CLEAR])
    assert _calls(exchange) == [
        ("user", [], ""),
        ("assistant", ["call_1", "call_2"], ""),
        ("tool", [], "call_1"),
        ("tool", [], "call_2"),
        ("assistant", ["call_3"], ""),
        ("tool", [], "call_3"),
    ]
    assert exchange.messages[2].content == '{"sky":"clear"}\n{"sun":1}'
    assert [exchange.messages[n].content for n in (1, 4)] == [None, "once more"]


def test_a_call_that_only_its_result_tells_of_is_put_before_it() -> None:
    exchange = read(tool_results=[CLEAR])
    assert _calls(exchange) == [
        ("user", [], ""),
        ("assistant", ["call_1"], ""),
        ("tool", [], "call_1"),
    ]
    assert exchange.messages[1].tool_calls[0].function.arguments == '{"at":"sky"}'


CALLING = {"text": "I look.", "tool_calls": [LOOK], "finish_reason": "COMPLETE"}


@pytest.mark.parametrize(
    "response",
    [
        CALLING,
        [
            {"event_type": "stream-start", "generation_id": "a", "is_finished": False},
            {"event_type": "text-generation", "text": "I ", "is_finished": False},
            {"event_type": "text-generation", "text": "look.", "is_finished": False},
            {"event_type": "tool-calls-generation", "tool_calls": [LOOK], "is_finished": False},
            {"event_type": "stream-end", "finish_reason": "COMPLETE", "is_finished": True},
        ],
        [
            {"event_type": "stream-start", "generation_id": "a", "is_finished": False},
            {"event_type": "tool-calls-chunk", "text": "I ", "is_finished": False},
            {"event_type": "tool-calls-chunk", "tool_call_delta": {"parameters": "{"}},
            {"event_type": "tool-calls-generation", "text": "I look.", "tool_calls": [LOOK]},
            {"event_type": "stream-end", "finish_reason": "COMPLETE", "response": CALLING},
        ],
    ],
)
def test_calls_in_the_response_are_numbered_on(response: object) -> None:
    exchange = read(response, tool_results=[CLEAR])
    function = {"name": "look", "arguments": '{"at":"sky"}'}
    assert msgspec.to_builtins(exchange.response) == {
        "role": "assistant",
        "content": "I look.",
        "tool_calls": [{"id": "call_2", "type": "function", "function": function}],
    }
    assert exchange.stop_reason == "end_turn"


def test_fields_may_be_null() -> None:
    fields = ("preamble", "chat_history", "documents", "tools", "tool_results")
    empty: Json = dict.fromkeys(fields)
    assert turns(read({"text": None, "tool_calls": None}, **empty)) == [("user", "2 + 2?")]
