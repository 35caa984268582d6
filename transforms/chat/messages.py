"""OpenAI chat messages: what every dialect is read into, and what a line is made of.

Shape: OpenAI chat completions, as far as RFT takes it (AWS user guide, "Prepare data for RFT"):
string content (null beside tool calls), arguments as a JSON string, the system message first.
"""

import re
from collections.abc import Iterable
from itertools import dropwhile
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
_JSON = msgspec.json.Encoder(order="deterministic")
_NULL = msgspec.Raw(b"null")
_THOUGHT_STARTS, _THOUGHT_ENDS = "<think>", "</think>"


ROLES = frozenset({"system", "user", "assistant", "tool"})

MESSAGE_KEYS = frozenset({"role", "content", "tool_calls", "tool_call_id"})


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


class ContextLost(Unreadable):
    """Something that shaped the response can't be carried in messages; the text names it."""


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
        text = compact(arguments) if is_set(arguments) else "{}"
        self.calls.append(ToolCall(call_id, "function", FunctionCall(name, text)))

    def result(self, call_id: str, texts: list[str]) -> None:
        """Add the result of the tool call `call_id`."""
        self.results.append(Message("tool", "\n".join(texts), tool_call_id=call_id))

    def messages(self, role: str) -> list[Message]:
        """The turn as chat messages: tool results first, then what was said.

        Blocks of an assistant are pieces of one text (citations and streams cut it anywhere);
        those of anybody else are texts of their own, set on lines of their own.

        Raises:
            ContextLost: the turn is an assistant's and holds results: a server ran the tools.
        """
        if role not in ROLES:
            raise Unreadable("a message of an unknown role")
        if role == "assistant":
            if self.results:
                raise ContextLost("the result of a server tool")
            text, reasoning = split_reasoning("".join(self.texts))
            if reasoning:
                self.reasoning.append(reasoning)
            content = None if self.calls and not text.strip() else text
            return [Message("assistant", content, tool_calls=self.calls)]
        if self.results and not self.texts:
            return self.results
        return [*self.results, Message(role, "\n".join(self.texts))]


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
    while match := _REASONING.match(text, end):
        thoughts.append(match.group(2))
        end = match.end()
    return text[end:], "\n".join(t for t in map(str.strip, thoughts) if t)


def _is_alone(before: str, after: str) -> bool:
    """Whether a closing tag stands on a line of its own, and closes what nothing has opened."""
    line = before.rpartition("\n")[2] + after.partition("\n")[0]
    return not line.strip() and _THOUGHT_STARTS not in before


def with_system(texts: list[str], messages: list[Message]) -> list[Message]:
    """Put one system message first: `texts`, and the system messages that `messages` begin with.

    Raises:
        ContextLost: a system message stands further down, where a line can't have one.
    """
    if any(message.role == "system" for message in messages):
        rest = list(dropwhile(lambda message: message.role == "system", messages))
        first = messages[: len(messages) - len(rest)]
        messages = [message for message in rest if message.role != "system"]
        if any((m.content or "").strip() for m in rest if m.role == "system"):
            raise ContextLost("a system message in mid-conversation")
        texts = [*texts, *(message.content or "" for message in first)]
    text = "\n".join([text for text in texts if text.strip()])
    return [Message("system", text), *messages] if text else messages


def fill_call_ids(messages: list[Message]) -> None:
    """Number the tool calls that were logged without an id.

    A result without an id belongs to the first call that has none yet.
    """
    number, pending = 0, list[str]()
    for message in messages:
        if message.role == "tool":
            if not message.tool_call_id and pending:
                message.tool_call_id = pending[0]
            if message.tool_call_id in pending:
                pending.remove(message.tool_call_id)
        elif message.tool_calls:
            for call in message.tool_calls:
                number += 1
                call.id = call.id or f"call_{number}"
            pending = [call.id for call in message.tool_calls]


def json_text(value: object) -> str:
    """Return a value as JSON text, the same for equal values."""
    return json_bytes(value).decode()


def json_bytes(value: object) -> bytes:
    """Return `json_text` in UTF-8."""
    return _JSON.encode(value)


def is_telling(message: Message) -> bool:
    """Whether a message says or does anything; a tool may well have nothing to say."""
    has_text = bool((message.content or "").strip())
    return has_text or bool(message.tool_calls) or message.role == "tool"


def function_tool(name: str, description: str | None, parameters: msgspec.Raw) -> JsonObject:
    """A tool in OpenAI's shape; `parameters` is a JSON schema."""
    function: JsonObject = {"name": name}
    if description:
        function["description"] = description
    if is_set(parameters):
        function["parameters"] = msgspec.json.decode(parameters)
    return {"type": "function", "function": function}


def is_set(value: msgspec.Raw) -> bool:
    """Whether a field is there: null is absence."""
    return bool(value) and value != _NULL


def source_text(titles: Iterable[str | None], texts: Iterable[str | None]) -> str:
    """A document or a search result as text: its titles, then what it says, a line each."""
    return "\n".join(text for text in (*titles, *texts) if text)


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


def chat_of(line: JsonObject) -> list[Message]:
    """The messages of a line; empty where they are none that the trainer knows."""
    messages = line.get("messages")
    try:
        chat = msgspec.convert(messages, list[Message])
    except msgspec.ValidationError:
        return []
    return chat if all(message.keys() <= MESSAGE_KEYS for message in messages or ()) else []
