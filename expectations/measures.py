"""The numbers and flags that the suites judge. Great Expectations sees these, never the text."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
import polars as pl

from bedrock_sluice.transforms.chat import Message
from bedrock_sluice.transforms.split import TRAIN, VALIDATION
from bedrock_sluice.transforms.tokens import estimate_tokens

ROLES = frozenset({"system", "user", "assistant", "tool"})
MESSAGE_KEYS = frozenset({"role", "content", "tool_calls", "tool_call_id"})
SHARE_SLACK = 0.05
SHARE_SIGMAS = 4.0

_Line = dict[str, Any]

LINE_MEASURES = {
    "id_number": pl.Int64,
    "has_schema": pl.Boolean,
    "has_known_roles": pl.Boolean,
    "is_user_last": pl.Boolean,
    "has_text": pl.Boolean,
    "has_answer": pl.Boolean,
    "prompt_tokens": pl.Int64,
    "asks_for_marker": pl.Boolean,
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the recipe's template asks of a line."""

    fits: Callable[[object], bool]
    marker: str | None


def measure_lines(lines: pl.Series, wanted: Wanted) -> pl.DataFrame:
    """One row of `LINE_MEASURES` for each line (JSON text), read back from what was written."""
    seen = dict[object, int]()
    rows = [_measure(msgspec.json.decode(line), wanted, seen) for line in lines]
    return pl.DataFrame(rows, schema=LINE_MEASURES)


def _measure(line: _Line, wanted: Wanted, seen: dict[object, int]) -> _Line:
    messages = line.get("messages")
    logged = messages if isinstance(messages, list) else []
    roles = [m.get("role") for m in logged if isinstance(m, dict)]
    chat = msgspec.convert(logged, list[Message]) if _has_schema(line) else []
    return {
        "id_number": seen.setdefault(line.get("id"), len(seen)),
        "has_schema": _has_schema(line),
        "has_known_roles": set(roles) <= ROLES and "system" not in roles[1:],
        "is_user_last": bool(roles) and roles[-1] == "user",
        "has_text": bool(chat) and all(m.tool_calls or (m.content or "").strip() for m in chat),
        "has_answer": wanted.fits(line.get("reference_answer")),
        "prompt_tokens": estimate_tokens(chat, line.get("tools") or ()),
        "asks_for_marker": wanted.marker is None
        or any(wanted.marker in (m.content or "") for m in chat),
    }


def _has_schema(line: _Line) -> bool:
    name, messages = line.get("id"), line.get("messages")
    return (
        isinstance(name, str)
        and bool(name.strip())
        and isinstance(messages, list)
        and bool(messages)
        and all(isinstance(m, dict) and m.keys() <= MESSAGE_KEYS and "role" in m for m in messages)
        and bool(line.get("reference_answer"))
    )


def measure_split(lines: pl.DataFrame, validation: float) -> pl.DataFrame:
    """One row: how the lines (`split, group, prompt_digest`) are divided."""
    held_out = lines["split"] == VALIDATION
    share = float(held_out.sum() / lines.height) if lines.height else validation
    return pl.DataFrame(
        {
            "train_lines": [int((lines["split"] == TRAIN).sum())],
            "share_off_by": [abs(share - validation)],
            "groups_on_both_sides": [_on_both_sides(lines, "group")],
            "prompts_on_both_sides": [_on_both_sides(lines, "prompt_digest")],
        }
    )


def _on_both_sides(lines: pl.DataFrame, column: str) -> int:
    sides = lines.group_by(column).agg(pl.col("split").n_unique())
    return int((sides["split"] > 1).sum())


def share_tolerance(groups: int, validation: float) -> float:
    """How far chance may take the share of validation from what was asked for."""
    if not groups or not validation:
        return 0.0
    sigma = math.sqrt(validation * (1 - validation) / groups)
    return max(SHARE_SLACK, SHARE_SIGMAS * sigma)
