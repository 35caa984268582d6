"""What a body of unknown shape looks like: its keys, and none of its values.

Enough for a maintainer to write a reader, and nothing that a user said: a key that does not look
like a word of a schema is shown as `?`.
"""

import re
from typing import Any

import msgspec

MAX_DEPTH = 4
MAX_KEYS = 12  # of one object
MAX_CHARS = 300

_WORD = re.compile(r"(?!.*\d{3})[a-z][A-Za-z0-9_.-]{0,29}")
_KINDS = {str: "text", bool: "flag", int: "number", float: "number", type(None): "null"}


def fingerprint(request: bytes, response: bytes) -> str:
    """The structure of two bodies (JSON), as `request → response`, at most `MAX_CHARS` long."""
    return f"{_shape(request)} → {_shape(response)}"[:MAX_CHARS]


def _shape(body: bytes) -> str:
    try:
        return _describe(msgspec.json.decode(body), 0)
    except (ValueError, RecursionError):
        return "no JSON"


def _describe(value: Any, depth: int) -> str:
    if isinstance(value, dict):
        if depth >= MAX_DEPTH:
            return "{…}"
        word_keys = sorted(key for key in value if _WORD.fullmatch(key))
        parts = [f"{key}:{_describe(value[key], depth + 1)}" for key in word_keys[:MAX_KEYS]]
        rest = ["?"] if len(word_keys) < len(value) else []
        more = ["…"] if len(word_keys) > MAX_KEYS else []
        return "{" + ",".join([*parts, *more, *rest]) + "}"
    if isinstance(value, list):
        inner = sorted({_describe(each, depth + 1) for each in value[:MAX_KEYS]})
        return f"[{'|'.join(inner)}]" if depth < MAX_DEPTH else "[…]"
    return _KINDS[type(value)]
