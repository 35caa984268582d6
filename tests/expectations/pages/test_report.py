"""The report: failures first, empty sections left out, and no value that becomes code."""

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache

import pytest
from support.html import HOSTILE, Page, active_nodes

from bedrock_sluice.expectations.checks import Check, Limit, Severity
from bedrock_sluice.expectations.pages.report import (
    SECTIONS,
    About,
    Answers,
    Changes,
    Completeness,
    Duplicates,
    Funnel,
    LinesToRead,
    Origin,
    PersonalData,
    ReportFacts,
    Signature,
    Sizes,
    render_report,
)
from bedrock_sluice.expectations.pages.words import CHANGES, LEAKS, REASONS, ROW_USES
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
    LeakageCertificate,
    SourceUsage,
    StageCounts,
    TableRows,
    UnknownShape,
)
from bedrock_sluice.transforms.facts.rights_facts import RightsFacts
from bedrock_sluice.transforms.review import comparison
from bedrock_sluice.transforms.review.completeness import Gap, HourFacts
from bedrock_sluice.transforms.review.drops import Cluster, ReasonFacts
from bedrock_sluice.transforms.review.lines_to_read import LineToRead, Turn
from bedrock_sluice.transforms.review.slices import SliceFacts, SliceValue

NOON = datetime(2026, 10, 1, 12, tzinfo=UTC)


def check(text: str, severity: Severity = "fail", *, is_passed: bool = False) -> Check:
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


def readiness(text: str) -> ReadinessFacts:
    """The readiness of a grader in which every text is `text`."""
    return ReadinessFacts(
        verdict=text,
        findings=[Finding(text, text)],
        warnings=[Finding(text, text)],
        responses=9,
        prompts=8,
        circular=1,
        mean_response_tokens=None,
        scores=Scores(0.5, 0.1, (0.0, 1.0), (1, 2), (0.0, 1.0), 0.1, 0.2, 0.9),
        problems=Problems(0.5, 0.0, ((text, 3),)),
        length=Length(9, None, "unknown", text),
        within_prompts=WithinPrompts(3, 0.5, 0.1),
        repeat=None,
    )


def changes(text: str) -> Changes:
    """Changes in which every text is `text`."""
    lines = comparison.LinesChanged(3, [text], {text: 3})
    return Changes(
        base=text,
        is_approved=True,
        comparison=comparison.Comparison(
            lines_before=8,
            lines_after=5,
            equal_lines=2,
            changes=dict.fromkeys(comparison.CHANGES, lines),
            shifts=[comparison.Shift(text, 0.3, 0.1, "shifted far", text, text)],
            words=[comparison.WordShift(text, 0.1, 0.2, 5.0)],
        ),
    )


def rights(text: str) -> RightsFacts:
    return RightsFacts(
        records=1_234,
        exclusions=3,
        exclusions_used=2,
        other_regions=7,
        base_model=text,
        responses_by_model={text: 4},
    )


def completeness(text: str) -> Completeness:
    return Completeness(
        objects=3,
        hours=HourFacts(NOON, NOON, 5, 2, [Gap(NOON, 2)]),
        delivered_later=1,
        records=12_345,
        records_without_metadata=3,
        records_by_key={text: 7},
        unreadable=2,
        unknown_shapes=[UnknownShape(text, 2)],
    )


def facts(text: str, checks: Sequence[Check] = ()) -> ReportFacts:
    """Facts in which every text is `text`."""
    cluster = Cluster(text, text, 4, {text: 4}, [text])
    line = LineToRead(
        text, text, text, text, [Turn(text, text, [text])], [(text, text)], {text: text}, [text]
    )
    rows = TableRows(**dict.fromkeys(TableRows.__struct_fields__, 9_001))
    return ReportFacts(
        name=text,
        id=text,
        digest=text,
        verdict="passed",
        place=text,
        counts=Counts(records=12_345, train=4, validation=1),
        checks=checks or [check(text), check(text, is_passed=True)],
        signatures=[Signature(by=text, decision=text, at=text, note=text)],
        about=About(template=text, window=text, rules=[text], estimate=[text]),
        funnel=Funnel(
            stages=[StageCounts(stage=text, input=12_345, kept=5, rejected={text: 12_340})],
            reasons=[ReasonFacts(text, text, text, 12_340, 0.99, [text])],
            matched_without_key=2,
        ),
        changes=changes(text),
        sizes=Sizes(days=[("2026-10-01", 4, 1)], lengths=[10, 20, 20, 30, 900]),
        slices=[
            SliceFacts(text, is_key, 3, [SliceValue(text, 5, 4, 0.5, 0.8)])
            for is_key in (True, False)
        ],
        duplicates=Duplicates(prompts=[cluster], conversations=[cluster], label_conflicts=3),
        answers=Answers(
            facts=AnswerFacts(
                prompts=10_000,
                sources={text: SourceUsage(9_001, rows)},
                lines_by_source={text: 4, "logged": 1},
                lines_with_instruction=3,
            ),
            trust=[text, "logged"],
        ),
        reviews=None,
        readiness=readiness(text),
        personal_data=PersonalData(
            prompts=9,
            by_kind={text: 1},
            actions={text: text},
            hidden_characters=1,
            bidi_characters=1,
        ),
        rights=rights(text),
        leakage=LeakageCertificate(),
        completeness=completeness(text),
        lines=LinesToRead(rows=[line], total=5, is_masked=True),
        origin=Origin(
            parent=text,
            recipe_digest=text,
            recipe=text,
            objects=3,
            object_bytes=9,
            tables={text: text},
            earlier_releases=[text],
            trained_before=[text],
            files={text: (text, 7)},
            versions={text: text, "bedrock-sluice": text},
        ),
    )


