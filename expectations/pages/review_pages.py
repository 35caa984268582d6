"""The pages about releases: all of a recipe, what changed between two, the life of one record."""

from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from bedrock_sluice.expectations.pages.charts import draw_releases
from bedrock_sluice.expectations.pages.page import render_page
from bedrock_sluice.expectations.pages.words import CHANGES, REASONS
from bedrock_sluice.transforms.review.comparison import Comparison

SHOWN_ONCE = ("object", "line", "fate", "message", "request_id", "reason", "stage")
"""What the page of a record states apart from the other columns of a fate."""

Fate = dict[str, Any]


class ReleaseState(msgspec.Struct, frozen=True, kw_only=True):
    """One release: the verdict of its gate, its lines, and what people and jobs did with it.

    `decisions` and `jobs` are sentences. A release that cannot be read has no counts.
    """

    id: str
    verdict: Literal["passed", "rejected", "unreadable"]
    records: int | None = None
    train: int | None = None
    validation: int | None = None
    decisions: list[str] = []
    jobs: list[str] = []


class RecordState(msgspec.Struct, frozen=True, kw_only=True):
    """What happened to one record in one release; `fates` is empty if it was not read there.

    A fate has the columns of `fates.parquet`, and `message`, the reason in words.
    """

    recipe: str
    release: ReleaseState
    fates: list[Fate] = []


def render_index(name: str, releases: Sequence[ReleaseState], folder: str | None = "") -> str:
    """Return the page of all releases of a recipe, in the order in which they are given.

    Links to reports begin with `folder`, a URL that ends in a slash: empty for a page beside the
    releases, None for a page without links.
    """
    sizes = [(each.id, each.train or 0, each.validation or 0) for each in releases]
    return render_page(
        "index.html.j2",
        title=f"Releases of {name}",
        releases=releases,
        folder=folder,
        chart=draw_releases(sizes) if releases else None,
    )


def render_diff(before: str, after: str, comparison: Comparison) -> str:
    """Return the page of what changed between two releases, which are named by their URIs."""
    return render_page(
        "diff.html.j2",
        title=f"Changes in {after.rpartition('/')[2]}",
        before=before,
        after=after,
        comparison=comparison,
        meanings=CHANGES,
        reason_words=REASONS,
    )


def render_record(request_id: str, states: Sequence[RecordState]) -> str:
    """Return the page of what happened to a record in each release."""
    return render_page(
        "record.html.j2",
        title=f"Record {request_id}",
        request_id=request_id,
        states=[each for each in states if each.fates],
        places=sorted({(fate["object"], fate["line"]) for each in states for fate in each.fates}),
        shown_above=SHOWN_ONCE,
        others=sum(not each.fates for each in states),
    )
