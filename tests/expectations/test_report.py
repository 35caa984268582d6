"""The report: a page that is safe to open, whatever stands in the logs or the recipe."""

from collections.abc import Sequence
from html.parser import HTMLParser

import pytest

from bedrock_sluice.expectations.checks import Check, Limit
from bedrock_sluice.expectations.report import LEAKS, ROW_USES, render_report


class Page(HTMLParser):
    """What a browser would make of a page: its elements, attributes and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags = list[str]()
        self.attributes = list[tuple[str, str | None]]()
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element."""
        self.tags.append(tag)
        self.attributes.extend(attrs)

    def handle_data(self, data: str) -> None:
        """Note text."""
        self.text += data


HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</td></table><svg onload=alert(1)>",
    "</style><iframe src=javascript:alert(1)>",
    "{{ 7 * 7 }}{% raw %}",
    "&lt;script&gt;&#x3c;b&#62;",
    "<a href=https://example.com>",
    "<!--",
]


def check(text: str, severity: str, *, passed: bool) -> Check:
    """A check in which every text is `text`."""
    return Check(
        name=text,
        message=text,
        severity=severity,
        passed=passed,
        measured=16.25,
        limit=Limit(5, 15),
        unit=text,
        examples=[text, text],
        hint=text,
    )


def report(hostile: str, checks: Sequence[Check] = ()) -> str:
    """A report in which every text is hostile."""
    stages = [
        {"stage": hostile, "taken": 12_345, "kept": 5, "rejected": {"decode_bad_json": 12_340}}
    ]
    facts = {
        "id": hostile,
        "digest": hostile,
        "approve": hostile,
        "name": hostile,
        "template": hostile,
        "since": hostile,
        "until": hostile,
        "verdict": hostile,
        "stages": stages,
        "train": 4,
        "validation": 1,
        "matched_without_key": 2,
        "records": 12_345,
        "untagged": 3,
        "tags": {hostile: 7},
        "unknown_shapes": [{"shape": hostile, "records": 2}],
        "inspected": 5,
        "personal_data": {"email": 1},
        "privacy": {"email": "mask"},
        "hidden_characters": 1,
        "slices": [{"slice": hostile, "value": hostile, "records": 5, "share": 1.0}],
        "certificate": dict.fromkeys(LEAKS, 0),
        "instructed": 3,
        "answers_by_source": {hostile: 4, "logged": 1},
        "answer_sources": {hostile: dict.fromkeys([*ROW_USES, "rows", "prompts"], 9_001)},
        "answerable": 10_000,
        "readiness": {
            "responses": 9,
            "prompts": 8,
            "scores": {"mean": 0.5, "share_zero": 0.1, "share_one": 0.2},
            "findings": [{"name": hostile, "message": hostile}],
            "warnings": [],
        },
    }
    return render_report(facts, checks or [check(hostile, "fail", passed=False)])


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_texts_stay_texts(hostile: str) -> None:
    page, plain = Page(report(hostile)), Page(report("plain"))
    assert page.tags == plain.tags
    assert [name for name, _ in page.attributes] == [name for name, _ in plain.attributes]
    assert page.text == plain.text.replace("plain", hostile)


def test_the_report_runs_and_fetches_nothing() -> None:
    page = Page(report("plain"))
    assert not {"script", "img", "link", "iframe", "object", "base", "form"} & set(page.tags)
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert not {"src", "href", "srcset", "action"} & {name for name, _ in page.attributes}
    assert "//" not in report("plain")
    assert any("default-src 'none'" in (value or "") for _, value in page.attributes)


def test_the_report_shows_failures_first() -> None:
    checks = [
        check("fine", "fail", passed=True),
        check("meant", "warn", passed=False),
        check("broken", "fail", passed=False),
    ]
    text = Page(report("plain", checks)).text
    assert text.index("broken") < text.index("meant") < text.index("fine")
    assert "measured: 16.25 broken; limit: 5 to 15" in text
    assert "For example: broken, broken" in text
    assert "To fix: meant" in text
    assert "To fix: fine" not in text


def test_the_report_is_the_same_every_time() -> None:
    assert report("plain") == report("plain")
    assert "12,345" in report("plain")
    assert "9,001 of 10,000 prompts have an answer there, 999 have none" in report("plain")
