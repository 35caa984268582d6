"""Streams: what each dialect says in its own way, and the kinds of pieces that no reader knows."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from bedrock_sluice.transforms.chat.messages import Exchange
from bedrock_sluice.transforms.errors import InputError
from bedrock_sluice.transforms.readers.exchanges import read_bodies
from bedrock_sluice.transforms.reasons import Reason

Json = dict[str, Any]
Read = Callable[[], Exchange]

USER = {"role": "user", "content": "?"}


def read(request: object, response: object) -> Exchange:
    """The exchange of two bodies."""
    return read_bodies(json.dumps(request).encode(), json.dumps(response).encode())[1]


def converse(*deltas: tuple[int, Json]) -> Exchange:
    """What becomes of deltas and starts of blocks, each with its index, as Converse's events."""
    events = [
        {"contentBlockStart": {"contentBlockIndex": index, **each}}
        if "start" in each
        else {"contentBlockDelta": {"contentBlockIndex": index, "delta": each}}
        for index, each in deltas
    ]
    request = {"messages": [{"role": "user", "content": [{"text": "?"}]}]}
    return read(request, [{"messageStart": {"role": "assistant"}}, *events])


def anthropic(*events: Json) -> Exchange:
    """What becomes of the events of blocks, each with its index, as Anthropic's stream."""
    open_context: Json = {"type": "message_start", "message": {"role": "assistant", "content": []}}
    return read({"messages": [USER]}, [open_context, *events, {"type": "message_stop"}])


def chat(*choices: Json, **more: object) -> Exchange:
    """What becomes of chunks of one choice each."""
    return read({"messages": [USER]}, [{"choices": [choice], **more} for choice in choices])


def message(content: object, **more: object) -> Json:
    """A choice of a chunk that says something."""
    return {"delta": {"content": content}, **more}


def block(index: int, **open_context: object) -> Json:
    """Anthropic's event that opens a block."""
    return {"type": "content_block_start", "index": index, "content_block": open_context}


def piece(index: int, kind: str, **fields: object) -> Json:
    """Anthropic's event that goes on with a block."""
    delta = {"type": kind, **fields}
    return {"type": "content_block_delta", "index": index, "delta": delta}


def _call(index: int | None, call_id: str | None, name: str | None, arguments: str | None) -> Json:
    """A chunk's piece of a call, without the fields that are None."""
    function = {"name": name, "arguments": arguments}
    call_fields = {
        "index": index,
        "id": call_id,
        "function": {k: v for k, v in function.items() if v},
    }
    return {"delta": {"tool_calls": [{k: v for k, v in call_fields.items() if v is not None}]}}


def _use(index: int, call_id: str) -> tuple[int, Json]:
    return index, {"start": {"toolUse": {"toolUseId": call_id, "name": "look"}}}


def _input(index: int, text: str) -> tuple[int, Json]:
    return index, {"toolUse": {"input": text}}


_OPENED = {"type": "tool_use", "name": "look", "input": {}}


@pytest.mark.parametrize(
    "exchange",
    [
        lambda: converse(
            _use(0, "a"),
            _use(1, "b"),
            _input(1, '{"n"'),
            _input(0, "{"),
            _input(1, ": 2}"),
            _input(0, "}"),
        ),
        lambda: converse(_use(0, "a"), _use(0, "b"), _input(0, '{"n": 2}')),
        lambda: anthropic(
            block(1, id="a", **_OPENED),
            block(2, id="b", **_OPENED),
            piece(2, "input_json_delta", partial_json='{"n":'),
            piece(1, "input_json_delta", partial_json=""),
            piece(2, "input_json_delta", partial_json=" 2}"),
        ),
        lambda: anthropic(
            block(1, id="a", **_OPENED), block(2, id="b", **_OPENED | {"input": {"n": 2}})
        ),
        lambda: chat(
            _call(0, "a", "look", None),
            _call(1, "b", "look", None),
            _call(0, None, None, "{}"),
            _call(1, None, None, '{"n":'),
            _call(1, None, None, "2}"),
        ),
        lambda: chat(_call(None, "a", "look", "{}"), _call(None, "b", "look", '{"n":2}')),
        lambda: chat(_call(0, "a", "look", "{}"), _call(0, "b", "look", '{"n":2}')),
        lambda: chat(
            _call(0, "a", "look", None), _call(1, "b", "look", '{"n":'), _call(1, "c", None, "2}")
        ),
        lambda: chat(
            _call(0, "a", "look", "{}"),
            _call(1, "b", "look", '{"n":'),
            _call(1, "b", "look", "2}"),
        ),
    ],
    ids=[
        "converse, by turns",
        "converse, the same index again",
        "anthropic, by turns",
        "anthropic, whole at once",
        "chat, by turns",
        "chat without indices",
        "chat, all of one index",
        "chat, each piece of another id",
        "chat, the id with each piece",
    ],
)
def test_each_piece_goes_to_its_call(exchange: Read) -> None:
    calls = exchange().response.tool_calls
    call_values = [(call.id, call.function.name, call.function.arguments) for call in calls]
    assert call_values == [("a", "look", "{}"), ("b", "look", '{"n":2}')]


