"""What shaped a response and no message can carry: such a record is dropped with a reason."""

import json
from typing import Any

import pytest
from support.protocols import MakeRecord

from bedrock_sluice.transforms.decode.records import decode_line
from bedrock_sluice.transforms.errors import InputError
from bedrock_sluice.transforms.readers.exchanges import read_bodies, read_exchange
from bedrock_sluice.transforms.readers.fast_path import read_plain_bodies, read_plain_line
from bedrock_sluice.transforms.reasons import Reason

Json = dict[str, Any]
Bodies = tuple[Json, Any]

SCHEMA = {"type": "object"}
CHAT = {"role": "user", "content": "?"}
TURN = {"role": "user", "content": [{"text": "?"}]}
SAID = {"output": {"message": {"role": "assistant", "content": [{"text": "4"}]}}}
USE = {"toolUseId": "t", "name": "nova_grounding", "input": {}}
RESULT = {"toolUseId": "t", "content": [{"text": "Bern won 3:1"}]}


def converse(*messages: Json, reply: Any = None, **fields: object) -> Bodies:
    """Bodies of Converse."""
    response = SAID if reply is None else {"output": {"message": reply}}
    return {"messages": [TURN, *messages], **fields}, response | {"stopReason": "end_turn"}


def blocks(role: str, *content: Json) -> Json:
    """A message of blocks."""
    return {"role": role, "content": list(content)}


def anthropic(*messages: Json, **fields: object) -> Bodies:
    """Bodies of Anthropic Messages."""
    block = {"type": "text", "text": "4"}
    response = {"role": "assistant", "content": [block], "stop_reason": "end_turn"}
    return {"messages": [CHAT, *messages], **fields}, response


def chat(*messages: Json, **fields: object) -> Bodies:
    """Bodies of a chat completion."""
    message = {"role": "assistant", "content": "4"}
    choices = [{"message": message, "finish_reason": "stop"}]
    return {"messages": [CHAT, *messages], **fields}, {"choices": choices}


def responses(*items: Json, output: Json | None = None, **fields: object) -> Bodies:
    """Bodies of Responses."""
    message = {"role": "assistant", "content": [{"type": "output_text", "text": "4"}]}
    reply = {"status": "completed", "output": [*([output] if output else []), message]}
    return {"input": [CHAT, *items], **fields}, reply


def events(*chunks: Json) -> Bodies:
    """Bodies of a ConverseStream."""
    return {"messages": [TURN]}, [{"messageStart": {"role": "assistant"}}, *chunks]


