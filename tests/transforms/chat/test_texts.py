"""Texts of exchanges: what each of them holds, whatever the shape of the chat."""

import json
from collections.abc import Sequence
from typing import Any

import msgspec
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock_sluice.transforms.chat.messages import Exchange, Message
from bedrock_sluice.transforms.chat.texts import PARTS, TEXTS, exchange_parts, prompt_texts

Json = dict[str, Any]

SYSTEM = {"role": "system", "content": "be brief"}
ASKED = {"role": "user", "content": "2 + 2?"}
AGAIN = {"role": "user", "content": "and 3?"}
TOLD = {"role": "assistant", "content": "4"}
CALL = {"id": "t", "type": "function", "function": {"name": "f", "arguments": '{"a":"secret"}'}}
CALLING = {"role": "assistant", "content": None, "tool_calls": [CALL]}
RESULT = {"role": "tool", "content": "7 C", "tool_call_id": "t"}


def texts(*chats: Sequence[Json], response: Json = TOLD) -> pl.DataFrame:
    """The texts of chats that all have the same response."""
    answer = msgspec.convert(response, Message)
    exchanges = [Exchange(msgspec.convert(chat, list[Message]), answer, [], "") for chat in chats]
    return prompt_texts(exchanges)


@pytest.mark.parametrize(
    ("chat", "last_user", "turns", "prompt"),
    [
        ([ASKED], "2 + 2?", "2 + 2?", "2 + 2?"),
        ([SYSTEM, ASKED], "2 + 2?", "2 + 2?", "be brief\n2 + 2?"),
        ([SYSTEM, ASKED, AGAIN], "and 3?", "2 + 2?\nand 3?", "be brief\n2 + 2?\nand 3?"),
        ([ASKED, TOLD, AGAIN], "and 3?", "2 + 2?\n4\nand 3?", "2 + 2?\n4\nand 3?"),
        ([ASKED, CALLING, RESULT], "2 + 2?", "2 + 2?\n\n7 C", "2 + 2?\n\n7 C"),
        ([SYSTEM], "", "", "be brief\n"),
        ([TOLD], "", "4", "4"),
        ([], "", "", ""),
        ([ASKED, AGAIN | {"content": None}], "", "2 + 2?\n", "2 + 2?\n"),
        ([AGAIN | {"content": "é\u2028\n"}], "é\u2028\n", "é\u2028\n", "é\u2028\n"),
    ],
    ids=[
        "one turn", "system", "two turns", "history", "tools", "system alone",
        "nobody asked", "nothing", "blank", "line ends",
    ],
)  # fmt: skip
def test_each_text_holds_what_it_promises(
    chat: list[Json], last_user: str, turns: str, prompt: str
) -> None:
    assert texts(chat).rows() == [(last_user, turns, prompt, "4")]


def test_a_response_that_only_calls_a_tool_has_no_text() -> None:
    assert texts([ASKED], response=CALLING)["response"].to_list() == [""]


def test_other_columns_are_left_out_and_rows_keep_their_order() -> None:
    frame = texts([ASKED], [AGAIN], [ASKED])
    assert frame["last_user"].to_list() == ["2 + 2?", "and 3?", "2 + 2?"]
    assert frame.schema == TEXTS


def test_no_exchanges_give_no_texts() -> None:
    assert texts().equals(TEXTS.to_frame())


def parts(chat: Sequence[Json], tools: object = None) -> tuple[Any, ...]:
    """The parts of one exchange."""
    columns = {"messages": [json.dumps(chat)], "tools": [json.dumps(tools) if tools else None]}
    frame = exchange_parts(pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String)))
    assert frame.schema == PARTS
    return frame.row(0)


@pytest.mark.parametrize(
    ("arguments", "texts"),
    [
        ('{"q": "a\\nb", "n": [1, {"é": "\\u00e9"}], "z": null}', "a\nb\né"),
        ("not { JSON", "not { JSON"),
        ("", ""),
        ("[" * 5_000, "[" * 5_000),
    ],
)
def test_texts_of_tools_are_those_of_their_calls_and_schemas(arguments: str, texts: str) -> None:
    function = CALL | {"function": {"name": "f", "arguments": arguments}}
    chat: list[Json] = [SYSTEM, ASKED, CALLING | {"tool_calls": [function]}, RESULT]
    schema = {"function": {"name": "f", "description": "finds"}}
    assert parts(chat, [schema]) == ("2 + 2?\n\n7 C", "be brief", f"{texts}\nf\nfinds")
    assert parts([ASKED]) == ("2 + 2?", "", "")


_CHATS = st.lists(
    st.fixed_dictionaries(
        {
            "role": st.sampled_from(["system", "user", "assistant", "tool"]),
            "content": st.none() | st.text("ab \n", max_size=3),
        }
    ),
    max_size=5,
)


@given(chat=_CHATS)
def test_all_that_is_said_stands_in_the_prompt_and_but_the_system_in_the_turns(
    chat: list[Json],
) -> None:
    (row,) = texts(chat).to_dicts()
    for message in chat:
        content = message["content"] or ""
        assert content in row["prompt"]
        assert message["role"] == "system" or content in row["turns"]
    assert row["prompt"].endswith(row["turns"])
    assert row["last_user"] in row["turns"]
