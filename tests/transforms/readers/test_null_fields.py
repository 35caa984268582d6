"""Null is absence, in every reader: SDKs fill in what was not there."""

import json
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock_sluice.transforms.chat.messages import Exchange
from bedrock_sluice.transforms.errors import InputError
from bedrock_sluice.transforms.readers.exchanges import read_bodies
from bedrock_sluice.transforms.reasons import Reason

Json = dict[str, Any]
Encode = Callable[..., tuple[Json, Any]]
Stream = Callable[[str, Json, Random], list[Any]]

CALL = {"id": "t1", "type": "function", "function": {"name": "look", "arguments": '{"at":"sky"}'}}
TALK: list[Json] = [
    {"role": "system", "content": "be brief"},
    {"role": "user", "content": "what colour is the sky?"},
    {"role": "assistant", "content": "let me look", "tool_calls": [CALL]},
    {"role": "tool", "content": "blue", "tool_call_id": "t1"},
    {"role": "user", "content": "and the sea?"},
]
REPLY: Json = {"role": "assistant", "content": "Blue, too.", "tool_calls": [CALL]}
TOOL = {"name": "look", "description": "Look", "parameters": {"type": "object", "properties": {}}}
STREAMS = {
    "converse_events": "converse",
    "anthropic_stream": "anthropic_messages",
    "chat_chunks": "chat_completions",
}

# Every field that the APIs may leave out, and with it what it may be null in.
OPTIONAL = {
    "converse": [
        *("text", "image", "document", "video", "audio", "toolUse", "toolResult", "guardContent"),
        *("cachePoint", "reasoningContent", "citationsContent", "searchResult", "toolAddition"),
        *("toolRemoval", "system", "toolConfig", "promptVariables", "status", "description"),
        *("outputConfig", "additionalModelRequestFields", "type", "toolSpec", "systemTool"),
    ],
    "anthropic_messages": [
        *("text", "thinking", "id", "name", "tool_use_id", "content", "is_error", "source"),
        *("title", "context", "system", "tools", "description", "input_schema", "cache_control"),
        *("citations", "partial_json", "stop_reason", "index", "content_block", "delta"),
    ],
    "chat_completions": [
        *("content", "refusal", "reasoning_content", "reasoning", "tool_calls", "tool_call_id"),
        *("name", "function_call", "audio", "context_logits", "tools", "description", "id"),
        *("response_format", "functions", "parameters", "index", "stop_reason", "delta"),
    ],
}


def _add_nulls(value: Any, names: list[str], rng: Random) -> Any:
    """A JSON value with some of the names added to each of its objects, as null."""
    if isinstance(value, list):
        return [_add_nulls(each, names, rng) for each in value]
    if not isinstance(value, dict):
        return value
    fields = {key: _add_nulls(each, names, rng) for key, each in value.items()}
    null_names = rng.sample(names, rng.randint(0, 4))
    return {name: None for name in null_names if name not in value} | fields


def _read(request: Any, response: Any) -> Exchange:
    return read_bodies(json.dumps(request).encode(), json.dumps(response).encode())[1]


@pytest.mark.parametrize("dialect", [*OPTIONAL, *STREAMS])
@given(rng=st.randoms(use_true_random=False))
def test_a_field_that_is_null_is_as_good_as_absent(
    bodies: Encode, stream: Stream, dialect: str, rng: Random
) -> None:
    whole = STREAMS.get(dialect, dialect)
    tools = [{"type": "function", "function": TOOL}]
    request, response = bodies(whole, TALK, REPLY, tools)
    if dialect in STREAMS:
        response = stream(dialect, response, rng)
    odd_request = _add_nulls(request, OPTIONAL[whole], rng)
    odd_response = _add_nulls(response, OPTIONAL[whole], rng)
    assert _without_schemas(_read(odd_request, odd_response)) == _without_schemas(
        _read(request, response)
    )


def _without_schemas(exchange: Exchange) -> Exchange:
    """An exchange without what is passed on as JSON, whose nulls are its own."""
    for message in (*exchange.messages, exchange.response):
        for call in message.tool_calls:
            call.function.arguments = ""
    exchange.tools = [{"name": tool["function"]["name"]} for tool in exchange.tools]
    return exchange


def test_mistrals_calls_without_ids_are_numbered() -> None:
    """As Mistral Large logs them, and as they are sent back in the history."""
    call = {"id": None, "type": None, "function": {"name": "look", "arguments": {"at": "sky"}}}
    messages: list[Json] = [
        {"role": "user", "content": "?"},
        {"role": "assistant", "content": "", "tool_calls": [call, call]},
        {"role": "tool", "name": "look", "content": "blue", "tool_call_id": None},
        {"role": "tool", "name": "look", "content": "red"},
        {"role": "assistant", "content": "Blue.", "tool_calls": None, "tool_call_id": None},
        {"role": "user", "content": "and now?"},
    ]
    reply = {"role": "assistant", "content": None, "tool_calls": [call], "tool_call_id": None}
    exchange = _read(
        {"messages": messages}, {"choices": [{"message": reply, "stop_reason": "stop"}]}
    )
    calls = [c for m in (*exchange.messages, exchange.response) for c in m.tool_calls]
    assert [c.id for c in calls] == ["call_1", "call_2", "call_3"]
    assert {c.function.arguments for c in calls} == {'{"at":"sky"}'}
    results = [m.tool_call_id for m in exchange.messages if m.role == "tool"]
    assert results == ["call_1", "call_2"]


def test_a_call_of_a_rerank_model_is_one() -> None:
    request = {"query": "?", "documents": ["a"], "top_n": 1, "api_version": 2}
    with pytest.raises(InputError) as refusal:
        _read(request, {"results": [{"index": 0, "relevance_score": 1}]})
    assert refusal.value.reason == Reason.CURATE_RERANK
