"""The reviewer's page: one file, no script, nothing fetched; every value escaped."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jinja2 import Environment, StrictUndefined

from bedrock_sluice.expectations import resource
from bedrock_sluice.expectations.checks import Check
from bedrock_sluice.transforms.facts.readiness_facts import ReadinessFacts
from bedrock_sluice.transforms.facts.release_facts import (
    AnswerFacts,
    Counts,
    CurationFacts,
    LeakageCertificate,
    MetadataFacts,
    Slice,
    StageCounts,
    UnknownShape,
)
from bedrock_sluice.transforms.printable import printable
from bedrock_sluice.transforms.reasons import Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportFacts:
    """What the report shows besides the checks: parts of the manifest, and what only people need.

    `approve` is the command that approves the release; `since` and `until` are the ends of the
    window, None where it is open; `privacy` is what is done about each kind of personal data.
    """

    name: str
    id: str
    digest: str
    verdict: str
    approve: str
    template: str
    since: str | None
    until: str | None
    privacy: Mapping[str, str]
    counts: Counts
    stages: Sequence[StageCounts]
    metadata: MetadataFacts
    unknown_shapes: Sequence[UnknownShape]
    curation: CurationFacts
    slices: Sequence[Slice]
    answers: AnswerFacts
    leakage: LeakageCertificate
    readiness: ReadinessFacts | None


def render_report(facts: ReportFacts, checks: Sequence[Check]) -> str:
    """Return the report as HTML, which depends on the arguments alone: no clock, no place."""
    page = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, finalize=_finalize
    )
    rows = sorted(checks, key=lambda check: _ORDER.index(check.result))
    messages = {reason.value: reason.message for reason in Reason}
    text = resource("report.html.j2")
    return page.from_string(text).render(
        release=facts, checks=rows, messages=messages, leaks=LEAKS, row_uses=ROW_USES
    )


def _finalize(value: object) -> object:
    """Replace control and bidirectional characters, which no terminal or browser should get."""
    return printable(value) if type(value) is str else value


LEAKS = {
    "exact": "lines of train that are asked in validation too",
    "prefix": "lines that are the beginning of one of the other side",
    "near": "lines of train that are near duplicates of one of validation",
    "group": "groups that stand on both sides",
    "evaluation": "lines that overlap an evaluation set",
}

ROW_USES = {
    "with_effect": "used",
    "not_selected": "for requests that were not selected",
    "unknown": "for requests that are not in the logs",
    "unreadable": "without an answer that the template reads",
    "late": "given too late",
    "without_time": "without a time",
    "without_effect": "overruled by other rows or sources",
}

_ORDER = ("failed", "warned", "passed")
