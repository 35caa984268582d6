"""Readers, on generated bodies: any conversation reads the same in every dialect, or is refused."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock_sluice.transforms.chat.messages import Exchange
from bedrock_sluice.transforms.errors import InputError
from bedrock_sluice.transforms.readers.exchanges import read_bodies
from bedrock_sluice.transforms.readers.registry import readers
from bedrock_sluice.transforms.reasons import Reason

Json = dict[str, Any]
Encode = Callable[..., tuple[Json, Json]]

DIALECTS = ("anthropic_messages", "chat_completions", "converse")


def read(request: object, response: object) -> Exchange:
    """The exchange of two bodies."""
    return read_bodies(json.dumps(request).encode(), json.dumps(response).encode())[1]


def plain(messages: object) -> Any:
    """Messages as JSON values; arguments of tool calls are parsed, for their blanks may differ."""
    values = msgspec.to_builtins(messages)
    for message in values if isinstance(values, list) else [values]:
        for call in message.get("tool_calls", ()):
            call["function"]["arguments"] = json.loads(call["function"]["arguments"])
    return values


_TEXT = st.text(max_size=20)
_WORDS = st.text(min_size=1, max_size=20).filter(lambda t: t.strip() and "<" not in t)
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | _TEXT,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_TEXT, inner, max_size=2),
    max_leaves=4,
)
_ARGUMENTS = st.dictionaries(_TEXT, _VALUES, max_size=2).map(json.dumps)


def _message(role: str, content: str | None, **more: object) -> Json:
    return {"role": role, "content": content, **more}


@st.composite
def _calling(draw: st.DrawFn) -> list[Json]:
    """An assistant that calls tools, with or without words, and the results."""
    ids = draw(st.lists(st.uuids().map(str), min_size=1, max_size=2, unique=True))
    calls = [
        {"id": i, "type": "function", "function": {"name": "look", "arguments": draw(_ARGUMENTS)}}
        for i in ids
    ]
    results = [_message("tool", draw(_TEXT), tool_call_id=i) for i in ids]
    text = draw(st.none() | _WORDS)
    return [_message("assistant", text, tool_calls=calls), *results]


@st.composite
def _conversation(draw: st.DrawFn) -> list[Json]:
    messages = [_message("system", text) for text in draw(st.lists(_WORDS, max_size=1))]
    for _ in range(draw(st.integers(0, 2))):
        messages.append(_message("user", draw(_TEXT)))
        messages.extend(draw(st.just([]) | _calling()))
        messages.append(_message("assistant", draw(st.just("") | _WORDS)))
    messages.append(_message("user", draw(_TEXT)))
    messages.extend(draw(st.just([]) | _calling()))
    return messages


_RESPONSE = st.one_of(
    _WORDS.map(lambda t: _message("assistant", t)), _calling().map(lambda c: c[0])
)
_SCHEMA = {"type": "object", "properties": {"at": {"type": "string"}}}
_TOOL = {"name": "look", "description": "Look at it", "parameters": _SCHEMA}


@pytest.mark.parametrize("dialect", DIALECTS)
@given(messages=_conversation(), response=_RESPONSE, has_tools=st.booleans())
def test_a_conversation_reads_the_same_in_every_dialect(
    bodies: Encode, dialect: str, messages: list[Json], response: Json, has_tools: bool
) -> None:
    tools = [{"type": "function", "function": _TOOL}] if has_tools else []
    request, reply = bodies(dialect, messages, response, tools)
    found_dialect, exchange = read_bodies(json.dumps(request).encode(), json.dumps(reply).encode())
    assert found_dialect == dialect
    assert plain(exchange.messages) == plain(messages)
    assert plain(exchange.response) == plain(response)
    assert exchange.tools == tools
    assert (exchange.stop_reason, exchange.reasoning, exchange.has_media) == ("end_turn", "", False)


@pytest.mark.parametrize("dialect", DIALECTS)
@given(messages=_conversation(), response=_RESPONSE)
def test_exactly_one_reader_claims_each(
    bodies: Encode, dialect: str, messages: list[Json], response: Json
) -> None:
    keys = [{k: msgspec.Raw(b"0") for k in body} for body in bodies(dialect, messages, response)]
    assert [r.DIALECT for r in readers() if r.claims(*keys)] == [dialect]


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
    max_leaves=8,
)


def _read_or_refused(request: object, response: object) -> None:
    try:
        exchange = read(request, response)
    except InputError as error:
        assert error.reason in set(Reason)  # noqa: PT017 - both outcomes are good
    else:
        assert json.loads(msgspec.json.encode(exchange))


@given(request_body=_JSON, response_body=_JSON)
def test_any_json_is_an_exchange_or_refused(request_body: object, response_body: object) -> None:
    _read_or_refused(request_body, response_body)


@pytest.mark.parametrize("dialect", DIALECTS)
@given(messages=_conversation(), response=_RESPONSE, data=st.data())
def test_a_body_with_any_part_replaced_is_an_exchange_or_refused(
    bodies: Encode, dialect: str, messages: list[Json], response: Json, data: st.DataObject
) -> None:
    tools = [{"type": "function", "function": _TOOL}]
    whole = json.loads(json.dumps(bodies(dialect, messages, response, tools)))
    inside, key = data.draw(st.sampled_from(list(_places(whole))))
    inside[key] = data.draw(_JSON)
    _read_or_refused(*whole)


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every list or table inside a JSON value, with each of its keys."""
    keys = value if isinstance(value, dict) else range(len(value))
    for key in keys:
        yield value, key
        if isinstance(value[key], dict | list):
            yield from _places(value[key])