_SIGNED: Json = {"reasoningContent": {"signature": "x"}}
_HIDDEN: Json = {"reasoningContent": {"redactedContent": "eA=="}}


def _reasoning_delta(text: str) -> Json:
    return {"reasoningContent": {"text": text}}


_REASONED: Json = {"message": {"reasoning_content": "hm"}}
_SAID: tuple[int, Json] = (3, {"text": "42"})
_CITED = piece(0, "citations_delta", citation={})


@pytest.mark.parametrize(
    ("exchange", "reasoning"),
    [
        (lambda: converse((0, _reasoning_delta("h")), (0, _reasoning_delta("m")), _SAID), "hm"),
        (lambda: converse((0, _reasoning_delta("h")), (1, _reasoning_delta("m")), _SAID), "hm"),
        (
            lambda: converse(
                (0, _reasoning_delta("h")),
                (0, _reasoning_delta("")),
                (0, _reasoning_delta("m")),
                _SAID,
            ),
            "hm",
        ),
        (lambda: converse((0, _reasoning_delta("hm")), (0, _SIGNED), _SAID), "hm"),
        (lambda: converse((0, _HIDDEN), _SAID), ""),
        (
            lambda: converse(
                (0, _reasoning_delta("h")), (0, _SIGNED), (1, _reasoning_delta("m")), _SAID
            ),
            "h\nm",
        ),
        (
            lambda: converse(
                (0, _reasoning_delta("h")), (1, {"text": ""}), (2, _reasoning_delta("m")), _SAID
            ),
            "h\nm",
        ),
        (
            lambda: anthropic(
                block(0, type="thinking", thinking="h"),
                block(1, type="thinking", thinking="m"),
                piece(2, "text_delta", text="42"),
            ),
            "h\nm",
        ),
        (lambda: converse((0, {"text": "<think"}), (1, {"text": "ing>hm</thinking>42"})), "hm"),
        (
            lambda: anthropic(
                block(0, type="thinking", thinking=""),
                piece(0, "thinking_delta", thinking="h"),
                piece(0, "thinking_delta", thinking="m"),
                piece(0, "signature_delta", signature="x"),
                block(1, type="redacted_thinking", data="x"),
                block(2, type="thinking", thinking="so"),
                block(3, type="text", text="4"),
                piece(3, "text_delta", text="2"),
            ),
            "hm\nso",
        ),
        (
            lambda: chat(
                {"delta": {"reasoning_content": "h", "content": None}},
                {"delta": {"reasoning_content": "m"}},
                {"delta": {"content": "42", "reasoning_content": ""}},
            ),
            "hm",
        ),
        (lambda: chat({"delta": {"reasoning": "hm"}}, message("42")), "hm"),
        (lambda: chat(message("<reaso"), message("ning>hm</reasoning>42")), "hm"),
        (lambda: chat(_REASONED, {"message": {"content": "42"}}), "hm"),
    ],
)
def test_reasoning_goes_into_its_own_field(exchange: Read, reasoning: str) -> None:
    result = exchange()
    assert (result.response.content, result.reasoning) == ("42", reasoning)


