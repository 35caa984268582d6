"""Lines as Converse requests, and its responses as chat messages; botocore accepts what we send."""

from typing import Any

import pytest
from support.rft.validation import validate

from bedrock_sluice.transforms.chat.converse_request import converse_arguments, read_answer

WEATHER = {
    "type": "function",
    "function": {"name": "weather", "description": "Tell it", "parameters": {"type": "object"}},
}


@pytest.mark.parametrize(
    ("messages", "roles"),
    [
        ([{"role": "user", "content": "6 x 7?"}], ["user"]),
        (
            [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": [{"type": "text", "text": "a"}]},
                {"role": "user", "content": "b"},
                {"role": "assistant", "content": "c"},
                {"role": "user", "content": "d"},
            ],
            ["user", "assistant", "user"],
        ),
        (
            [
                {"role": "user", "content": "Rain?"},
                {
                    "role": "assistant",
                    "content": None,
                    "tool_calls": [
                        {
                            "id": "t1",
                            "type": "function",
                            "function": {"name": "weather", "arguments": '{"city": "Bonn"}'},
                        }
                    ],
                },
                {"role": "tool", "tool_call_id": "t1", "content": "dry"},
                {"role": "user", "content": "So?"},
            ],
            ["user", "assistant", "user"],
        ),
    ],
)
def test_a_line_is_a_request_that_the_service_model_takes(
    messages: list[dict[str, Any]], roles: list[str]
) -> None:
    arguments = converse_arguments({"id": "r", "messages": messages, "tools": [WEATHER]})
    assert [turn["role"] for turn in arguments["messages"]] == roles
    assert ("system" in arguments) == (messages[0]["role"] == "system")
    validate("bedrock-runtime", "Converse", {"modelId": "acme.base", **arguments})


def test_an_answer_is_its_text_or_a_message_with_calls_and_no_reasoning() -> None:
    reasoning = {"reasoningContent": {"reasoningText": {"text": "hm"}}}
    use = {"toolUse": {"toolUseId": "t1", "name": "weather", "input": {"city": "Bonn"}}}
    content = [reasoning, {"text": "4"}, {"text": "2"}]
    assert read_answer({"output": {"message": {"content": content}}}) == "42"
    answer = read_answer({"output": {"message": {"content": [*content, use]}}})
    assert isinstance(answer, dict)
    function = answer["tool_calls"][0]["function"]
    assert (answer["content"], function) == (
        "42",
        {"name": "weather", "arguments": '{"city":"Bonn"}'},
    )
    assert read_answer({"output": {}}) == ""