FORMAT = {"type": "json_schema", "structure": {"jsonSchema": {"schema": "{}"}}}
SYSTEM = {"role": "system", "content": "be brief"}
LOST: dict[str, list[Bodies]] = {
    "managed prompts": [
        converse(promptVariables={"city": {"text": "Bern"}}),
        ({"promptVariables": {"city": {"text": "Bern"}}}, SAID | {"stopReason": "end_turn"}),
        responses(prompt={"id": "p"}),
        responses(previous_response_id="r"),
        responses(conversation={"id": "c"}),
        responses({"type": "item_reference", "id": "m"}),
    ],
    "formats": [
        converse(outputConfig={"textFormat": FORMAT}),
        converse(additionalModelRequestFields={"output_config": {"format": SCHEMA}}),
        anthropic(output_format={"type": "json_schema", "schema": SCHEMA}),
        chat(response_format={"type": "json_object"}),
        chat(guided_json=SCHEMA),
        responses(text={"format": {"type": "json_schema", "schema": SCHEMA}}),
        ({"prompt": "?", "response_format": {"type": "json_object"}}, {"generation": "4"}),
    ],
    "tools without a schema": [
        converse(toolConfig={"tools": [{"systemTool": {"name": "nova_grounding"}}]}),
        converse(additionalModelRequestFields={"tools": [{"type": "computer_20250124"}]}),
        converse(blocks("user", {"toolAddition": {"tool": {"name": "f"}}})),
        converse(blocks("user", {"toolRemoval": {"tool": {"name": "f"}}})),
        anthropic(tools=[{"type": "bash_20250124", "name": "bash"}]),
        anthropic(mcp_servers=[{"url": "https://example.org"}]),
        chat(tools=[{"type": "web_search"}]),
        chat(functions=[{"name": "f"}]),
        chat({"role": "assistant", "function_call": {"name": "f", "arguments": "{}"}}),
        chat({"role": "function", "name": "f", "content": "4"}),
        responses(tools=[{"type": "web_search"}]),
        ({"message": "?", "connectors": [{"id": "web-search"}]}, {"text": "4"}),
    ],
    "server tools": [
        converse(blocks("assistant", {"toolUse": USE}, {"toolResult": RESULT}), TURN),
        converse(blocks("assistant", {"toolUse": USE | {"type": "server_tool_use"}}), TURN),
        converse(reply=blocks("assistant", {"toolUse": USE | {"type": "server_tool_use"}})),
        events({"contentBlockStart": {"start": {"toolUse": USE | {"type": "server_tool_use"}}}}),
        events({"contentBlockStart": {"start": {"toolResult": RESULT}}}),
        events({"contentBlockDelta": {"delta": {"toolResult": [{"text": "Bern"}]}}}),
        anthropic(blocks("assistant", {"type": "server_tool_use", "id": "t", "name": "w"})),
        anthropic(blocks("assistant", {"type": "web_search_tool_result", "content": []})),
        responses(output={"type": "web_search_call", "id": "w"}),
        responses({"type": "mcp_call", "id": "m"}),
    ],
    "marks of messages": [
        converse(blocks("user", {"toolResult": RESULT | {"status": "error"}})),
        anthropic(blocks("user", {"type": "tool_result", "tool_use_id": "t", "is_error": True})),
        chat({"role": "user", "name": "ann", "content": "?"}),
        chat(SYSTEM, CHAT),
        converse(blocks("system", {"text": "be brief"}), TURN),
        responses({"role": "developer", "content": "be brief"}, CHAT),
        ({"message": "?", "chat_history": [
            {"role": "USER", "message": "hi"}, {"role": "SYSTEM", "message": "be kind"},
        ]}, {"text": "4"}),
    ],
}  # fmt: skip


def read(bodies: Bodies) -> Any:
    """The exchange of two bodies."""
    return read_bodies(*(json.dumps(body).encode() for body in bodies))[1]


@pytest.mark.parametrize("bodies", [each for group in LOST.values() for each in group])
def test_what_no_message_can_carry_has_a_reason(bodies: Bodies) -> None:
    with pytest.raises(InputError) as refusal:
        read(bodies)
    assert refusal.value.reason == Reason.CURATE_INCOMPLETE_PROMPT
    assert refusal.value.detail
    assert read_plain_bodies(*map(json.dumps, bodies)) is None


@pytest.mark.parametrize(
    "bodies",
    [
        converse(outputConfig={"textFormat": None, "effort": "low"}, promptVariables=None),
        converse(additionalModelRequestFields={"top_k": 5, "tools": None}),
        converse(toolConfig={"tools": [{"cachePoint": {"type": "default"}}]}),
        converse(system=None, toolConfig=None),
        anthropic(system=None, tools=None, mcp_servers=[]),
        anthropic(tools=[{"type": "custom", "name": "f", "input_schema": SCHEMA}]),
        chat(response_format={"type": "text"}, tools=None, functions=None),
        chat(response_format=None),
        chat({"role": "system", "content": ""}, CHAT),
        responses(text={"format": {"type": "text"}}, prompt=None, tools=None),
        responses(text={"verbosity": "low"}, previous_response_id=None),
    ],
)
def test_what_shapes_nothing_is_no_hindrance(bodies: Bodies) -> None:
    assert read(bodies).response.content == "4"


PROMPT_ARN = "arn:aws:bedrock:us-east-1:111122223333:prompt/ABCDEFGHIJ:1"
ROUTER_ARN = "arn:aws:bedrock:us-east-1:111122223333:default-prompt-router/anthropic.claude:1"


def test_the_text_of_a_managed_prompt_is_not_logged(record: MakeRecord) -> None:
    for model, is_managed in ((PROMPT_ARN, True), (ROUTER_ARN, False)):
        line = json.dumps(record(modelId=model)).encode()
        assert (read_plain_line(line) is None) == is_managed
        row = decode_line(line)
        if is_managed:
            with pytest.raises(InputError, match="managed prompt"):
                read_exchange(row)
        else:
            assert read_exchange(row)[0] == "converse"