@pytest.mark.parametrize(
    "choices",
    [
        [message("4"), message("5", index=1), message("2")],
        [message([{"type": "text", "text": "4"}]), message("2")],
        [{"delta": {"refusal": "4"}}, {"delta": {"content": None, "refusal": "2"}}],
        [{"message": {"role": "assistant", "content": "4"}}, {"message": {"content": "2"}}],
        [message("42"), {"delta": None}, {}],
    ],
)
def test_the_text_of_the_first_choice_counts(choices: list[Json]) -> None:
    assert chat(*choices, obfuscation="x").response.content == "42"


@pytest.mark.parametrize(
    ("ends", "stop_reason"),
    [
        ([{"finish_reason": "length"}], "max_tokens"),
        ([{"stop_reason": "length"}], "max_tokens"),
        ([{"stop_reason": "length"}, {"stop_reason": None}], "max_tokens"),
        ([{"finish_reason": "stop"}, {"finish_reason": None}], "end_turn"),
        ([{"finish_reason": None, "stop_reason": 128_001}], "stop_sequence"),
        ([{"index": 1, "finish_reason": "stop"}], "broken_off"),
    ],
)
def test_a_choice_tells_how_it_stopped(ends: list[Json], stop_reason: str) -> None:
    assert chat(message("4"), *ends).stop_reason == stop_reason


def test_a_message_that_stopped_may_be_told_more_of() -> None:
    end_chunk = {"type": "message_delta", "delta": {"stop_reason": "max_tokens"}}
    more = {"type": "message_delta", "delta": {}, "usage": {"output_tokens": 9}}
    assert anthropic(piece(0, "text_delta", text="4"), end_chunk, more).stop_reason == "max_tokens"


@pytest.mark.parametrize(
    "exchange",
    [
        lambda: converse((0, {"start": {"image": {"format": "png"}}})),
        lambda: converse((0, {"image": {"source": {"bytes": ""}}})),
        lambda: anthropic(block(0, type="image", source={})),
        lambda: chat(message([{"type": "image_url", "image_url": {}}])),
    ],
)
def test_media_are_told_wherever_they_stand(exchange: Read) -> None:
    assert exchange().has_media


@pytest.mark.parametrize(
    "exchange",
    [
        lambda: converse((0, {"text": "4"}), (0, {"citation": {"title": "a"}}), (1, {"text": "2"})),
        lambda: anthropic(piece(0, "text_delta", text="42"), _CITED),
    ],
)
def test_what_is_no_part_of_the_answer_is_left_out(exchange: Read) -> None:
    assert exchange().response.content == "42"


def test_arguments_too_deep_are_refused_as_they_would_be_whole() -> None:
    """Whatever the stack of the caller, which limits what parsers can read."""
    deep = '{"a":' + "[" * 200 + "]" * 200 + "}"
    with pytest.raises(InputError) as refusal:
        converse(_use(0, "a"), _input(0, deep[:90]), _input(0, deep[90:]))
    assert refusal.value.reason == Reason.DECODE_TOO_DEEP


@pytest.mark.parametrize(
    "exchange",
    [
        lambda: converse((0, {"novel": {"text": "4"}})),
        lambda: converse(_input(0, "{}")),
        lambda: anthropic(piece(0, "novel_delta", text="4")),
        lambda: anthropic(block(0, type="novel")),
        lambda: anthropic({"type": "error"}),
        lambda: anthropic(piece(0, "input_json_delta", partial_json="{}")),
        lambda: chat(_call(0, "a", None, "{}")),
        lambda: chat(message(4)),
        lambda: read({"messages": [USER]}, []),
        lambda: read({"messages": [USER]}, ["[DONE]", None]),
        lambda: read({"prompt": "?"}, [{"messageStart": {"role": "assistant"}}]),
    ],
)
def test_what_no_reader_knows_is_refused(exchange: Read) -> None:
    with pytest.raises(InputError) as refusal:
        exchange()
    assert refusal.value.reason in {Reason.DECODE_UNKNOWN_SHAPE, Reason.CURATE_ERROR}
