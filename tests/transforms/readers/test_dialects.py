"""Dialects: what each of them says in its own way, and the shapes that no reader knows."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from bedrock_sluice.transforms.chat.messages import Exchange
from bedrock_sluice.transforms.errors import InputError
from bedrock_sluice.transforms.readers.exchanges import read_bodies
from bedrock_sluice.transforms.reasons import Reason

Json = dict[str, Any]
Encode = Callable[..., tuple[Json, Json]]

DIALECTS = ("anthropic_messages", "chat_completions", "converse")


def read(request: object, response: object) -> Exchange:
    """The exchange of two bodies."""
    return read_bodies(json.dumps(request).encode(), json.dumps(response).encode())[1]


def converse(*blocks: Json, role: str = "user", system: object = None) -> Exchange:
    """What Converse's reader makes of one message."""
    request: Json = {"messages": [{"role": role, "content": list(blocks)}]}
    request |= {"system": system} if system is not None else {}
    reply = {"role": "assistant", "content": [{"text": "yes"}]}
    return read(request, {"output": {"message": reply}, "stopReason": "end_turn"})


def anthropic(content: object, role: str = "user", **more: object) -> Exchange:
    """What the reader of Anthropic Messages makes of one message."""
    reply = {"role": "assistant", "content": [{"type": "text", "text": "yes"}]}
    return read({"messages": [{"role": role, "content": content}], **more}, reply)


def chat(*messages: Json, **choice: object) -> Exchange:
    """What the reader of chat completions makes of messages."""
    choice_fields = {"message": {"role": "assistant", "content": "yes"}, "finish_reason": "stop"}
    return read({"messages": list(messages)}, {"choices": [choice_fields | choice]})


def contents(exchange: Exchange) -> list[tuple[str, str | None]]:
    """Who says what."""
    return [(m.role, m.content) for m in exchange.messages]


def test_converse_texts_of_any_kind_of_block_count() -> None:
    guard_block = {"guardContent": {"text": {"text": "b", "qualifiers": ["query"]}}}
    citations_block = {
        "citationsContent": {"content": [{"text": "c"}, {"text": "d"}], "citations": []}
    }
    cache_point = {"cachePoint": {"type": "default"}}
    system = [{"text": "be brief"}, cache_point, {"text": "be kind"}]
    exchange = converse({"text": "a"}, guard_block, citations_block, cache_point, system=system)
    assert contents(exchange) == [("system", "be brief\nbe kind"), ("user", "a\nb\nc\nd")]


def test_pieces_of_an_assistants_text_are_joined_without_a_seam() -> None:
    pieces = [{"text": "4"}, {"text": "2 "}, {"text": "apples"}]
    request = {"messages": [{"role": "user", "content": [{"text": "?"}]}]}
    message = {"role": "assistant", "content": pieces}
    exchange = read(request, {"output": {"message": message}, "stopReason": "end_turn"})
    assert exchange.response.content == "42 apples"


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("plain", "plain"),
        ([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "a\nb"),
        ([{"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}], "a"),
    ],
)
def test_anthropic_content_is_a_text_or_blocks(content: object, text: str) -> None:
    assert contents(anthropic(content, system=[{"type": "text", "text": "be brief"}])) == [
        ("system", "be brief"),
        ("user", text),
    ]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("sunny", "sunny"),
        ([{"type": "text", "text": "sun"}, {"type": "text", "text": "ny"}], "sun\nny"),
        ([], ""),
    ],
)
def test_a_tool_result_is_a_text_or_blocks(content: object, text: str) -> None:
    result = {"type": "tool_result", "tool_use_id": "t1", "content": content}
    exchange = anthropic([result, {"type": "text", "text": "and now?"}])
    assert contents(exchange) == [("tool", text), ("user", "and now?")]
    assert exchange.messages[0].tool_call_id == "t1"


