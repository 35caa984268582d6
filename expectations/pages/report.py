"""The report of a release: the page from which a reviewer decides. Every value is escaped.

Each section is a template `sections/<name>.html.j2` that reads the field of `ReportFacts` with its
name. A section whose field is None or empty is left out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bedrock_sluice.expectations.checks import Check
from bedrock_sluice.expectations.pages.charts import Chart, draw_days, draw_lengths, draw_rewards
from bedrock_sluice.expectations.pages.page import render_page
from bedrock_sluice.expectations.pages.words import (
    CHANGES,
    DUPLICATES,
    LEAKS,
    LENGTHS,
    REASONS,
    ROW_USES,
    STAGES,
)
from bedrock_sluice.transforms.facts.readiness_facts import ReadinessFacts
from bedrock_sluice.transforms.facts.release_facts import (
    AnswerFacts,
    CountByName,
    Counts,
    LeakageCertificate,
    StageCounts,
    UnknownShape,
)
from bedrock_sluice.transforms.facts.rights_facts import RightsFacts
from bedrock_sluice.transforms.review.comparison import Comparison
from bedrock_sluice.transforms.review.completeness import HourFacts
from bedrock_sluice.transforms.review.drops import Cluster, ReasonFacts
from bedrock_sluice.transforms.review.figures import (
    ReviewFigures,
    describe_agreement,
    describe_errors,
)
from bedrock_sluice.transforms.review.lines_to_read import LineToRead
from bedrock_sluice.transforms.review.slices import SliceFacts, SliceValue

SHOWN_EXAMPLES = 3  # of what breaks a check

SECTIONS = {
    "about": "What this release is",
    "funnel": "From records to lines",
    "changes": "Changes",
    "sizes": "Days and lengths",
    "slices": "Who and what is in it",
    "duplicates": "Duplicates and conversations",
    "answers": "Reference answers",
    "reviews": "Lines judged by reviewers",
    "readiness": "Is there a reward to learn from?",
    "personal_data": "Personal data and secrets",
    "rights": "Rights and consent",
    "leakage": "Leakage",
    "completeness": "Completeness of the logs",
    "lines": "Lines to read",
    "origin": "Provenance, and how to reproduce",
}
"""The sections below the verdict, in the order of the page: field and template, and heading."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """A decision of a person about the release: what they decided, when (UTC), and a note."""

    by: str
    decision: str
    at: str
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """The recipe in words, the window, and the estimate of a training job, in lines of text."""

    template: str
    window: str
    rules: Sequence[str]
    estimate: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Funnel:
    """The stages, and the reasons of all drops, the most frequent first."""

    stages: Sequence[StageCounts]
    reasons: Sequence[ReasonFacts]
    matched_without_key: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """The comparison with an earlier release: the last approved one, or else the one before.

    `rules_removed` and `rules_added` are sentences about the recipe that hold for only one of both.
    `parent` is the release before, and `overrides` are approvals of it though the gate rejected it.
    """

    base: str
    is_approved: bool
    comparison: Comparison
    rules_removed: Sequence[str] = ()
    rules_added: Sequence[str] = ()
    parent: str = ""
    overrides: Sequence[Signature] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """The lines of each day (day, train, validation), and the length of each prompt in tokens."""

    days: Sequence[tuple[str, int, int]]
    lengths: Sequence[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Duplicates:
    """The prompts and the conversations that stand for most others; `label_conflicts` are prompts
    that are near duplicates but have different labels."""

    prompts: Sequence[Cluster]
    conversations: Sequence[Cluster]
    label_conflicts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """Where the reference answers come from; `trust` are all sources, the most trusted first."""

    facts: AnswerFacts
    trust: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonalData:
    """Prompts by kind of personal data and secrets, what the recipe does about each kind."""

    prompts: int
    by_kind: CountByName
    actions: Mapping[str, str]
    hidden_characters: int
    bidi_characters: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Completeness:
    """What is missing in the logs; `unreadable` are quarantined records."""

    objects: int
    hours: HourFacts | None
    delivered_later: int
    records: int
    records_without_metadata: int
    records_by_key: CountByName
    unreadable: int
    unknown_shapes: Sequence[UnknownShape]


@dataclass(frozen=True, slots=True, kw_only=True)
class LinesToRead:
    """A sample of the lines, and whether their personal data is masked for this page."""

    rows: Sequence[LineToRead]
    total: int
    is_masked: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What a release was made of and by; `recipe` is the part that decides the data, as JSON."""

    parent: str | None
    recipe_digest: str
    recipe: str
    objects: int
    object_bytes: int
    tables: Mapping[str, str]
    earlier_releases: Sequence[str]
    trained_before: Sequence[str]
    files: Mapping[str, tuple[str, int]]
    versions: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportFacts:
    """What the report shows: the release, its checks, and one field for each of `SECTIONS`.

    `place` is the path or URI of the release, as commands take it. `needs` says what the recipe
    asks for before a training that is missing still, and `roles` in which roles. `may_override`
    tells whether people may approve a release that the gate rejected.
    """

    name: str
    id: str
    digest: str
    verdict: str
    place: str
    counts: Counts
    checks: Sequence[Check]
    signatures: Sequence[Signature]
    needs: Sequence[str] = ()
    roles: Sequence[str] = ()
    may_override: bool = False
    about: About
    funnel: Funnel
    changes: Changes | None
    sizes: Sizes | None
    slices: Sequence[SliceFacts]
    duplicates: Duplicates | None
    answers: Answers
    reviews: ReviewFigures | None
    readiness: ReadinessFacts | None
    personal_data: PersonalData | None
    rights: RightsFacts | None
    leakage: LeakageCertificate
    completeness: Completeness
    lines: LinesToRead | None
    origin: Origin


