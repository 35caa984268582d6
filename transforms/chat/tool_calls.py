"""Tool calls in a history: each must have its result, and be of a tool that is offered."""

from collections.abc import Mapping, Sequence
from typing import Any


def has_dangling_tool_calls(
    messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]] | None
) -> bool:
    """Whether a prompt holds a tool call without its result, or without an offer of its tool.

    `messages` and `tools` are those of a line. The results of a message's calls are the tool
    messages that follow it at once, each with the id of its call; a result without such a call is
    as wrong as a call without a result.
    """
    tool_names = {_function(tool).get("name") for tool in tools or ()}
    pending = set[Any]()
    for message in messages:
        if message.get("role") == "tool":
            if message.get("tool_call_id") not in pending:
                return True
            pending.remove(message.get("tool_call_id"))
            continue
        if pending:
            return True
        calls = message.get("tool_calls") or ()
        pending = {call.get("id") for call in calls}
        if len(pending) < len(calls) or any(
            _function(c).get("name") not in tool_names for c in calls
        ):
            return True
    return bool(pending)


def _function(tool: Mapping[str, Any]) -> Mapping[str, Any]:
    function: Mapping[str, Any] = tool.get("function") or {}
    return function
