"""Evaluation sets: the questions that a model will be judged by, and must not be trained on."""

from codecs import BOM_UTF8
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import polars as pl

from bedrock_sluice.lake.stores.opening import open_store
from bedrock_sluice.transforms.errors import ConfigError

MAX_ITEMS = 1_000_000  # of all sets together
FIELDS = ("prompt", "question", "input", "text", "query", "problem", "instruction")

ITEMS = pl.Schema({"name": pl.String, "text": pl.String})
"""One row per item: `<file>:<line>`, and its question."""


class Evaluation(NamedTuple):
    """The items of all sets (`ITEMS`), and the SHA-256 of each file by its name."""

    items: pl.DataFrame
    sha256: dict[str, str]


def read_evaluation(uris: tuple[str, ...], base: Path) -> Evaluation:
    """The items of JSONL files; a relative path is meant from `base`.

    A line is an object with `messages`, whose last of a user is the question, or with one of
    `FIELDS`: the first there is.

    Raises:
        ConfigError: a file is not there, a line is no JSON object or has no question, or there are
            more than `MAX_ITEMS`.
    """
    rows, digests = list[tuple[str, str]](), dict[str, str]()
    for uri in uris:
        folder, slash, name = uri.rpartition("/")
        store = open_store(folder or slash or ".", base)
        entry = store.entry(name)
        if entry is None:
            raise ConfigError(f"evaluation set {uri}: no such file")
        content = store.read(entry)
        digests[uri] = sha256(content).hexdigest()
        lines = content.removeprefix(BOM_UTF8).split(b"\n")
        rows += [
            (f"{uri}:{number}", _question(line, f"{uri}:{number}"))
            for number, line in enumerate(lines, start=1)
            if line.strip()
        ]
        if len(rows) > MAX_ITEMS:
            raise ConfigError(f"evaluation set {uri}: more than {MAX_ITEMS:,} items; use less")
    return Evaluation(pl.DataFrame(rows, schema=ITEMS, orient="row"), digests)


def _question(line: bytes, place: str) -> str:
    try:
        item: dict[str, Any] = msgspec.json.decode(line, type=dict[str, Any])
    except (ValueError, RecursionError):
        raise ConfigError(f"evaluation set {place}: no JSON object") from None
    texts = [*_users(item.get("messages")), *(item.get(field) for field in FIELDS)]
    for text in texts:
        if isinstance(text, str) and text.strip():
            return text
    raise ConfigError(f"evaluation set {place}: no messages, and none of {', '.join(FIELDS)}")


def _users(messages: object) -> list[object]:
    """What the user said last, as a list of one; content may be a list of text blocks."""
    items = messages if isinstance(messages, list) else []
    contents = [m.get("content") for m in items if isinstance(m, dict) and m.get("role") == "user"]
    for content in contents[-1:]:
        if isinstance(content, list):
            texts = [block.get("text") for block in content if isinstance(block, dict)]
            return ["\n".join(text for text in texts if isinstance(text, str))]
        return [content]
    return []