def render_report(facts: ReportFacts) -> str:
    """Return the report as HTML, which depends on the facts alone: no clock, no place."""
    titles = dict(SECTIONS)
    if facts.changes:
        what = "the last approved release" if facts.changes.is_approved else "the release before"
        titles["changes"] = f"Changes since {what}"
    return render_page(
        "report.html.j2",
        title=f"{facts.name} · {facts.id}",
        release=facts,
        sections={name: title for name, title in titles.items() if getattr(facts, name)},
        failures=[check for check in facts.checks if check.result == "failed"],
        warnings=[check for check in facts.checks if check.result == "warned"],
        passes=[check for check in facts.checks if check.passed],
        leaks=LEAKS,
        stages=STAGES,
        reason_words=REASONS,
        duplicates=DUPLICATES,
        shown_examples=SHOWN_EXAMPLES,
        over_represented=_over_represented(facts.slices),
        has_leaks=any(getattr(facts.leakage, kind) for kind in LEAKS),
        lengths=LENGTHS,
        first_with_system=_first_with_system(facts.lines.rows if facts.lines else ()),
        row_uses=ROW_USES,
        review_errors=describe_errors(facts.reviews.error) if facts.reviews else "",
        review_agreement=[
            describe_agreement(each) for each in (facts.reviews.agreement if facts.reviews else ())
        ],
        changes=CHANGES,
        charts=_charts(facts),
    )


def _first_with_system(lines: Sequence[LineToRead]) -> list[int]:
    """Return for each line the number of the first line that has the same system message."""
    first = dict[str, int]()
    texts = ["\n".join(t.text for t in line.turns if t.role == "system") for line in lines]
    return [first.setdefault(text, k) for k, text in enumerate(texts, start=1)]


def _over_represented(slices: Sequence[SliceFacts]) -> list[tuple[str, SliceValue]]:
    """Return the values with a much larger share of the lines than of the records."""
    return [
        (each.slice.replace("_", " "), row)
        for each in slices
        for row in each.rows
        if row.is_over_represented
    ]


def _charts(facts: ReportFacts) -> dict[str, Chart]:
    """Draw what has many bars; the others are bars in tables."""
    charts = dict[str, Chart]()
    if facts.sizes:
        if len(facts.sizes.days) > 1:
            charts["days"] = draw_days(facts.sizes.days)
        charts["lengths"] = draw_lengths(facts.sizes.lengths)
    if facts.readiness and facts.readiness.scores:
        scores = facts.readiness.scores
        charts["rewards"] = draw_rewards(scores.histogram, scores.edges)
    return charts
