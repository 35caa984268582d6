"""The sheet: a page on which a reviewer judges single lines of a release, offline."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bedrock_sluice.expectations.pages.page import page_resource, render_page

TAB = "    "  # tabs do not print, but code has them


@dataclass(frozen=True, slots=True)
class SheetMessage:
    """One message of a chat: who says it, and the text."""

    speaker: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SheetLine:
    """One line as the reviewer sees it.

    `reasons` say why it is on the sheet. `tools` and `fields` are what the line has besides chat
    and answer, as JSON text by name.
    """

    id: str
    reasons: Sequence[str]
    is_sampled: bool
    is_targeted: bool
    chat: Sequence[SheetMessage]
    reference_answer: dict[str, Any] | str
    facts: Sequence[tuple[str, str]]
    tools: Sequence[str] = ()
    fields: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SheetFacts:
    """A release, how its lines were selected, and these lines in their order.

    `earlier` is the id of the last approved release, None if there is none.
    """

    name: str
    id: str
    digest: str
    lines_of_release: int
    options: dict[str, int]
    earlier: str | None
    lines: Sequence[SheetLine]


def render_sheet(facts: SheetFacts) -> str:
    """Return the sheet as HTML, which depends on the facts alone."""
    sheet = {
        "release": {"name": facts.name, "id": facts.id, "digest": facts.digest},
        "sheet": facts.options,
    }
    return render_page(
        "sheet.html.j2",
        title=f"Review of {facts.name} {facts.id}",
        script=page_resource("sheet.js"),
        style=page_resource("sheet.css"),
        facts=facts,
        sheet=_as_ascii(sheet),
        answers=[_as_ascii(line.reference_answer) for line in facts.lines],
        answer_fields=[_answer_fields(line.reference_answer) for line in facts.lines],
        tab=TAB,
    )


def _as_ascii(value: object) -> str:
    """Return JSON that has no character which the page would replace, so that none is lost."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _answer_fields(answer: dict[str, Any] | str) -> list[tuple[str, str]]:
    """Return the parts of a reference answer with their names; a text has no name."""
    if isinstance(answer, str):
        return [("", answer)]
    return [(name, _as_text(value)) for name, value in answer.items()]


def _as_text(value: object) -> str:
    """Return a value as people read it: a list of texts on lines of their own, else JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return "\n".join(value)
    return json.dumps(value, ensure_ascii=False, indent=2)
