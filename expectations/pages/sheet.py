"""The sheet: a page on which a reviewer judges single lines of a release, offline."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bedrock_sluice.expectations.pages.page import page_resource, render_page
from bedrock_sluice.transforms.review.lines_to_read import answer_parts

SYSTEM = "System"
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
        answer_fields=[answer_parts(line.reference_answer) for line in facts.lines],
        tab=TAB,
        system=SYSTEM,
        common_system=_common_system(facts.lines),
    )


def _common_system(lines: Sequence[SheetLine]) -> str | None:
    """Return the system message that most lines have; the page shows it open only once."""
    counts = Counter(
        next((each.text for each in line.chat if each.speaker == SYSTEM), None) for line in lines
    )
    text, number = counts.most_common(1)[0] if counts else (None, 0)
    return text if number > len(lines) / 2 else None


def _as_ascii(value: object) -> str:
    """Return JSON that has no character which the page would replace, so that none is lost."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
