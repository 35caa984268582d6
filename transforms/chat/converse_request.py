"""Lines of a release as requests for Bedrock's Converse, and its responses as chat messages."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

JsonObject = Mapping[str, Any]


def converse_arguments(line: JsonObject) -> dict[str, Any]:
    """Return `messages`, and `system` and `toolConfig` where there are any, of a line."""
    chat = line["messages"]
    system = [
        {"text": text}
        for message in chat
        if message["role"] == "system"
        for text in _texts(message)
    ]
    tools = [
        {"toolSpec": _tool(each["function"])}
        for each in line.get("tools") or ()
        if "function" in each
    ]
    arguments: dict[str, Any] = {"messages": _turns(chat)}
    if system:
        arguments["system"] = system
    if tools:
        arguments["toolConfig"] = {"tools": tools}
    return arguments


def read_answer(response: JsonObject) -> str | dict[str, Any]:
    """Return the answer of a response: its text, or an assistant message if it calls tools."""
    blocks = response["output"].get("message", {}).get("content") or []
    text = "".join(block["text"] for block in blocks if "text" in block)
    calls = [
        {
            "id": use["toolUseId"],
            "type": "function",
            "function": {
                "name": use["name"],
                "arguments": msgspec.json.encode(use.get("input") or {}).decode(),
            },
        }
        for block in blocks
        if (use := block.get("toolUse"))
    ]
    return {"content": text, "tool_calls": calls} if calls else text


def _turns(chat: Sequence[JsonObject]) -> list[dict[str, Any]]:
    """The turns of user and assistant; a tool's result is part of the user's turn."""
    turns = list[dict[str, Any]]()
    for message in chat:
        if message["role"] == "system":
            continue
        role = "assistant" if message["role"] == "assistant" else "user"
        blocks = list(_blocks(message))
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += blocks
        else:
            turns.append({"role": role, "content": blocks})
    return turns


def _blocks(message: JsonObject) -> Iterator[dict[str, Any]]:
    if message["role"] == "tool":
        content = [{"text": text} for text in _texts(message)]
        yield {"toolResult": {"toolUseId": message["tool_call_id"], "content": content}}
        return
    yield from ({"text": text} for text in _texts(message) if text)
    for call in message.get("tool_calls") or ():
        function = call["function"]
        value = msgspec.json.decode(function.get("arguments") or "{}")
        yield {"toolUse": {"toolUseId": call["id"], "name": function["name"], "input": value}}


def _texts(message: JsonObject) -> list[str]:
    content = message.get("content")
    if isinstance(content, str):
        return [content]
    return [part["text"] for part in content or () if "text" in part]


def _tool(function: JsonObject) -> dict[str, Any]:
    schema = function.get("parameters") or {"type": "object", "properties": {}}
    tool = {"name": function["name"], "inputSchema": {"json": schema}}
    if function.get("description"):
        tool["description"] = function["description"]
    return tool
