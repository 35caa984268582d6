"""Streams of every dialect: cut anywhere, they read as they would whole, or are refused."""

import json
from collections.abc import Callable, Iterator
from random import Random
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
Stream = Callable[[str, Json, Random], list[Json | str]]

WHOLE = {
    "anthropic_stream": "anthropic_messages",
    "chat_chunks": "chat_completions",
    "converse_events": "converse",
}
TOOL = {"name": "look", "description": "Look at it", "parameters": {"type": "object"}}
USER = {"role": "user", "content": "?"}


def read(request: object, response: object) -> Exchange:
    """The exchange of two bodies."""
    return read_bodies(json.dumps(request).encode(), json.dumps(response).encode())[1]


def message(content: str | None, *arguments: Json) -> Json:
    """An assistant's message, with calls of a tool."""
    calls = [
        {"id": f"t{n}", "type": "function", "function": {"name": "look", "arguments": text}}
        for n, text in enumerate(map(json.dumps, arguments))
    ]
    return {"role": "assistant", "content": content} | ({"tool_calls": calls} if calls else {})


_WORDS = st.text(max_size=20)
_ASKED = st.lists(
    st.builds(lambda r, t: {"role": r, "content": t}, st.sampled_from(["user", "system"]), _WORDS),
    max_size=2,
).map(lambda items: sorted(items, key=lambda message: str(message["role"])))
_ARGUMENTS = st.dictionaries(_WORDS, _WORDS | st.lists(st.integers(-9, 9), max_size=3), max_size=2)
_RESPONSE = st.builds(
    lambda text, calls: message(text or None if calls else text, *calls),
    _WORDS | _WORDS.map(lambda text: f"<thinking>{text}</thinking>\n4"),
    st.lists(_ARGUMENTS, max_size=2),
)


@pytest.mark.parametrize("dialect", WHOLE)
@given(messages=_ASKED, response=_RESPONSE, has_tools=st.booleans(), rng=st.randoms())
def test_a_stream_cut_anywhere_reads_as_the_whole(
    bodies: Encode,
    stream: Stream,
    dialect: str,
    messages: list[Json],
    response: Json,
    has_tools: bool,
    rng: Random,
) -> None:
    tools = [{"type": "function", "function": TOOL}] if has_tools else []
    request, reply = bodies(WHOLE[dialect], messages, response, tools)
    chunks = stream(dialect, reply, rng)
    found_dialect, exchange = read_bodies(json.dumps(request).encode(), json.dumps(chunks).encode())
    assert found_dialect == dialect
    assert exchange == read(request, reply)


@pytest.mark.parametrize("dialect", WHOLE)
def test_exactly_one_reader_claims_each(bodies: Encode, stream: Stream, dialect: str) -> None:
    request, reply = bodies(WHOLE[dialect], [USER], message("4"))
    request_keys = msgspec.json.decode(json.dumps(request), type=dict[str, msgspec.Raw])
    chunks = json.dumps(stream(dialect, reply, Random(0)))
    response_keys = msgspec.json.decode(chunks, type=list[msgspec.Raw])
    assert [r.DIALECT for r in readers() if r.claims(request_keys, response_keys)] == [dialect]


_NOISE = [None, "[DONE]", "", {}, {"novel": {"text": "not said"}}]


@pytest.mark.parametrize("dialect", WHOLE)
@given(response=_RESPONSE, rng=st.randoms(), noise=st.lists(st.sampled_from(_NOISE), max_size=3))
def test_chunks_without_content_change_nothing(
    bodies: Encode, stream: Stream, dialect: str, response: Json, rng: Random, noise: list[object]
) -> None:
    request, reply = bodies(WHOLE[dialect], [USER], response)
    chunks: list[object] = list(stream(dialect, reply, rng))
    for each in noise:
        chunks.insert(rng.randint(0, len(chunks)), each)
    assert read(request, chunks) == read(request, reply)