def test_a_tool_result_may_lack_content() -> None:
    result = {"type": "tool_result", "tool_use_id": "t1"}
    assert contents(anthropic([result])) == [("tool", "")]
    assert contents(converse({"toolResult": {"toolUseId": "t1"}})) == [("tool", "")]


def test_a_converse_tool_result_may_be_json() -> None:
    content = [{"json": {"sky": ["clear", 1.5]}}, {"text": "today"}]
    exchange = converse({"toolResult": {"toolUseId": "t1", "content": content}})
    assert contents(exchange) == [("tool", '{"sky":["clear",1.5]}\ntoday')]


def test_a_search_result_is_read_with_its_title_and_source() -> None:
    text, inner = "t\ns3://x\na fact", [{"text": "a fact"}]
    search_result = {"searchResult": {"source": "s3://x", "title": "t", "content": inner}}
    assert contents(converse(search_result, {"text": "so?"})) == [("user", f"{text}\nso?")]
    result = converse({"toolResult": {"toolUseId": "t1", "content": [search_result]}})
    assert contents(result) == [("tool", text)]
    blocks = [{"type": "text", "text": "a fact"}]
    block = {"type": "search_result", "source": "s3://x", "title": "t", "content": blocks}
    assert contents(anthropic([block])) == [("user", text)]
    within = {"type": "tool_result", "tool_use_id": "t1", "content": [block]}
    assert contents(anthropic([within])) == [("tool", text)]


def test_a_document_of_text_is_text() -> None:
    sources: list[Json] = [{"text": "a fact"}, {"content": [{"text": "a fact"}]}]
    for source in sources:
        document = {"document": {"name": "t", "format": "txt", "source": source}}
        result = {"toolResult": {"toolUseId": "t1", "content": [document]}}
        assert contents(converse(result, document)) == [
            ("tool", "t\na fact"),
            ("user", "t\na fact"),
        ]
    parts: list[Json] = [
        {"type": "text", "media_type": "text/plain", "data": "a fact"},
        {"type": "content", "content": [{"type": "text", "text": "a fact"}]},
        {"type": "content", "content": "a fact"},
    ]
    for part in parts:
        block = {"type": "document", "title": "t", "source": part}
        assert contents(anthropic([block])) == [("user", "t\na fact")]


def test_system_and_developer_become_one_system_message_in_front() -> None:
    parts = [{"type": "text", "text": "2"}, {"type": "text", "text": "3"}]
    exchange = chat(
        {"role": "developer", "content": "answer in French"},
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": parts},
        {"role": "system", "content": " "},
    )
    assert contents(exchange) == [("system", "answer in French\nbe brief"), ("user", "2\n3")]


def test_a_system_message_among_converse_messages_is_a_system_message() -> None:
    turns = [
        {"role": "system", "content": [{"text": "be brief"}]},
        {"role": "user", "content": [{"text": "hello"}]},
        {"role": "user", "content": [{"text": "2 + 2?"}]},
    ]
    reply = {"role": "assistant", "content": [{"text": "4"}]}
    exchange = read({"messages": turns}, {"output": {"message": reply}, "stopReason": "end_turn"})
    assert contents(exchange) == [("system", "be brief"), ("user", "hello"), ("user", "2 + 2?")]


@pytest.mark.parametrize("system", ["", " \n"])
def test_a_blank_system_text_is_no_message(system: str) -> None:
    assert contents(anthropic("hello", system=system)) == [("user", "hello")]
    assert contents(converse({"text": "hello"}, system=[{"text": system}])) == [("user", "hello")]


# --- reasoning


def _read_reply(dialect: str, message: Json) -> Exchange:
    if dialect == "converse":
        request: Json = {"messages": [{"role": "user", "content": [{"text": "?"}]}]}
        return read(request, {"output": {"message": message}, "stopReason": "end_turn"})
    request = {"messages": [{"role": "user", "content": "?"}]}
    return read(request, message if dialect == "anthropic_messages" else {"choices": [message]})


