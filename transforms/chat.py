"""OpenAI chat messages: what every dialect is read into, and what a line is made of.

Shape: OpenAI chat completions, as far as RFT takes it (AWS user guide, "Prepare data for RFT"):
string content (null beside tool calls), arguments as a JSON string, the system message first.
"""

import re
from typing import Any

import msgspec

JsonObject = dict[str, Any]

# The words of Converse's stopReason, into which the other APIs' words are translated.
STOP_REASONS = {
    # OpenAI, Meta, Mistral AI, DeepSeek, Qwen
    "stop": "end_turn",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "length": "max_tokens",
    "model_length": "model_context_window_exceeded",
    "content_filter": "content_filtered",
    # Amazon Titan
    "FINISH": "end_turn",
    "FINISHED": "end_turn",
    "LENGTH": "max_tokens",
    "STOP_CRITERIA_MET": "stop_sequence",
    "CONTENT_FILTERED": "content_filtered",
    # Cohere
    "COMPLETE": "end_turn",
    "complete": "end_turn",
    "MAX_TOKENS": "max_tokens",
    "STOP_SEQUENCE": "stop_sequence",
    "TOOL_CALL": "tool_use",
    "ERROR_TOXIC": "content_filtered",
    "error_toxic": "content_filtered",
    "ERROR_LIMIT": "model_context_window_exceeded",
    "error_limit": "model_context_window_exceeded",
    # AI21 Jurassic, and imported models
    "endoftext": "end_turn",
    "eos_token": "end_turn",
}

UNFINISHED = "unfinished"  # a chat body without a stop reason: its API always states one
UNSTATED = (
    "unstated"  # a text completion logged whole without one: hand-written bodies, some servers
)
BROKEN_OFF = "broken_off"  # a stream that ends without a stop reason

# Only a response that ended so can be an answer, a vote or a graded response. It is an allow-list:
# a word that is not known here is not good.
GOOD_STOP_REASONS = frozenset({"end_turn", "stop_sequence", "tool_use", UNSTATED})

_REASONING = re.compile(r"\s*<(reasoning|thinking|think)>(.*?)</\1>\s*", re.DOTALL)
_THOUGHT_STARTS, _THOUGHT_ENDS = "<think>", "</think>"


ROLES = frozenset({"system", "user", "assistant", "tool"})


class FunctionCall(msgspec.Struct, gc=False):
    """The function that a tool call names; `arguments` is JSON text."""

    name: str
    arguments: str


class ToolCall(msgspec.Struct, gc=False):
    """One call of a tool by the assistant."""

    id: str
    type: str
    function: FunctionCall


class Message(msgspec.Struct, omit_defaults=True, gc=False):
    """One chat message; empty `tool_calls` and `tool_call_id` are left out of its JSON."""

    role: str
    content: str | None
    tool_calls: list[ToolCall] = []
    tool_call_id: str = ""


class Exchange(msgspec.Struct, gc=False):
    """One request and its answer, whatever dialect they were logged in."""

    messages: list[Message]
    response: Message
    tools: list[JsonObject]
    stop_reason: str
    reasoning: str = ""
    has_media: bool = False


class Unreadable(Exception):  # noqa: N818 - no error of ours: normalise turns it into a reason
    """A reader met a shape that it does not know; the text names the place, not the content."""


class CallFailed(Unreadable):
    """The call broke off with an error, which the response tells."""


class Turn(msgspec.Struct):
    """The parts of one logged message, gathered in order."""

    texts: list[str] = []
    calls: list[ToolCall] = []
    results: list[Message] = []
    reasoning: list[str] = []
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
        if role not in ROLES:
            raise Unreadable("a message of an unknown role")
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


def split_reasoning(text: str, *, is_open: bool = False) -> tuple[str, str]:
    """Take passages of reasoning off the start: (what is left, the passages).

    They stand in `<reasoning>`, `<thinking>` or `<think>`. `is_open`: the prompt ended in
    `<think>`, so the text begins inside one, as it does where a line of its own closes what nothing
    has opened.
    """
    if not is_open and _THOUGHT_ENDS not in text and not text.lstrip().startswith("<"):
        return text, ""  # as most texts are
    thoughts, end = list[str](), 0
    before, closing, after = text.partition(_THOUGHT_ENDS)
    if is_open or (closing and _is_alone(before, after)):
        thoughts, text = [before], after.lstrip()
    while found := _REASONING.match(text, end):
        thoughts.append(found.group(2))
        end = found.end()
    return text[end:], "\n".join(t for t in map(str.strip, thoughts) if t)


def _is_alone(before: str, after: str) -> bool:
    """Whether a closing tag stands on a line of its own, and closes what nothing has opened."""
    line = before.rpartition("\n")[2] + after.partition("\n")[0]
    return not line.strip() and _THOUGHT_STARTS not in before


def with_system(texts: list[str], messages: list[Message]) -> list[Message]:
    """Put one system message first: `texts`, and what system messages stand among the others."""
    among = [message for message in messages if message.role == "system"]
    if among:
        texts = [*texts, *(message.content or "" for message in among)]
        messages = [message for message in messages if message.role != "system"]
    text = "\n".join([text for text in texts if text.strip()])
    return [Message("system", text), *messages] if text else messages


def is_telling(message: Message) -> bool:
    """Whether a message says or does anything; a tool may well have nothing to say."""
    has_text = bool((message.content or "").strip())
    return has_text or bool(message.tool_calls) or message.role == "tool"


def function_tool(name: str, description: str | None, parameters: msgspec.Raw) -> JsonObject:
    """A tool in OpenAI's shape; `parameters` is a JSON schema."""
    function: JsonObject = {"name": name}
    if description:
        function["description"] = description
    if parameters and bytes(parameters) != b"null":
        function["parameters"] = msgspec.json.decode(parameters)
    return {"type": "function", "function": function}


def compact(value: msgspec.Raw) -> str:
    """JSON text without blanks between its tokens; the order of keys is kept."""
    return bytes(msgspec.json.format(value, indent=-1)).decode()


def stop_word(word: str | int | None, default: str = UNFINISHED) -> str:
    """A stop reason in the words of Converse; an unknown word stays as it is.

    Some servers log the number of the token that they stopped at.
    """
    if isinstance(word, int):
        return "stop_sequence"
    return STOP_REASONS.get(word, word) if word else default
