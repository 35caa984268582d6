"""The release that drift is measured from: the one that was approved last."""

from collections.abc import Iterator

import polars as pl

from bedrock_sluice.flows.decisions.decisions import find_approvals
from bedrock_sluice.lake.releases.decisions import read_decisions
from bedrock_sluice.lake.releases.release import MANIFEST, Release, ReleaseFiles, open_release
from bedrock_sluice.lake.stores.store import Store
from bedrock_sluice.transforms.review.drift import drift_lines
from bedrock_sluice.transforms.split import TRAIN, VALIDATION

_PROVENANCE = ["duplicates", "model_id", "reference_source"]


def newest_approved(lake: Store, name: str) -> Release | None:
    """Return the release of a name that was approved last, and whose approval still counts.

    Raises:
        IntegrityError: it, or a decision, is not what was written.
    """
    decisions = reversed(read_decisions(lake, name))
    for release_id in dict.fromkeys(each.release for each in decisions):
        release = find_release(lake, name, release_id)
        if release and find_approvals(release):
            return release
    return None


def find_release(lake: Store, name: str, release_id: str) -> Release | None:
    """Return a release; None if it was deleted."""
    folder = f"releases/{name}/{release_id}"
    return open_release(f"{lake.uri}/{folder}") if lake.entry(f"{folder}/{MANIFEST}") else None


def baseline_lines(release: ReleaseFiles) -> pl.DataFrame:
    """Return the lines of a release as `drift.DRIFT_LINES`.

    Raises:
        IntegrityError: a file of it is missing or was changed.
    """
    provenance = pl.read_parquet(
        release.file("provenance.parquet"), columns=_PROVENANCE, glob=False
    )
    return drift_lines(_texts(release), provenance)


def _texts(release: ReleaseFiles) -> Iterator[bytes]:
    for side in (TRAIN, VALIDATION):
        with release.file(f"{side}.jsonl").open("rb") as file:
            yield from file
