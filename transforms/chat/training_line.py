"""Lines of a dataset, each decoded once: a chat of plain texts into types, its fields as they are.

Nearly all lines are plain chats. What decodes as one is known to keep most rules of chats, so they
are checked one by one only for the others.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import msgspec
import numpy as np
import polars as pl

from bedrock_sluice.transforms.chat.messages import JsonObject, Message, chat_of
from bedrock_sluice.transforms.chat.tokens import (
    BYTES_PER_TOKEN,
    FRAME_TOKENS_PER_MESSAGE,
    estimate_tokens,
)

MESSAGES = "messages"


class PlainMessage(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """A message of nothing but text."""

    role: Literal["system", "user", "assistant"]
    content: str


class _Message(Message, forbid_unknown_fields=True, gc=False):
    pass


class _Messages(msgspec.Struct, gc=False):
    messages: msgspec.Raw = msgspec.Raw()


_MESSAGES = msgspec.json.Decoder(_Messages)
_VALUE = msgspec.json.Decoder()
_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_PLAIN_CHAT = msgspec.json.Decoder(list[PlainMessage])
_CHAT = msgspec.json.Decoder(list[_Message])


class TrainingLine(Mapping[str, Any]):
    """A line, as a mapping of its keys.

    `plain_chat` is None unless the messages are a plain chat: texts that are not blank, of user and
    assistant, after at most one system message; the last one is the user's. `messages_json` is the
    JSON text of the messages as it is written, empty if there are none; it is decoded when the
    mapping is asked for them. `fields` are all other keys.
    """

    __slots__ = ("fields", "messages_json", "plain_chat")

    def __init__(self, text: str | bytes) -> None:
        raw_fields = _FIELDS.decode(text)
        self.messages_json = bytes(raw_fields.pop(MESSAGES, b""))
        self.plain_chat = _read_plain(self.messages_json)
        self.fields: JsonObject = {key: _VALUE.decode(raw) for key, raw in raw_fields.items()}

    def __getitem__(self, key: str) -> Any:
        if key == MESSAGES and self.messages_json:
            return msgspec.json.decode(self.messages_json)
        return self.fields[key]

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value of a key, or else the default."""
        return (
            self[key] if key == MESSAGES and self.messages_json else self.fields.get(key, default)
        )

    def __iter__(self) -> Iterator[str]:
        yield from [MESSAGES] if self.messages_json else ()
        yield from self.fields

    def __len__(self) -> int:
        return len(self.fields) + bool(self.messages_json)

    def chat(self) -> list[Message]:
        """Return the messages; none where they are not such as the trainer knows."""
        if self.plain_chat:
            return [Message(message.role, message.content) for message in self.plain_chat]
        return read_chat(self.messages_json)


def _read_plain(messages_json: bytes) -> list[PlainMessage] | None:
    """Return the messages if they are a plain chat."""
    try:
        chat = _PLAIN_CHAT.decode(messages_json) if messages_json else []
    except msgspec.ValidationError:
        return None
    if not chat or chat[-1].role != "user":
        return None
    for place, message in enumerate(chat):
        is_late_system = place > 0 and message.role == "system"
        if is_late_system or not message.content or message.content.isspace():
            return None
    return chat


def read_chat(messages_json: bytes) -> list[Message]:
    """Return the messages of a line, as `messages.chat_of` does, from their JSON text."""
    try:
        return list[Message](_CHAT.decode(messages_json)) if messages_json else []
    except msgspec.ValidationError:  # they may have a key twice, of which the last counts
        return chat_of({MESSAGES: msgspec.json.decode(messages_json)})


def messages_of(lines: pl.Series) -> list[bytes]:
    """Return of each line (JSON text) the JSON text of its messages; empty if there are none."""
    return [bytes(_MESSAGES.decode(line).messages) for line in lines]


def line_tokens(lines: Sequence[TrainingLine]) -> pl.Series:
    """Estimate the tokens of each line's prompt, as `estimate_tokens` does."""
    chats = [line.plain_chat or () for line in lines]
    contents = pl.Series([m.content for chat in chats for m in chat], dtype=pl.String)
    counts = np.fromiter(map(len, chats), np.int64, len(chats))
    ends = np.concatenate([[0], contents.str.len_bytes().cast(pl.Int64).cum_sum().to_numpy()])
    last = np.cumsum(counts)
    sizes = ends[last] - ends[last - counts]
    tools = [line.fields.get("tools") for line in lines]
    tool_sizes = [len(msgspec.json.encode(each)) if each else 0 for each in tools]
    sizes += np.array(tool_sizes, np.int64)
    tokens = -(-sizes // BYTES_PER_TOKEN) + FRAME_TOKENS_PER_MESSAGE * counts
    for row in np.flatnonzero(counts == 0).tolist():
        tokens[row] = estimate_tokens(lines[row].chat(), tools[row] or ())
    return pl.Series(tokens, dtype=pl.Int64)
