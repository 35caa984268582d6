"""OpenAI chat messages: what every dialect is read into, and what a line is made of.

Shape: OpenAI chat completions, as far as RFT takes it (AWS user guide, "Prepare data for RFT"):
string content (null beside tool calls), arguments as a JSON string, the system message first.
"""

import re
from dataclasses import dataclass, field
from typing import Any

import msgspec

JsonObject = dict[str, Any]

# The words of Converse's stopReason, into which the other APIs' words are translated.
STOP_REASONS = {
    "stop": "end_turn",
    "tool_calls": "tool_use",
    "length": "max_tokens",
    "content_filter": "content_filtered",
}

_REASONING = re.compile(r"\s*<(reasoning|thinking)>(.*?)</\1>\s*", re.DOTALL)


class FunctionCall(msgspec.Struct):
    """The function that a tool call names; `arguments` is JSON text."""

    name: str
    arguments: str


class ToolCall(msgspec.Struct):
    """One call of a tool by the assistant."""

    id: str
    type: str
    function: FunctionCall


class Message(msgspec.Struct, omit_defaults=True):
    """One chat message; empty `tool_calls` and `tool_call_id` are left out of its JSON."""

    role: str
    content: str | None
    tool_calls: list[ToolCall] = []
    tool_call_id: str = ""


class Exchange(msgspec.Struct):
    """One request and its answer, whatever dialect they were logged in."""

    messages: list[Message]
    response: Message
    tools: list[JsonObject]
    stop_reason: str | None
    reasoning: str = ""
    has_media: bool = False


class Unreadable(Exception):  # noqa: N818 - no error of ours: normalise turns it into a reason
    """A reader met a shape that it does not know; the text names the place, not the content."""


@dataclass(slots=True)
class Turn:
    """The parts of one logged message, gathered in order."""

    texts: list[str] = field(default_factory=list)
    calls: list[ToolCall] = field(default_factory=list)
    results: list[Message] = field(default_factory=list)
    reasoning: list[str] = field(default_factory=list)
    has_media: bool = False

    def call(self, call_id: str, name: str, arguments: msgspec.Raw) -> None:
        """Add a tool call; `arguments` is a JSON object."""
        text = compact(arguments) if arguments else "{}"
        self.calls.append(ToolCall(call_id, "function", FunctionCall(name, text)))

    def result(self, call_id: str, texts: list[str]) -> None:
        """Add the result of the tool call `call_id`."""
        self.results.append(Message("tool", "\n".join(texts), tool_call_id=call_id))

    def messages(self, role: str) -> list[Message]:
        """The turn as chat messages: tool results first, then what was said.

        Blocks of an assistant are pieces of one text (citations and streams cut it anywhere);
        those of anybody else are texts of their own, set on lines of their own.
        """
        if role == "assistant":
            return [self._spoken()]
        if self.results and not self.texts:
            return self.results
        return [*self.results, Message(role, "\n".join(self.texts))]

    def _spoken(self) -> Message:
        text, thought = split_reasoning("".join(self.texts))
        if thought:
            self.reasoning.append(thought)
        content = None if self.calls and not text.strip() else text
        return Message("assistant", content, tool_calls=self.calls)


def split_reasoning(text: str) -> tuple[str, str]:
    """Take `<reasoning>` and `<thinking>` passages off the start: (what is left, the passages)."""
    thoughts, end = list[str](), 0
    while found := _REASONING.match(text, end):
        thoughts.append(found.group(2))
        end = found.end()
    return text[end:], "\n".join(thoughts)


def with_system(texts: list[str], messages: list[Message]) -> list[Message]:
    """Put one system message first, if there is any text for it."""
    text = "\n".join(t for t in texts if t)
    return [Message("system", text), *messages] if text else messages


def function_tool(name: str, description: str | None, parameters: msgspec.Raw) -> JsonObject:
    """A tool in OpenAI's shape; `parameters` is a JSON schema."""
    function: JsonObject = {"name": name}
    if description:
        function["description"] = description
    if parameters:
        function["parameters"] = msgspec.json.decode(parameters)
    return {"type": "function", "function": function}


def compact(value: msgspec.Raw) -> str:
    """JSON text without blanks between its tokens; the order of keys is kept."""
    return bytes(msgspec.json.format(value, indent=-1)).decode()


def stop_word(word: str | None) -> str | None:
    """A finish reason in the words of Converse; an unknown word stays as it is."""
    return STOP_REASONS.get(word, word) if word else None
