"""The reviewer's page: one file, no script, nothing fetched; every value escaped."""

from collections.abc import Mapping, Sequence
from typing import Any

from jinja2 import Environment, StrictUndefined

from bedrock_sluice.expectations import resource
from bedrock_sluice.expectations.checks import Check
from bedrock_sluice.transforms.printable import printable
from bedrock_sluice.transforms.reasons import Reason


def render_report(facts: Mapping[str, Any], checks: Sequence[Check]) -> str:
    """The report as HTML. It depends on its arguments alone, and not on the time or the place.

    `facts`: id and digest of the release, approve (the command that does it), name, template,
    since, until, verdict, stages, train, validation, matched_without_key,
    records, untagged, tags (records by key), unknown_shapes (`shape` and `records`), inspected,
    personal_data (prompts by kind), privacy (what is done about a kind), hidden_characters, slices
    (`concentration.SHARES`), certificate (lines by kind of leak), instructed (lines), readiness
    (what a grader that was tried gave, or None), answers_by_source (lines), answer_sources (how
    labels, feedback and metadata were used for the `answerable` prompts).
    """
    page = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, finalize=_finalize
    )
    rows = sorted(checks, key=lambda check: _ORDER.index(check.result))
    messages = {reason.value: reason.message for reason in Reason}
    text = resource("report.html.j2")
    return page.from_string(text).render(
        facts, checks=rows, messages=messages, leaks=LEAKS, row_uses=ROW_USES
    )


def _finalize(value: Any) -> Any:
    """Control and bidirectional characters are for no terminal and no browser."""
    return printable(value) if type(value) is str else value


LEAKS = {
    "exact": "lines of train that are asked in validation too",
    "prefix": "lines that are the beginning of one of the other side",
    "near": "lines of train that are near duplicates of one of validation",
    "group": "groups that stand on both sides",
    "evaluated": "lines that overlap an evaluation set",
}

ROW_USES = {
    "used": "used",
    "not_selected": "for requests that were not selected",
    "unknown": "for requests that are not in the logs",
    "unreadable": "without an answer that the template reads",
    "late": "given too late",
    "undated": "without a time",
    "unused": "overruled by other rows or sources",
}

_ORDER = ("failed", "warned", "passed")
