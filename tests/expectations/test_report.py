"""The report: a page that is safe to open, whatever stands in the logs or the recipe."""

from collections.abc import Sequence
from html.parser import HTMLParser

import pytest

from bedrock_sluice.expectations.checks import Check, Limit, Severity
from bedrock_sluice.expectations.report import LEAKS, ROW_USES, ReportFacts, render_report
from bedrock_sluice.transforms.facts.readiness_facts import (
    Finding,
    Length,
    Problems,
    ReadinessFacts,
    Scores,
    WithinPrompts,
)
from bedrock_sluice.transforms.facts.release_facts import (
    AnswerFacts,
    Counts,
    CurationFacts,
    LeakageCertificate,
    MetadataFacts,
    Slice,
    SourceUsage,
    StageCounts,
    TableRows,
    UnknownShape,
)


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


def check(text: str, severity: Severity, *, is_passed: bool) -> Check:
    """A check in which every text is `text`."""
    return Check(
        name=text,
        message=text,
        severity=severity,
        passed=is_passed,
        measured=16.25,
        limit=Limit(5, 15),
        unit=text,
        examples=[text, text],
        hint=text,
    )


def report(hostile: str, checks: Sequence[Check] = ()) -> str:
    """A report in which every text is hostile."""
    counts = Counts(records=12_345, train=4, validation=1)
    stage = StageCounts(stage=hostile, input=12_345, kept=5, rejected={"decode_bad_json": 12_340})
    rows = TableRows(**dict.fromkeys(TableRows.__struct_fields__, 9_001))
    facts = ReportFacts(
        name=hostile,
        id=hostile,
        digest=hostile,
        verdict=hostile,
        approve=hostile,
        template=hostile,
        since=hostile,
        until=hostile,
        privacy={"email": "mask"},
        counts=counts,
        stages=[stage],
        metadata=MetadataFacts(records_by_key={hostile: 7}, without_keys=3, matched_without_key=2),
        unknown_shapes=[UnknownShape(hostile, 2)],
        curation=CurationFacts(prompts=5, personal_data={"email": 1}, hidden_characters=1),
        slices=[Slice(hostile, hostile, 5, 1.0)],
        answers=AnswerFacts(
            prompts=10_000,
            sources={hostile: SourceUsage(9_001, rows)},
            lines_by_source={hostile: 4, "logged": 1},
            lines_with_instruction=3,
        ),
        leakage=LeakageCertificate(),
        readiness=ReadinessFacts(
            verdict=hostile,
            findings=[Finding(hostile, hostile)],
            warnings=[],
            responses=9,
            prompts=8,
            circular=0,
            mean_response_tokens=None,
            scores=Scores(0.5, 0.1, (0.0, 1.0), (1,), (0.0, 1.0), 0.1, 0.2, 0.9),
            problems=Problems(0.0, 0.0, ()),
            length=Length(9, None, "unknown", hostile),
            within_prompts=WithinPrompts(0, None, None),
            repeat=None,
        ),
    )
    return render_report(facts, checks or [check(hostile, "fail", is_passed=False)])


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
        check("fine", "fail", is_passed=True),
        check("meant", "warn", is_passed=False),
        check("broken", "fail", is_passed=False),
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


def test_the_report_has_words_for_each_leak_and_each_use_of_a_row() -> None:
    assert set(LEAKS) == set(LeakageCertificate.__struct_fields__)
    assert set(ROW_USES) == set(TableRows.__struct_fields__) - {"rows"}
