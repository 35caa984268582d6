"""Lines for a reviewer to read: a sample over all strata, as chats, masked where it must be."""

import json
from collections.abc import Mapping
from itertools import zip_longest
from typing import Any

import msgspec
import polars as pl

from bedrock_sluice.transforms.chat.messages import Message, chat_of, json_text
from bedrock_sluice.transforms.derived_metadata import model_name
from bedrock_sluice.transforms.privacy.detection import mask_json
from bedrock_sluice.transforms.settings import Content
from bedrock_sluice.transforms.split import in_stable_order

SAMPLE_LINES = 20
MAX_TEXT_CHARACTERS = 4_000  # of one message or answer on a page
TAB = "    "
_OWN_FIELDS = ("id", "messages", "tools", "reference_answer")


class Turn(msgspec.Struct, frozen=True):
    """A message of a chat: its role, its text, and the calls of tools in it."""

    role: str
    text: str
    calls: list[str]


class LineToRead(msgspec.Struct, frozen=True):
    """A line as a chat, its reference answer, its passthrough fields, and where it comes from.

    `answer` has the parts of the answer by name; a text has no name.
    """

    id: str
    side: str
    model: str
    source: str
    turns: list[Turn]
    answer: list[tuple[str, str]]
    fields: dict[str, str]
    tools: list[str]


def choose_lines(provenance: pl.DataFrame, salt: str, number: int = SAMPLE_LINES) -> list[str]:
    """Return ids of lines of `PROVENANCE`: of each stratum in turn, in a stable random order.

    A stratum is a side of the split, a model, and a source of answers. The choice depends on the
    prompts and the `salt` alone, so a new day changes few of them.
    """
    strata = ["split", "reference_source", "model_id"]
    rows = provenance.with_columns(model_name(pl.col("model_id")))
    groups = in_stable_order(rows, salt, "read").partition_by(strata, maintain_order=True)
    groups.sort(key=lambda group: group.select(strata).row(0))
    turns = zip_longest(*(group["id"] for group in groups))
    return [each for turn in turns for each in turn if each is not None][:number]


def read_line(
    text: bytes, provenance: Mapping[str, Any], content: Content, mask_key: str
) -> LineToRead:
    """Return a line (JSON) to read; its secrets and personal data are masked unless `full`."""
    line = msgspec.json.decode(text)
    if content != "full":
        line = {"id": line["id"]} | mask_json(
            {key: value for key, value in line.items() if key != "id"}, mask_key
        )
    fields = {key: _shorten(_text(line[key])) for key in line if key not in _OWN_FIELDS}
    model = str(provenance["model_id"] or "").rpartition("/")[2]
    return LineToRead(
        id=line["id"],
        side=provenance["split"],
        model=model,
        source=provenance["reference_source"],
        turns=[_turn(message) for message in chat_of(line)],
        answer=[
            (name, _shorten(value)) for name, value in answer_parts(line.get("reference_answer"))
        ],
        fields=fields,
        tools=[_tool_name(tool) for tool in line.get("tools") or ()],
    )


def answer_parts(answer: Any) -> list[tuple[str, str]]:
    """Return the parts of a reference answer with their names, as people read them.

    A list of texts stands on lines of its own. An answer that is a text has one part without name.
    """
    if not isinstance(answer, dict):
        return [("", _text(answer))]
    return [(name, _part_text(value)) for name, value in answer.items()]


def _part_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return "\n".join(value)
    return json.dumps(value, ensure_ascii=False, indent=2)


def _turn(message: Message) -> Turn:
    calls = [
        f"{each.function.name}({each.function.arguments})" for each in message.tool_calls or ()
    ]
    return Turn(message.role, _shorten(message.content or ""), [_shorten(call) for call in calls])


def _tool_name(tool: Any) -> str:
    function = tool.get("function") if isinstance(tool, dict) else None
    return str(function.get("name")) if isinstance(function, dict) else "a tool"


def _text(value: Any) -> str:
    """Return a value of a line for people: a text as it is, anything else as JSON."""
    return value if isinstance(value, str) else json_text(value)


def _shorten(text: str) -> str:
    text = text.replace("\t", TAB)
    rest = len(text) - MAX_TEXT_CHARACTERS
    return text if rest <= 0 else f"{text[:MAX_TEXT_CHARACTERS]}\n… {rest:,} more characters"