def _says(content: object, **more: object) -> Json:
    return {"role": "assistant", "content": content, **more}


def _blocks(*texts: str) -> Json:
    return _says([{"text": text} for text in texts])


_THOUGHT = {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "x"}}}
_HIDDEN = {"reasoningContent": {"redactedContent": "eA=="}}
_THINKING = {"type": "thinking", "thinking": "hm", "signature": "x"}
_REDACTED = {"type": "redacted_thinking", "data": "x"}


@pytest.mark.parametrize(
    ("dialect", "message", "text", "reasoning"),
    [
        ("converse", _blocks("<thinking>hm</thinking>\n42"), "42", "hm"),
        ("converse", _blocks("<thinking>h", "m</thinking>42"), "42", "hm"),
        ("converse", _says([_THOUGHT, {"text": "42"}]), "42", "hm"),
        ("converse", _says([_HIDDEN, {"text": "42"}]), "42", ""),
        ("converse", _blocks("<thinking>hm</thinking> <thinking>so</thinking>42"), "42", "hm\nso"),
        ("converse", _blocks("42 <thinking>hm</thinking>"), "42 <thinking>hm</thinking>", ""),
        ("converse", _blocks("<thinking>cut off"), "<thinking>cut off", ""),
        ("anthropic_messages", _says([_THINKING, {"type": "text", "text": "42"}]), "42", "hm"),
        ("anthropic_messages", _says([_REDACTED, {"type": "text", "text": "42"}]), "42", ""),
        ("chat_completions", {"message": _says("<reasoning>hm</reasoning>42")}, "42", "hm"),
        ("chat_completions", {"message": _says("42", reasoning_content="hm")}, "42", "hm"),
        ("chat_completions", {"message": _says("42", reasoning="hm")}, "42", "hm"),
        ("chat_completions", {"message": _says(None, reasoning_content="hm")}, "", "hm"),
        ("chat_completions", {"message": _says(None, refusal="no")}, "no", ""),
    ],
)
def test_reasoning_goes_into_its_own_field(
    dialect: str, message: Json, text: str, reasoning: str
) -> None:
    exchange = _read_reply(dialect, message)
    assert exchange.response.content == text
    assert exchange.reasoning == reasoning


def test_reasoning_of_earlier_turns_is_left_out_of_the_prompt() -> None:
    earlier_turn = "<reasoning>hm</reasoning>42"
    exchange = chat(_says(earlier_turn), {"role": "user", "content": "sure?"})
    assert contents(exchange) == [("assistant", "42"), ("user", "sure?")]
    assert exchange.reasoning == ""


# --- how it stopped, media, bodies as strings


@pytest.mark.parametrize(
    ("choice", "stop_reason"),
    [
        ({"finish_reason": "stop"}, "end_turn"),
        ({"finish_reason": "tool_calls"}, "tool_use"),
        ({"finish_reason": "length"}, "max_tokens"),
        ({"finish_reason": "content_filter"}, "content_filtered"),
        ({"finish_reason": "novel"}, "novel"),
        ({"finish_reason": None, "stop_reason": "length"}, "max_tokens"),
        ({"finish_reason": None, "stop_reason": 128_001}, "stop_sequence"),
    ],
)
def test_finish_reasons_are_told_in_the_words_of_converse(
    choice: Json, stop_reason: str | None
) -> None:
    assert chat({"role": "user", "content": "?"}, **choice).stop_reason == stop_reason


@pytest.mark.parametrize("dialect", ["anthropic_messages", "chat_completions"])
@pytest.mark.parametrize(
    ("action", "stop_reason"), [("INTERVENED", "guardrail_intervened"), ("NONE", "end_turn")]
)
def test_the_guardrails_verdict_of_native_bodies_is_a_stop_reason(
    bodies: Encode, dialect: str, action: str, stop_reason: str
) -> None:
    question, answer = {"role": "user", "content": "?"}, {"role": "assistant", "content": "no"}
    request, reply = bodies(dialect, [question], answer)
    reply["amazon-bedrock-guardrailAction"] = action
    assert read(request, reply).stop_reason == stop_reason


