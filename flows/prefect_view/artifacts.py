"""Artifacts of a release in Prefect. They are best effort: a run never fails for one."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from prefect.artifacts import (
    create_link_artifact,
    create_markdown_artifact,
    create_table_artifact,
)

from bedrock_sluice.expectations.checks import decode_checks
from bedrock_sluice.flows.nights.rows import RecipeRow
from bedrock_sluice.flows.prefect_view.nightly_page import nightly_page, tally
from bedrock_sluice.flows.prefect_view.release_page import (
    check_rows,
    folder_of,
    link_to,
    stage_rows,
    verdict_page,
)
from bedrock_sluice.lake.releases.release import REPORT, Release
from bedrock_sluice.lake.stores.store import INDEX_PAGE

CHECKS = "checks.json"

logger = logging.getLogger("prefect.bedrock_sluice")


@contextmanager
def best_effort(what: str) -> Iterator[None]:
    """Log a warning instead of an error of the block; the kind of it, since its text may quote."""
    try:
        yield
    except Exception as error:
        logger.warning("%s not written to Prefect: %s", what, type(error).__name__)


def show_release(release: Release) -> None:
    """Create the artifacts of a release: page, tables, and links if its files are on S3."""
    with best_effort(f"artifacts of release {release.id}"):
        name, verdict = release.name, release.manifest.verdict
        about, folder = f"{release.id} ({verdict})", folder_of(release)
        checks = decode_checks(release.file(CHECKS).read_bytes(), f"{release.uri}/{CHECKS}")
        create_markdown_artifact(
            key=f"sluice-release-{name}",
            markdown=verdict_page(release, checks),
            description=f"Verdict on {about}, and what to do next",
        )
        create_table_artifact(
            key=f"sluice-checks-{name}",
            table=check_rows(checks),
            description=f"Checks of {about}",
        )
        create_table_artifact(
            key=f"sluice-stages-{name}",
            table=stage_rows(release.manifest),
            description=f"Records that each stage dropped, by reason: {about}",
        )
        index = f"{folder.rpartition('/')[0]}/{INDEX_PAGE}"
        for kind, uri, title in (
            ("report", f"{folder}/{REPORT}", f"Report of {about}"),
            ("index", index, f"All releases of {name}"),
        ):
            if link := link_to(uri):
                create_link_artifact(
                    key=f"sluice-{kind}-{name}",
                    link=link,
                    link_text=uri.rpartition("/")[2],
                    description=f"{title}, in the console of AWS",
                )


def show_nightly(rows: list[RecipeRow]) -> None:
    """Create the artifact of a nightly run: a table, and what to know about each recipe."""
    with best_effort("the page of the nightly run"):
        create_markdown_artifact(
            key="sluice-nightly",
            markdown=nightly_page(rows),
            description=f"Last night of each recipe: {tally(rows)}",
        )