@cache
def plain_page() -> Page:
    """The report in which every text is harmless."""
    return Page(render_report(facts("zqx")))


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_texts_stay_texts(hostile: str) -> None:
    text = render_report(facts(hostile))
    page, plain = Page(text), plain_page()
    assert active_nodes(text) == []
    assert page.tags == plain.tags
    assert [name for name, _ in page.attributes] == [name for name, _ in plain.attributes]
    assert page.text.lower() == plain.text.lower().replace("zqx", hostile.lower())


def test_hostile_payloads_are_forty() -> None:
    assert len(set(HOSTILE)) >= 40


def test_failures_stand_first_with_what_was_measured_and_what_to_do() -> None:
    checks = [
        check("fine", is_passed=True),
        check("doubtful", "warn"),
        check("broken"),
    ]
    text = Page(render_report(replace(facts("zqx", checks), verdict="rejected"))).text
    assert "Rejected:\n1 of 3 checks failed" in text
    assert "Not met: broken. Measured: 16.25 broken." in text
    assert text.index("What to dobroken") < text.index("What to dodoubtful")
    assert text.index("What to dodoubtful") < text.index("1 checks passed")
    assert "What to dofine" not in text
    assert "sluice approve" not in text


def test_an_empty_section_is_left_out() -> None:
    full = facts("zqx")
    empty = replace(
        full,
        changes=None,
        slices=[],
        sizes=None,
        duplicates=None,
        readiness=None,
        personal_data=None,
        rights=None,
        lines=None,
    )
    texts = [Page(render_report(each)).text for each in (full, empty)]
    names = ("slices", "duplicates", "readiness", "personal_data", "rights")
    titles = [SECTIONS[name] for name in names]
    for title in (*titles, "Changes since the last approved release", SECTIONS["lines"]):
        assert title in texts[0]
        assert title not in texts[1]
    assert SECTIONS["leakage"] in texts[1]


def test_the_report_says_why_it_is_smaller_than_the_last() -> None:
    text = Page(render_report(facts("zqx"))).text
    assert "5 lines instead of 8, 3 fewer" in text
    assert "now: zqx (3)" in text


def test_the_report_names_what_changed_in_the_recipe() -> None:
    full = facts("zqx")
    assert full.changes
    changes_of_rules = replace(
        full.changes, rules_removed=["Keep all."], rules_added=["Keep half."]
    )
    text = Page(render_report(replace(full, changes=changes_of_rules))).text
    assert "before: Keep all.\nnow: Keep half." in text.replace("\n\n", "\n")


def test_the_report_names_who_is_over_represented() -> None:
    rows = [SliceValue("acme", 200, 40, 0.2, 0.4), SliceValue("other", 800, 60, 0.8, 0.6)]
    full = replace(facts("zqx"), slices=[SliceFacts("customer", True, 2, rows)])
    text = Page(render_report(full)).text
    assert "customer acme, 20.0% of the selected records but 40.0% of the lines" in text
    assert "customer other," not in text
    few = [SliceValue("acme", 10, 4, 0.01, 0.04), SliceValue("other", 990, 96, 0.99, 0.96)]
    full = replace(full, slices=[SliceFacts("customer", True, 2, few)])
    assert "No value has a much larger share" in Page(render_report(full)).text


def test_the_report_says_what_approval_still_needs() -> None:
    draft = replace(facts("zqx"), signatures=[], needs=["0 of 1 people approved it"])
    text = Page(render_report(draft)).text
    assert "Nobody has decided about this release yet." in text
    assert "Needed before training" not in text
    assert "sluice approve zqx --by NAME" in text
    needs = ["nobody approved it in the role legal", "0 of 2 people approved it"]
    text = Page(render_report(replace(draft, needs=needs, roles=["legal"]))).text
    assert "Needed before training: nobody approved it in the role legal; 0 of 2" in text
    assert "sluice approve zqx --by NAME --role legal" in text
    text = Page(render_report(facts("zqx"))).text  # signed, and nothing is needed
    assert "Nothing else is needed before training." in text
    assert "sluice approve" not in text
    refusal = replace(draft, verdict="rejected", may_override=True)
    assert "--by NAME --override REASON" in Page(render_report(refusal)).text


def test_the_report_says_what_was_checked_of_rights() -> None:
    page_facts = facts("zqx")
    reason = ReasonFacts("rights_opted_out", "by a key", "rights", 5, 0.1, ["id-of-tenant"])
    page_facts = replace(page_facts, funnel=replace(page_facts.funnel, reasons=[reason]))
    page = render_report(page_facts)
    text = Page(page).text
    assert "1,234 selected records" in text
    assert "3, of which 2 matched a record\nEntries that match nothing may have" in text
    (row,) = re.findall(rf"<details>\s*<summary>{REASONS[reason.reason]}.*?</details>", page, re.S)
    assert "id-of-tenant" in row
    assert "7 records were kept that were logged in Regions which the recipe does not" in text


def test_the_report_has_words_for_each_count() -> None:
    assert set(LEAKS) == set(LeakageCertificate.__struct_fields__)
    assert set(ROW_USES) == set(TableRows.__struct_fields__) - {"rows"}
    assert set(CHANGES) == set(comparison.CHANGES)
