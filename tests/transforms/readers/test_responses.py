"""Responses: items in, items out, whole and streamed, and what a stream cut off still tells."""

import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock_sluice.transforms.chat.messages import Exchange
from bedrock_sluice.transforms.errors import InputError
from bedrock_sluice.transforms.readers.exchanges import read_bodies
from bedrock_sluice.transforms.reasons import Reason

Json = dict[str, Any]

CALL = {"type": "function_call", "call_id": "c1", "name": "look", "arguments": '{"at": "sky"}'}
CALLED = {
    "id": "c1",
    "type": "function",
    "function": {"name": "look", "arguments": '{"at": "sky"}'},
}
THOUGHT = {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hm"}]}


def output_message(*texts: str, **more: object) -> Json:
    """A message of the assistant, as an item of an output."""
    parts = [{"type": "output_text", "text": text, "annotations": []} for text in texts]
    return {"type": "message", "role": "assistant", "content": parts, "status": "completed", **more}


def answer(*output: Json, status: str = "completed", **more: object) -> Json:
    """A whole response."""
    return {"object": "response", "status": status, "output": list(output), "error": None, **more}


def read(request: object, response: object) -> Exchange:
    """The exchange of two bodies, which must be read as Responses."""
    encoded_bodies = json.dumps(request).encode(), json.dumps(response).encode()
    dialect, exchange = read_bodies(*encoded_bodies)
    assert dialect == "responses"
    return exchange


def prompt(given_input: object, **more: object) -> list[Json]:
    """The messages that are made of an input."""
    messages: list[Json] = msgspec.to_builtins(
        read({"input": given_input, **more}, answer(output_message("yes"))).messages
    )
    return messages


def message(role: str, content: str | None, **more: object) -> Json:
    """A chat message."""
    return {"role": role, "content": content, **more}


@pytest.mark.parametrize(
    ("given_input", "messages"),
    [
        ("hello", [message("user", "hello")]),
        ([{"role": "user", "content": "hello"}], [message("user", "hello")]),
        (
            [
                {
                    "type": "message",
                    "role": "user",
                    "content": [
                        {"type": "input_text", "text": "a"},
                        {"type": "input_text", "text": "b"},
                    ],
                }
            ],
            [message("user", "a\nb")],
        ),
        (
            [
                {"role": "user", "content": "?"},
                output_message("4", "2"),
                {"role": "user", "content": "sure?"},
            ],
            [message("user", "?"), message("assistant", "42"), message("user", "sure?")],
        ),
        (
            [{"role": "user", "content": "?"}, {"role": "assistant", "content": "42"}],
            [message("user", "?"), message("assistant", "42")],
        ),
        (
            [output_message("let me look"), CALL, CALL | {"call_id": "c2"}],
            [message("assistant", "let me look", tool_calls=[CALLED, CALLED | {"id": "c2"}])],
        ),
        ([THOUGHT, CALL], [message("assistant", None, tool_calls=[CALLED])]),
        ([THOUGHT, {"role": "user", "content": "?"}], [message("user", "?")]),
        (
            [output_message("first"), output_message("second")],
            [message("assistant", "first\nsecond")],
        ),
        ([output_message("<reasoning>hm</reasoning>42")], [message("assistant", "42")]),
        (
            [{"type": "function_call_output", "call_id": "c1", "output": "blue"}],
            [message("tool", "blue", tool_call_id="c1")],
        ),
        (
            [
                {
                    "type": "function_call_output",
                    "call_id": "c1",
                    "output": [{"type": "input_text", "text": "blue"}],
                }
            ],
            [message("tool", "blue", tool_call_id="c1")],
        ),
        (
            [{"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]}],
            [message("assistant", "no")],
        ),
        ([], []),
    ],
)
def test_items_become_chat_messages(given_input: object, messages: list[Json]) -> None:
    assert prompt(given_input) == messages


def test_instructions_and_whatever_is_system_stand_in_front_in_one_message() -> None:
    items = [
        {"role": "developer", "content": "in French"},
        {"role": "system", "content": [{"type": "input_text", "text": "be kind"}]},
        {"role": "user", "content": "?"},
    ]
    assert prompt(items, instructions="be brief") == [
        message("system", "be brief\nin French\nbe kind"),
        message("user", "?"),
    ]
    assert prompt("?", instructions=None) == [message("user", "?")]


def test_functions_are_tools() -> None:
    schema = {"type": "object", "properties": {"at": {"type": "string"}}}
    function = {"name": "look", "description": "Look at it", "parameters": schema}
    tools = [{"type": "function", "strict": True, **function}]
    exchange = read({"input": "?", "tools": tools}, answer(output_message("yes")))
    assert exchange.tools == [{"type": "function", "function": function}]


@pytest.mark.parametrize(
    ("output", "text", "calls", "reasoning"),
    [
        ([output_message("42")], "42", 0, ""),
        ([output_message("4", "2")], "42", 0, ""),
        ([THOUGHT, output_message("42")], "42", 0, "hm"),
        (
            [{"type": "reasoning", "summary": [], "encrypted_content": "x"}, output_message("42")],
            "42",
            0,
            "",
        ),
        (
            [{"type": "reasoning", "content": [{"type": "reasoning_text", "text": "hm"}]}, CALL],
            None,
            1,
            "hm",
        ),
        (
            [
                output_message("looking", phase="commentary"),
                output_message("42", phase="final_answer"),
            ],
            "looking\n42",
            0,
            "",
        ),
        ([output_message("let me look"), CALL, CALL], "let me look", 2, ""),
        ([output_message("<reasoning>hm</reasoning>42")], "42", 0, "hm"),
        ([], "", 0, ""),
    ],
)
def test_output_becomes_one_message(
    output: list[Json], text: str | None, calls: int, reasoning: str
) -> None:
    exchange = read({"input": "?"}, answer(*output))
    assert exchange.response.content == text
    assert len(exchange.response.tool_calls) == calls
    assert exchange.reasoning == reasoning


@pytest.mark.parametrize(
    ("response", "stop_reason"),
    [
        (answer(output_message("42")), "end_turn"),
        (answer(output_message("42"), CALL), "tool_use"),
        (
            answer(
                output_message("4"),
                status="incomplete",
                incomplete_details={"reason": "max_output_tokens"},
            ),
            "max_tokens",
        ),
        (
            answer(status="incomplete", incomplete_details={"reason": "content_filter"}),
            "content_filtered",
        ),
        (answer(status="incomplete", incomplete_details={"reason": "novel"}), "novel"),
        (answer(status="incomplete", incomplete_details=None), "unfinished"),
        (answer(status="cancelled"), "cancelled"),
        (answer() | {"status": None}, "unfinished"),
    ],
)
def test_how_it_ended_is_told_in_the_words_of_converse(response: Json, stop_reason: str) -> None:
    assert read({"input": "?"}, response).stop_reason == stop_reason


@pytest.mark.parametrize(
    ("given_input", "output"),
    [
        (
            [{"role": "user", "content": [{"type": "input_image", "image_url": "x"}]}],
            output_message("a dog"),
        ),
        (
            [{"role": "user", "content": [{"type": "input_file", "file_id": "x"}]}],
            output_message("a text"),
        ),
        (
            [{"type": "function_call_output", "call_id": "c", "output": [{"type": "input_image"}]}],
            output_message("a dog"),
        ),
    ],
)
def test_media_are_told(given_input: object, output: Json) -> None:
    assert read({"input": given_input}, answer(output)).has_media


# --- streams


def events(*output: Json) -> list[Json]:
    """The events of a stream that gives these items; text comes a letter at a time."""
    stream: list[Json] = [{"type": "response.created", "response": answer(status="in_progress")}]
    for index, item in enumerate(output):
        at = {"output_index": index}
        blank: Json = {"arguments": ""} if item["type"] == "function_call" else {"content": []}
        stream.append({"type": "response.output_item.added", "item": item | blank, **at})
        stream.extend({"type": kind, "delta": letter, **at} for kind, letter in _letters(item))
        stream.append({"type": "response.output_item.done", "item": item, **at})
    return [*stream, {"type": "response.completed", "response": answer(*output)}]


def _letters(item: Json) -> Iterator[tuple[str, str]]:
    if item["type"] == "function_call":
        yield from (("response.function_call_arguments.delta", c) for c in item["arguments"])
    for part in item.get("content", ()):
        yield from ((f"response.{part['type']}.delta", letter) for letter in part["text"])


_STREAM = events(output_message("The sky", " is blue"), CALL)


@pytest.mark.parametrize("extra", [[], ["[DONE]"]])
def test_a_stream_tells_the_same_as_the_whole_response(extra: list[str]) -> None:
    output = [THOUGHT, output_message("The sky", " is blue"), CALL]
    assert read({"input": "?"}, events(*output) + extra) == read({"input": "?"}, answer(*output))


@pytest.mark.parametrize("length", range(1, len(_STREAM)))
def test_a_stream_that_broke_off_tells_what_had_come(length: int) -> None:
    exchange = read({"input": "?"}, _STREAM[:length])
    pieces = [e["delta"] for e in _STREAM[:length] if e["type"] == "response.output_text.delta"]
    assert (exchange.response.content or "") == "".join(pieces)
    assert exchange.stop_reason == "broken_off"
    argument_pieces = [
        e["delta"] for e in _STREAM[:length] if e["type"].endswith("arguments.delta")
    ]
    arguments = [call.function.arguments for call in exchange.response.tool_calls]
    assert arguments in ([], ["".join(argument_pieces) or "{}"])


def test_items_that_were_done_count_more_than_pieces_that_were_lost() -> None:
    kept = [e for e in _STREAM[:-1] if "delta" not in e]
    whole = read({"input": "?"}, _STREAM)
    assert read({"input": "?"}, kept).response == whole.response


def test_pieces_alone_are_enough() -> None:
    kinds = ["response.reasoning_text.delta", "response.output_text.delta"]
    pieces = [
        {"type": kinds[index], "output_index": index, "delta": letter}
        for index, text in enumerate(["hm", "42"])
        for letter in text
    ]
    exchange = read({"input": "?"}, pieces)
    assert (exchange.response.content, exchange.reasoning) == ("42", "hm")


def test_a_stream_may_end_incomplete() -> None:
    cut = answer(
        output_message("4"), status="incomplete", incomplete_details={"reason": "max_output_tokens"}
    )
    stream = [*_STREAM[:3], {"type": "response.incomplete", "response": cut}]
    exchange = read({"input": "?"}, stream)
    assert (exchange.response.content, exchange.stop_reason) == ("4", "max_tokens")


# --- what is not read

_USER = {"role": "user", "content": "?"}
_PIECE = {"type": "response.function_call_arguments.delta", "output_index": 0, "delta": "{"}


@pytest.mark.parametrize(
    ("request_body", "response_body"),
    [
        ({"input": [{"id": "msg_1"}]}, answer(output_message("4"))),
        ({"input": [_USER | {"role": "narrator"}]}, answer(output_message("4"))),
        ({"input": [_USER | {"content": [{"type": "novel"}]}]}, answer(output_message("4"))),
        ({"input": [CALL | {"name": ""}]}, answer(output_message("4"))),
        ({"input": 7}, answer(output_message("4"))),
        ({"input": "?"}, answer(_USER)),
        ({"input": "?"}, answer(status="failed")),
        ({"input": "?"}, [{"type": "response.failed", "response": answer(status="failed")}]),
        ({"input": "?"}, [*_STREAM[:5], {"type": "error", "code": "server_error"}]),
        ({"input": "?"}, [*_STREAM[:5], {"modelStreamErrorException": {"message": "x"}}]),
        ({"input": "?"}, [_PIECE]),
        ({"input": "?"}, [*_STREAM[:5], 7]),
        ({"input": "?"}, [{"type": "error", "code": "server_error"}]),
        ({"input": "?"}, {"data": [{"embedding": [0.5]}]}),
    ],
)
def test_what_cannot_be_read_whole_is_refused(request_body: object, response_body: object) -> None:
    with pytest.raises(InputError) as refusal:
        read(request_body, response_body)
    assert refusal.value.reason in {Reason.DECODE_UNKNOWN_SHAPE, Reason.CURATE_ERROR}


def test_a_response_that_failed_is_a_failed_call() -> None:
    with pytest.raises(InputError) as refusal:
        read({"input": "?"}, answer(status="failed"))
    assert refusal.value.reason == Reason.CURATE_ERROR


# --- any conversation

_WORDS = st.text(min_size=1, max_size=12).filter(lambda text: text.strip() and "<" not in text)


@st.composite
def _conversation(draw: st.DrawFn) -> list[Json]:
    """Chat messages as they come out: system first, never two assistants in a row."""
    messages = [message("system", text) for text in draw(st.lists(_WORDS, max_size=1))]
    for number in range(draw(st.integers(1, 3))):
        messages += [message("user", draw(_WORDS))]
        call = CALLED | {"id": f"c{number}"}
        results = [message("tool", draw(st.text(max_size=9)), tool_call_id=call["id"])]
        calling = message("assistant", draw(st.none() | _WORDS), tool_calls=[call])
        messages += draw(st.sampled_from([[], [calling, *results]]))
        messages += [message("assistant", draw(_WORDS))]
    return messages


def _items(message_fields: Json) -> Iterator[Json]:
    """A chat message as items."""
    if message_fields["role"] == "tool":
        output = {"call_id": message_fields["tool_call_id"], "output": message_fields["content"]}
        yield {"type": "function_call_output", **output}
        return
    if message_fields["role"] == "assistant" and message_fields["content"] is not None:
        yield output_message(message_fields["content"])
    elif message_fields["role"] != "assistant":
        yield {
            "role": message_fields["role"],
            "content": [{"type": "input_text", "text": message_fields["content"]}],
        }
    for call in message_fields.get("tool_calls", ()):
        yield {"type": "function_call", "call_id": call["id"], **call["function"]}


@given(messages=_conversation())
def test_a_conversation_reads_the_same_whole_and_streamed(messages: list[Json]) -> None:
    *prompt_messages, reply = messages
    request = {"input": [item for each in prompt_messages for item in _items(each)]}
    output = list(_items(reply))
    for response in (answer(*output), events(*output)):
        exchange = read(request, response)
        assert msgspec.to_builtins(exchange.messages) == prompt_messages
        assert msgspec.to_builtins(exchange.response) == reply
        assert exchange.stop_reason == "end_turn"
