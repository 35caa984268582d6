"""The estimate of a prompt's length."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock_sluice.transforms.chat.messages import FunctionCall, Message, ToolCall
from bedrock_sluice.transforms.chat.tokens import estimate_tokens

FRAME = 4  # tokens of each message's frame
CALL = ToolCall("t1", "function", FunctionCall("look", '{"a":1}'))


@pytest.mark.parametrize(
    ("messages", "tools", "tokens"),
    [
        ([], [], 0),
        ([Message("user", "")], [], FRAME),
        ([Message("user", "abcd")], [], FRAME + 1),
        ([Message("user", "abcde")], [], FRAME + 2),
        ([Message("user", "éé")], [], FRAME + 1),
        ([Message("user", "😀😀")], [], FRAME + 2),
        ([Message("system", "ab"), Message("user", "cd")], [], 2 * FRAME + 1),
        ([Message("assistant", None, tool_calls=[CALL])], [], FRAME + 3),
        ([Message("user", "abcd")], [{"a": "b"}], FRAME + 4),
    ],
    ids=[
        "nothing", "empty", "four bytes", "rounded up", "bytes, not letters", "four-byte letters",
        "messages together", "tool calls", "tools",
    ],
)  # fmt: skip
def test_a_token_is_four_bytes(
    messages: list[Message], tools: list[dict[str, str]], tokens: int
) -> None:
    assert estimate_tokens(messages, tools) == tokens


@given(st.text(), st.text())
def test_a_longer_text_is_never_fewer_tokens(text: str, more: str) -> None:
    short, long = ([Message("user", each)] for each in (text, text + more))
    assert estimate_tokens(short) <= estimate_tokens(long)