@pytest.mark.parametrize("dialect", WHOLE)
def test_a_stream_that_breaks_off_gives_what_was_said(
    bodies: Encode, stream: Stream, dialect: str
) -> None:
    request, reply = bodies(WHOLE[dialect], [USER], message("The answer is 42."))
    chunks = stream(dialect, reply, Random(3))
    cut_exchanges = [read(request, chunks[:end]) for end in range(1, len(chunks) + 1)]
    texts = [exchange.response.content or "" for exchange in cut_exchanges]
    assert all("The answer is 42.".startswith(text) for text in texts)
    assert texts == sorted(texts, key=len)
    assert (texts[0], texts[-1]) == ("", "The answer is 42.")
    assert {e.stop_reason for e in cut_exchanges if e.response.content != texts[-1]} == {
        "broken_off"
    }
    assert cut_exchanges[-1].stop_reason == "end_turn"


@pytest.mark.parametrize("dialect", WHOLE)
def test_arguments_that_break_off_stay_as_they_came(
    bodies: Encode, stream: Stream, dialect: str
) -> None:
    request, reply = bodies(WHOLE[dialect], [USER], message(None, {"at": "the river"}))
    chunks = stream(dialect, reply, Random(1))
    cut_calls = [read(request, chunks[:end]).response.tool_calls for end in range(1, len(chunks))]
    argument_texts = {
        call.function.arguments.replace(" ", "") for calls in cut_calls for call in calls
    }
    assert len(argument_texts) > 2
    assert all(t == "{}" or '{"at":"theriver"}'.startswith(t) for t in argument_texts)


_FAILURES: list[Json] = [
    {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}},
    {"error": {"message": "boom", "code": 500}},
    {"error": "boom", "choices": [{"index": 0, "delta": {}, "finish_reason": "error"}]},
    {"internalServerException": {"message": "boom"}},
    {"modelStreamErrorException": {"message": "boom", "originalStatusCode": 500}},
    {"modelTimeoutException": {"message": "boom"}},
    {"serviceUnavailableException": {"message": "boom"}},
    {"throttlingException": {}},
    {"validationException": {"message": "boom"}},
]


@pytest.mark.parametrize("failure", _FAILURES, ids=lambda failure: next(iter(failure)))
@pytest.mark.parametrize("dialect", WHOLE)
def test_a_stream_that_failed_is_refused(
    bodies: Encode, stream: Stream, dialect: str, failure: Json
) -> None:
    request, reply = bodies(WHOLE[dialect], [USER], message("The answer is 42."))
    with pytest.raises(InputError) as refusal:
        read(request, [*stream(dialect, reply, Random(3))[:3], failure])
    assert refusal.value.reason == Reason.CURATE_ERROR
    assert refusal.value.detail == "a stream that ended in an error"


def test_an_error_that_is_null_is_none(bodies: Encode, stream: Stream) -> None:
    request, reply = bodies("chat_completions", [USER], message("4"))
    chunks = [
        {"error": None, **chunk}
        for chunk in stream("chat_chunks", reply, Random(0))
        if isinstance(chunk, dict)
    ]
    assert read(request, chunks) == read(request, reply)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | _WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_WORDS, inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize("dialect", WHOLE)
@given(response=_RESPONSE, rng=st.randoms(), data=st.data())
def test_a_stream_with_any_part_replaced_is_an_exchange_or_refused(
    bodies: Encode, stream: Stream, dialect: str, response: Json, rng: Random, data: st.DataObject
) -> None:
    request, reply = bodies(WHOLE[dialect], [USER], response)
    chunks = json.loads(json.dumps(stream(dialect, reply, rng)))
    inside, key = data.draw(st.sampled_from(list(_places(chunks))))
    inside[key] = data.draw(_JSON)
    try:
        exchange = read(request, chunks)
    except InputError as error:
        assert error.reason in {  # noqa: PT017 - all are good
            Reason.DECODE_UNKNOWN_SHAPE,
            Reason.CURATE_ERROR,
        }
    else:
        assert json.loads(msgspec.json.encode(exchange))


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every list or table inside a JSON value, with each of its keys."""
    for key in value if isinstance(value, dict) else range(len(value)):
        yield value, key
        if isinstance(value[key], dict | list):
            yield from _places(value[key])
