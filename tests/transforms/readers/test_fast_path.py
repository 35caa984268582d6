"""Plain chats: read in one pass, and never otherwise than the readers read them."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock_sluice.transforms.decode.records import decode_line
from bedrock_sluice.transforms.readers.exchanges import read_bodies, read_exchange
from bedrock_sluice.transforms.readers.fast_path import (
    MAX_PLAIN_BYTES,
    read_plain_bodies,
    read_plain_line,
)

Json = dict[str, Any]

Odd = st.SearchStrategy[Any]


def _mostly(plain: Odd, odd: Odd) -> Odd:
    return st.sampled_from([plain] * 15 + [odd]).flatmap(lambda strategy: strategy)


def _with_odd_keys(plain: Odd, odd: Json) -> Odd:
    keys = st.one_of([st.fixed_dictionaries({key: value}) for key, value in odd.items()])
    return st.tuples(plain, _mostly(st.just({}), keys)).map(lambda both: both[0] | both[1])


_TEXT = st.sampled_from(
    ["", " ", "hi", "two\nlines", "é\u2028", "<think>hm</think> so", "<reasoning>a</reasoning>b"]
)
_NONSENSE: Odd = st.sampled_from([None, 0, "x", [], {}, [None], {"text": None}, True])
_BLOCK = _mostly(
    _TEXT.map(lambda t: {"type": "text", "text": t}),
    _TEXT.map(lambda t: {"text": t})
    | _TEXT.map(lambda t: {"type": "thinking", "thinking": t})
    | _TEXT.map(lambda t: {"text": t, "cachePoint": {"type": "default"}})
    | _NONSENSE,
)
_BLOCKS = st.lists(_BLOCK, max_size=3)
_ROLE = _mostly(
    st.sampled_from(["user", "assistant"]), st.sampled_from(["system", "developer", "tool"])
)


_MESSAGE_FIELDS: Json = {
    "refusal": st.none() | _TEXT,
    "reasoning": st.none() | _TEXT,
    "tool_calls": st.just([]),
    "name": st.none() | _TEXT,
    "function_call": st.none() | st.just({"name": "f"}),
}


def _message_with(role: Odd, content: Odd) -> Odd:
    plain = st.fixed_dictionaries({"role": role, "content": _mostly(content, _NONSENSE)})
    return _with_odd_keys(plain, _MESSAGE_FIELDS)


def _request(content: Odd) -> Odd:
    messages = st.lists(_message_with(_ROLE, content), max_size=4)
    request = st.fixed_dictionaries({"messages": _mostly(messages, _NONSENSE)})
    odd = {
        "system": content | _NONSENSE,
        "inferenceConfig": st.just({"maxTokens": 5}) | _NONSENSE,
        "max_tokens": st.just(5) | _NONSENSE,
        "anthropic_version": st.just("bedrock-2023-05-31") | _NONSENSE,
        "tools": _NONSENSE,
        "prompt": _TEXT,
        "promptVariables": _NONSENSE,
        "response_format": st.just({"type": "json_object"}) | _NONSENSE,
        "outputConfig": st.just({"textFormat": {"type": "json_schema"}}) | _NONSENSE,
        "additionalModelRequestFields": st.just({"tools": [{}]}) | _NONSENSE,
        "functions": _NONSENSE,
    }
    return _with_odd_keys(_with_odd_keys(request, odd), odd)


_STOP = _mostly(
    st.sampled_from(["end_turn", "max_tokens"]), st.sampled_from(["guardrail_intervened", None, 3])
)
_CHOICE = st.fixed_dictionaries(
    {"message": _message_with(st.just("assistant"), _TEXT | _BLOCKS)},
    optional={"finish_reason": st.sampled_from(["stop", "length", None, "odd"])},
)
_KINDS: dict[str, tuple[Odd, Json]] = {
    "converse": (
        _BLOCKS,
        {
            "output": st.fixed_dictionaries({"message": _message_with(_ROLE, _BLOCKS)}),
            "stopReason": _STOP,
        },
    ),
    "anthropic_messages": (
        _TEXT | _BLOCKS,
        {"content": _BLOCKS, "role": st.just("assistant"), "stop_reason": _STOP},
    ),
    "chat_completions": (_TEXT | _BLOCKS, {"choices": st.lists(_CHOICE, max_size=2)}),
}
_MARKS: Json = {
    "role": st.just("assistant") | _NONSENSE,
    "type": st.just("message") | _NONSENSE,
    "usage": st.just({"input_tokens": 3, "details": {"cached": 0}}) | _NONSENSE,
    "amazon-bedrock-guardrailAction": st.just("INTERVENED"),
    "stop_reason": _STOP,
    **{key: value | _NONSENSE for _, fields in _KINDS.values() for key, value in fields.items()},
}


@st.composite
def _bodies(draw: st.DrawFn) -> tuple[Json, Json]:
    content, fields = _KINDS[draw(st.sampled_from(sorted(_KINDS)))]
    answer = {key: _mostly(value, _NONSENSE) for key, value in fields.items()}
    return draw(_request(content)), draw(_with_odd_keys(st.fixed_dictionaries(answer), _MARKS))


@given(bodies=_bodies())
def test_what_is_read_in_one_pass_is_read_so_by_the_readers(bodies: tuple[Json, Json]) -> None:
    request, response = map(json.dumps, bodies)
    plain = read_plain_bodies(request, response)
    assert plain is None or plain == read_bodies(request.encode(), response.encode())


_ASKED: Json = {"messages": [{"role": "user", "content": [{"type": "text", "text": "2+2?"}]}]}
_ANSWERED: Json = {"output": {"message": {"role": "assistant", "content": [{"text": "4"}]}}}
_ANSWERED |= {"stopReason": "end_turn"}


@pytest.mark.parametrize("dialect", ["anthropic_messages", "chat_completions", "converse"])
def test_plain_chats_of_the_usual_dialects_are_read_in_one_pass(bodies: Any, dialect: str) -> None:
    messages = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "2+2?"}]
    request, response = bodies(dialect, messages, {"role": "assistant", "content": "4"}, [])
    plain = read_plain_bodies(json.dumps(request), json.dumps(response))
    assert plain is not None
    assert plain[0] == dialect


_ENVELOPE: Json = {
    "schemaType": st.sampled_from(["ModelInvocationLog", "Other", None]),
    "schemaVersion": st.sampled_from(["1.0", "1.7", "2.0", 1]),
    "requestId": _TEXT | _NONSENSE,
    "timestamp": st.sampled_from(
        ["2026-10-01T00:00:00Z", "2026-10-01T02:00:00+02:00", "0001-01-01T00:00:00+05:00", "now"]
    ),
    "errorCode": st.sampled_from([None, "", "ThrottlingException"]),
    "modelId": _TEXT | _NONSENSE,
    "requestMetadata": st.just({"a": "b"}) | _NONSENSE,
    "inferenceRegion": st.just("us-east-1") | _NONSENSE,
    "deep": st.just(json.loads("[" * 200 + "]" * 200)),
    "inputBodyS3Path": st.just("s3://b/k"),
}
_INPUT: Json = {
    "inputTokenCount": st.sampled_from([3, -1, None, 2**64]),
    "inputContentType": st.just("application/json") | _NONSENSE,
    "inputBodyS3Path": st.just("s3://b/k") | _NONSENSE,
}


@given(
    envelope_fields=st.fixed_dictionaries({}, optional=_ENVELOPE),
    input_fields=st.fixed_dictionaries({}, optional=_INPUT),
)
def test_an_envelope_is_read_in_one_pass_as_it_is_else(
    record: Any, envelope_fields: Json, input_fields: Json
) -> None:
    whole = record() | envelope_fields
    whole["input"] = {"inputBodyJson": _ASKED} | input_fields
    whole["output"] = {"outputBodyJson": _ANSWERED}
    line = json.dumps(whole).encode()
    plain = read_plain_line(line)
    if plain is not None:
        envelope, exchange = plain
        row = decode_line(line)
        assert read_exchange(row)[1] == exchange
        told_twice = ("request_id", "timestamp", "model_id", "operation")
        assert [getattr(envelope, n) for n in told_twice] == [row[n] for n in told_twice]
        assert list((envelope.request_metadata or {}).items()) == (row["request_metadata"] or [])


def test_long_lines_are_left_to_the_readers() -> None:
    long = "x" * MAX_PLAIN_BYTES
    assert read_plain_line(long.encode()) is None
    request = {"messages": [{"role": "user", "content": [{"text": long}]}]}
    assert read_plain_bodies(json.dumps(request), json.dumps(_ANSWERED)) is None
