"""Landed rows to exchanges: what curation is told of each, and that no bad row stops others."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from bedrock_sluice.transforms.decode.records import decode_object
from bedrock_sluice.transforms.readers.normalise import Normalised, normalise
from bedrock_sluice.transforms.tables import EXCHANGES, landed_table

Json = dict[str, Any]
Make = Callable[..., Json]
Encode = Callable[..., tuple[Json, Json]]
Pack = Callable[[Sequence[Json]], bytes]

SYSTEM = {"role": "system", "content": "be brief"}
USER = {"role": "user", "content": "2 + 2?"}
BLANK = {"role": "user", "content": " \n"}
SAID = {"role": "assistant", "content": "4"}
CALL = {"id": "t1", "type": "function", "function": {"name": "add", "arguments": '{"a": 2}'}}
CALLING = {"role": "assistant", "content": None, "tool_calls": [CALL]}
RESULT = {"role": "tool", "content": "4", "tool_call_id": "t1"}


@pytest.fixture
def normalise_chat(bodies: Encode, record: Make, log_object: Pack) -> Callable[..., Normalised]:
    """Normalises one record of the messages and the response given."""

    def make(messages: list[Json], response: Json = SAID, dialect: str = "converse") -> Normalised:
        log_record = record(dialect, bodies=bodies(dialect, messages, response))
        return normalise(landed_table(decode_object(log_object([log_record]), "a.json.gz")))

    return make


@pytest.mark.parametrize(
    ("messages", "response", "expected"),
    [
        ([USER], SAID, {"has_prompt", "has_response", "is_user_last", "is_single_turn"}),
        ([SYSTEM, USER], SAID, {"has_prompt", "has_response", "is_user_last", "is_single_turn"}),
        (
            [SYSTEM, BLANK],
            SAID,
            {"has_blank_turn", "has_response", "is_user_last", "is_single_turn"},
        ),
        ([USER], SAID | {"content": " "}, {"has_prompt", "is_user_last", "is_single_turn"}),
        ([USER], CALLING, {"has_prompt", "has_response", "is_user_last", "is_single_turn"}),
        ([USER, SAID, USER], SAID, {"has_prompt", "has_response", "is_user_last"}),
        (
            [BLANK, SAID, USER],
            SAID,
            {"has_prompt", "has_blank_turn", "has_response", "is_user_last"},
        ),
        ([USER, SAID], SAID, {"has_prompt", "has_response"}),
        ([USER, CALLING, RESULT], SAID, {"has_prompt", "has_dangling_call", "has_response"}),
        (
            [USER, CALLING, RESULT | {"content": ""}],
            SAID,
            {"has_prompt", "has_dangling_call", "has_response"},
        ),
        ([SYSTEM], SAID, {"has_response"}),
        ([], SAID, {"has_response"}),
    ],
)
def test_curation_is_told_what_it_needs(
    normalise_chat: Callable[..., Normalised],
    messages: list[Json],
    response: Json,
    expected: set[str],
) -> None:
    table = normalise_chat(messages, response).exchanges
    assert table.schema.equals(EXCHANGES)
    (row,) = table.to_pylist()
    flags = {name for name, value in row.items() if value is True}
    assert flags == expected


def _digest(normalise_chat: Callable[..., Normalised], *messages: Json, dialect: str) -> str:
    return str(
        normalise_chat(list(messages), dialect=dialect).exchanges["prompt_digest"][0].as_py()
    )


def test_the_same_prompt_has_one_digest_however_it_was_written(
    normalise_chat: Callable[..., Normalised],
) -> None:
    same = {
        _digest(normalise_chat, SYSTEM, {"role": "user", "content": text}, dialect=dialect)
        for text in ("caf\u00e9 au  lait", " cafe\u0301\tau\nlait ")
        for dialect in ("converse", "anthropic_messages", "chat_completions")
    }
    assert len(same) == 1


def test_other_prompts_have_other_digests(normalise_chat: Callable[..., Normalised]) -> None:
    prompts: list[list[Json]] = [
        [USER],
        [SYSTEM, USER],
        [USER, SAID, USER],
        [USER | {"content": "2 +2?"}],
        [USER, CALLING, RESULT],
        [USER, CALLING, RESULT | {"content": "5"}],
        [{"role": "user", "content": "be brief"}, SAID, USER],
    ]
    digests = {_digest(normalise_chat, *prompt, dialect="converse") for prompt in prompts}
    assert len(digests) == len(prompts)


def test_a_bad_row_is_told_and_stops_no_other(record: Make, log_object: Pack) -> None:
    raw = log_object(
        [
            record(request_id="a"),
            record(request_id="b", errorCode="ThrottlingException", input=None, output=None),
            record(request_id="c", bodies=({"question": "?"}, {"reply": "4"})),
            record(request_id="d"),
        ]
    )
    read = normalise(landed_table(decode_object(raw, "a.json.gz")))
    assert read.exchanges["request_id"].to_pylist() == ["a", "d"]
    rows = read.rejected.select("object", "line", "request_id", "reason").rows()
    assert rows == [
        ("a.json.gz", 2, "b", "curate_error"),
        ("a.json.gz", 3, "c", "decode_unknown_shape"),
    ]


def test_no_rows_give_empty_tables() -> None:
    read = normalise(landed_table([]))
    assert (read.exchanges.num_rows, read.rejected.height) == (0, 0)
    assert read.exchanges.schema.equals(EXCHANGES)


def _nested(depth: int) -> Json:
    """A landed row with a tool whose schema is that deep."""
    request = {
        "messages": [{"role": "user", "content": "?"}],
        "tools": [{"name": "look", "input_schema": {"a": "DEEP"}}],
    }
    return {
        "object": "a.json.gz",
        "line": 1,
        "input_body": json.dumps(request).replace('"DEEP"', "[" * depth + "]" * depth),
        "output_body": '{"role": "assistant", "content": [{"type": "text", "text": "4"}]}',
    }


def test_nesting_of_any_depth_is_read_or_refused() -> None:
    """Near the limit, what can be decoded may be too deep to be encoded again."""
    rows = [_nested(depth) for depth in (*range(850, 1_050), 20_000)]
    read = normalise(landed_table(rows))
    assert read.exchanges.num_rows + read.rejected.height == len(rows)
    assert set(read.rejected["reason"]) == {"decode_too_deep"}


@pytest.mark.parametrize("depth", [100, 400, 700])
def test_what_is_too_deep_does_not_depend_on_the_callers_stack(depth: int) -> None:
    """Else the same logs would give other releases under the CLI and under Prefect."""
    row = _nested(depth)
    line = json.dumps({"requestId": "a", "timestamp": "2026-10-01T00:00:00Z", "novel": "DEEP"})
    raw = line.replace('"DEEP"', "[" * depth + "]" * depth).encode()

    def outcome() -> tuple[int, object]:
        read = normalise(landed_table([row])).exchanges.num_rows
        return read, decode_object(raw, "a.json.gz")[0].get("reason")

    def further_down(frames: int) -> tuple[int, object]:
        return further_down(frames - 1) if frames else outcome()

    assert outcome() == further_down(500)
