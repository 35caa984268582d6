"""Template `format`: constraints on the form of a response, as our grader `format` checks them.

No grader for this is published; the console has one, whose code is not. In CSV, `constraints` is
JSON text.
"""

import re
from collections.abc import Mapping
from typing import Any

from bedrock_sluice.rewards.templates.base import Reference, Template, from_cell

CONSTRAINTS: Mapping[str, type] = {
    "json": bool,
    "max_words": int,
    "must_include": list,
    "must_not_include": list,
    "starts_with": str,
    "bullets": int,
    "regex": str,
}
MAX_PATTERN_CHARS = 500


class FormatTemplate(Template):
    """`{"constraints": {"json": true, "max_words": 50, ...}}`."""

    name = "format"
    about = '{"constraints": {"max_words": 50, "must_include": ["refund"]}}'
    grader = "format_grader"

    def from_fields(self, fields: Mapping[str, Any]) -> Reference | None:
        """From `constraints`: an object, in which null and false ask for nothing."""
        constraints = from_cell(fields.get("constraints"))
        return (
            self._sound({"constraints": _active(constraints)})
            if isinstance(constraints, dict)
            else None
        )

    def fits(self, reference: object) -> bool:
        """Whether it asks for something, and for nothing but what the grader knows."""
        constraints = reference.get("constraints") if isinstance(reference, dict) else None
        active = _active(constraints) if isinstance(constraints, dict) else {}
        return bool(active) and all(_is_known(name, value) for name, value in active.items())


def _active(constraints: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in constraints.items() if v is not None and v is not False}


def _is_known(name: str, value: object) -> bool:
    kind = CONSTRAINTS.get(name)
    if kind is None or not isinstance(value, kind):
        return False
    if isinstance(value, bool) and kind is not bool:
        return False
    if isinstance(value, list):
        return all(isinstance(each, str) for each in value)
    return name != "regex" or _is_pattern(str(value))


def _is_pattern(text: str) -> bool:
    try:
        re.compile(text, re.MULTILINE)
    except (re.error, OverflowError, RecursionError):
        return False
    return len(text) <= MAX_PATTERN_CHARS


TEMPLATE = FormatTemplate()
