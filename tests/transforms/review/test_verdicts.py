"""What verdicts of reviewers decide about prompts."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import polars as pl
import pytest

from bedrock_sluice.rewards.corrections import decide_by_template
from bedrock_sluice.rewards.templates.base import template_named
from bedrock_sluice.transforms.reasons import Reason
from bedrock_sluice.transforms.review.review_files import (
    JudgedLine,
    ReleaseKey,
    ReviewRecord,
    SheetOptions,
)
from bedrock_sluice.transforms.review.verdicts import VoteRules, tabulate_verdicts
from bedrock_sluice.transforms.settings import ConflictRule

REJECTED, CONFLICT = Reason.REVIEW_REJECTED.value, Reason.REVIEW_CONFLICT.value
Vote = tuple[str, str, Any]
"""The reviewer, the verdict, and the corrected answer or None."""


def make_record(vote: Vote, minute: int, source: str = "logged") -> ReviewRecord:
    reviewer, verdict, correction = vote
    line = JudgedLine(
        id=f"id-{minute}",  # the prompt decides, not the record that stands for it
        prompt_digest="a",
        reference_answer={"final_answer": "12", "steps": []},
        reference_source=source,
        is_sampled=False,
        verdict=verdict,  # type: ignore[arg-type]
        corrected_answer=correction,
    )
    return ReviewRecord(
        release=ReleaseKey("sums", "2026-10-02-0123456789ab", "0" * 64),
        sheet=SheetOptions(lines=1, sample=0, seed=0),
        reviewer=reviewer,
        saved_at=datetime(2026, 10, 2, 12, minute, tzinfo=UTC),
        lines=[line],
    )


def decisions(records: list[ReviewRecord], rules: VoteRules | None = None) -> pl.DataFrame:
    verdicts = tabulate_verdicts((f"{n}", record) for n, record in enumerate(records))
    return decide_by_template(verdicts, template_named("math"), rules or VoteRules())


def outcome(records: list[ReviewRecord], rules: VoteRules | None = None) -> str | None:
    """The final answer that was decided on, or the reason to drop; None if nothing was."""
    rows = decisions(records, rules)
    if rows.is_empty():
        return None
    (row,) = rows.iter_rows(named=True)
    if row["reason"]:
        assert row["reference_answer"] is None
        return str(row["reason"])
    return str(msgspec.json.decode(row["reference_answer"])["final_answer"])


@pytest.mark.parametrize(
    ("votes", "expected"),
    [
        ([("ann", "wrong", {"final_answer": "15", "steps": []})], "15"),
        ([("ann", "wrong", "15")], "15"),
        ([("ann", "wrong", "so\n#### 1,500")], "1500"),
        ([("ann", "wrong", None)], REJECTED),
        ([("ann", "wrong", "no number")], REJECTED),
        ([("ann", "right", None)], None),
        ([("ann", "unsure", None)], None),
        ([("ann", "unsure", None), ("bob", "wrong", "15")], "15"),
        ([("ann", "right", None), ("ann", "wrong", "15")], "15"),  # the later one of a person
        ([("ann", "wrong", "15"), ("ann", "unsure", None)], "15"),
        ([("ann", "wrong", "15"), ("bob", "wrong", "15.")], "15"),
        ([("ann", "wrong", "15"), ("bob", "wrong", "16")], CONFLICT),
        ([("ann", "right", None), ("bob", "wrong", None)], CONFLICT),
        ([("ann", "right", None), ("bob", "wrong", "12")], "12"),  # the same answer after all
    ],
)
def test_what_reviewers_say_of_a_prompt_decides_about_it(
    votes: list[Vote], expected: str | None
) -> None:
    assert outcome([make_record(vote, n) for n, vote in enumerate(votes)]) == expected


@pytest.mark.parametrize(("rule", "expected"), [("newest", "16"), ("majority", "15")])
def test_the_rule_of_the_recipe_resolves_conflicts(rule: ConflictRule, expected: str) -> None:
    answers = [("ann", "15"), ("bob", "15"), ("eve", "16")]
    records = [make_record((name, "wrong", a), n) for n, (name, a) in enumerate(answers)]
    assert outcome(records, VoteRules(rule)) == expected


def test_verdicts_from_after_the_cutoff_do_not_count() -> None:
    records = [make_record(("ann", "wrong", "15"), 1), make_record(("ann", "wrong", "16"), 9)]
    cutoff = datetime(2026, 10, 2, 12, 5, tzinfo=UTC)
    assert outcome(records, VoteRules(cutoff=cutoff)) == "15"


def test_an_answer_that_a_review_gave_is_judged_right_without_a_conflict() -> None:
    records = [make_record(("ann", "wrong", "15"), 1), make_record(("bob", "right", None), 2)]
    assert outcome(records) == CONFLICT  # bob read the logged answer, 12
    records[1] = make_record(("bob", "right", None), 2, source="review")
    assert outcome(records) == "15"


def test_the_order_of_the_records_decides_nothing() -> None:
    votes: list[Vote] = [("ann", "wrong", "15"), ("ann", "right", None), ("bob", "wrong", "16")]
    records = [make_record(vote, n) for n, vote in enumerate(votes)]
    assert decisions(records).equals(decisions(records[::-1]))
