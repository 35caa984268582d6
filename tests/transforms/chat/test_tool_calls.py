"""Tool calls in a history: each with its result, each of a tool that is offered."""

from typing import Any

import pytest

from bedrock_sluice.transforms.chat.tool_calls import has_dangling_tool_calls

Json = dict[str, Any]

USER: Json = {"role": "user", "content": "?"}
TOOLS: list[Json] = [{"type": "function", "function": {"name": "look"}}]


def calls(*ids: str, name: str = "look") -> Json:
    """An assistant's message that calls a tool once for each id."""
    function = {"name": name, "arguments": "{}"}
    each = [{"id": call_id, "type": "function", "function": function} for call_id in ids]
    return {"role": "assistant", "content": None, "tool_calls": each}


def result(call_id: str) -> Json:
    """The result of a call."""
    return {"role": "tool", "content": "blue", "tool_call_id": call_id}


@pytest.mark.parametrize(
    ("messages", "is_dangling"),
    [
        ([USER], False),
        ([USER, calls("a"), result("a"), USER], False),
        ([USER, calls("a", "b"), result("b"), result("a"), USER], False),
        ([USER, calls("a"), result("a"), calls("a"), result("a"), USER], False),
        ([USER, calls("a"), USER], True),
        ([USER, calls("a", "b"), result("a"), USER], True),
        ([USER, calls("a"), USER, result("a"), USER], True),
        ([USER, calls("a")], True),
        ([USER, result("a"), USER], True),
        ([USER, calls("a"), result("a"), result("a"), USER], True),
        ([USER, calls("a"), result("b"), USER], True),
        ([USER, calls("", ""), result(""), USER], True),
        ([USER, calls("a", name="jump"), result("a"), USER], True),
    ],
)
def test_each_call_has_its_result_and_its_tool(messages: list[Json], is_dangling: bool) -> None:
    assert has_dangling_tool_calls(messages, TOOLS) == is_dangling


def test_without_tools_no_call_is_of_an_offered_one() -> None:
    history = [USER, calls("a"), result("a"), USER]
    assert has_dangling_tool_calls(history, None)
    assert not has_dangling_tool_calls([USER], None)