_SOURCE = {"format": "png", "source": {"s3Uri": "s3://logs/data/a_input_media_00.png"}}


@pytest.mark.parametrize(
    "exchange",
    [
        lambda: converse({"text": "?"}, {"image": _SOURCE}),
        lambda: converse({"document": _SOURCE}),
        lambda: converse({"guardContent": {"image": _SOURCE}}),
        lambda: converse({"toolResult": {"toolUseId": "t", "content": [{"audio": _SOURCE}]}}),
        lambda: converse({"text": "?"}, system=[{"guardContent": {"image": _SOURCE}}]),
        lambda: converse({"toolResult": {"toolUseId": "t", "content": [{"document": _SOURCE}]}}),
        lambda: anthropic([{"type": "document", "source": {"type": "base64", "data": "eA=="}}]),
        lambda: anthropic(
            [{"type": "document", "source": {"type": "content", "content": [{"type": "image"}]}}]
        ),
        lambda: chat(_says("?", audio={"id": "a1"})),
        lambda: converse({"toolResult": {"toolUseId": "t", "content": [{"image": _SOURCE}]}}),
        lambda: anthropic([{"type": "image", "source": {}}]),
        lambda: anthropic(
            [{"type": "tool_result", "tool_use_id": "t", "content": [{"type": "image"}]}]
        ),
        lambda: chat({"role": "user", "content": [{"type": "image_url", "image_url": {}}]}),
    ],
)
def test_media_are_told_wherever_they_stand(exchange: Callable[[], Exchange]) -> None:
    assert exchange().has_media


@pytest.mark.parametrize("dialect", DIALECTS)
def test_bodies_may_be_strings_that_hold_json(bodies: Encode, dialect: str) -> None:
    question, answer = (
        {"role": "user", "content": "é \u2028 😀"},
        {"role": "assistant", "content": "4"},
    )
    request, reply = bodies(dialect, [question], answer)
    assert read(json.dumps(request), json.dumps(reply)) == read(request, reply)


# --- what no reader knows

_ASKED = {"messages": [{"role": "user", "content": [{"text": "?"}]}]}
_SAID = {"output": {"message": _blocks("4")}, "stopReason": "end_turn"}
_CHOSEN = {"choices": [{"message": _says("4")}]}


@pytest.mark.parametrize(
    ("request_body", "response_body"),
    [
        ({}, {}),
        ({"question": "?"}, {"reply": "4"}),
        ({"prompt": "?"}, {"reply": "4"}),
        (_ASKED, [{"chunk": 1}]),
        (_ASKED, {"choices": []}),
        ([], _SAID),
        ("", _SAID),
        ("no JSON", _SAID),
        (7, _SAID),
        (None, None),
        ({"messages": "?"}, _SAID),
        ({"messages": [{"role": "user"}]}, _SAID),
        ({"messages": [{"role": "user", "content": [{"novel": {}}]}]}, _SAID),
        ({"messages": [{"role": "user", "content": [{}]}]}, _SAID),
        ({"messages": [{"role": "narrator", "content": [{"text": "?"}]}]}, _SAID),
        ({"messages": [{"role": "narrator", "content": "?"}]}, _says([])),
        ({"messages": [{"role": "user", "content": [{"type": "novel"}]}]}, _says([])),
        ({"messages": [{"role": "narrator", "content": "?"}]}, _CHOSEN),
        ({"messages": [{"role": "user", "content": [{"type": "novel", "novel": "?"}]}]}, _CHOSEN),
    ],
)
def test_an_unknown_shape_is_said_to_be_one(request_body: object, response_body: object) -> None:
    with pytest.raises(InputError) as refusal:
        read(request_body, response_body)
    assert refusal.value.reason == Reason.DECODE_UNKNOWN_SHAPE
