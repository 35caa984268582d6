"""The releases of a lake over time: their verdicts, what people decided, which jobs ran on them."""

import logging
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bedrock_sluice.expectations.pages.review_pages import (
    RecordState,
    ReleaseState,
    render_index,
)
from bedrock_sluice.flows.decisions.decisions import find_decisions, latest_decisions
from bedrock_sluice.flows.decisions.requirements import signature
from bedrock_sluice.flows.review.explanation import find_fates
from bedrock_sluice.lake.releases.registry import Use, read_uses
from bedrock_sluice.lake.releases.release import MANIFEST, Release, list_manifests, open_release
from bedrock_sluice.lake.stores.store import INDEX_PAGE, S3_SCHEME, Store
from bedrock_sluice.transforms.errors import SluiceError

MAX_RELEASES = 100  # of the index: the newest
READ_WORKERS = 16

logger = logging.getLogger(__name__)

UsesByDigest = Mapping[str, list[Use]]


def write_index(lake: Store, name: str) -> None:
    """Write `releases/<name>/index.html` anew, from what is in the lake.

    The page is a convenience: if it cannot be written, a warning is logged, and nothing is raised.
    """
    try:
        page = render_index(name, read_history(lake, name, MAX_RELEASES))
        lake.put_page(f"releases/{name}/{INDEX_PAGE}", page.encode())
    except Exception as error:
        logger.warning("the index of %s was not written: %s", name, type(error).__name__)


def index_elsewhere(lake: Store, name: str) -> str:
    """Return the page that `write_index` writes, to be opened from any folder of this machine.

    It has no links to reports in S3, which a browser cannot open.

    Raises:
        IntegrityError: the registry of jobs is not what was written.
    """
    uri = f"{lake.uri}/releases/{name}"
    folder = None if uri.startswith(S3_SCHEME) else f"{Path(uri).absolute().as_uri()}/"
    return render_index(name, read_history(lake, name, MAX_RELEASES), folder)


def read_history(lake: Store, name: str, number: int | None = None) -> list[ReleaseState]:
    """Read the releases of a recipe, the newest first; at most `number` of them.

    A release that was damaged is one of them, with the verdict `unreadable`.

    Raises:
        IntegrityError: the registry of jobs is not what was written.
    """
    ids = _newest_first(lake, name)[:number]
    with ThreadPoolExecutor(READ_WORKERS) as pool:
        releases = list(pool.map(lambda each: _open(lake, name, each), ids))
        uses = _uses_by_digest(lake, filter(None, releases))
        return list(
            pool.map(lambda pair: _state(pair[0], pair[1], uses), zip(ids, releases, strict=True))
        )


def find_record(lake: Store, request_id: str) -> list[RecordState]:
    """Read what happened to a record in each release of the lake: by recipe, the newest first.

    Raises:
        IntegrityError: a file of a release, or the registry of jobs, is not what was written.
    """
    states = list[RecordState]()
    for name in lake.folders("releases/"):
        for state in read_history(lake, name):
            release = _open(lake, name, state.id)
            fates = find_fates(release, request_id) if release else []
            states.append(RecordState(recipe=name, release=state, fates=fates))
    return states


def _newest_first(lake: Store, name: str) -> list[str]:
    manifests = list_manifests(lake, name)
    newest_first = sorted(manifests, key=lambda each: (each.modified, each.key), reverse=True)
    return [each.key.removesuffix(f"/{MANIFEST}").rpartition("/")[2] for each in newest_first]


def _open(lake: Store, name: str, release_id: str) -> Release | None:
    """Open a release; None if it cannot be read."""
    try:
        return open_release(f"{lake.uri}/releases/{name}/{release_id}")
    except SluiceError:
        return None


def _state(release_id: str, release: Release | None, uses: UsesByDigest) -> ReleaseState:
    if release is None:
        return ReleaseState(id=release_id, verdict="unreadable")
    counts = release.manifest.counts
    return ReleaseState(
        id=release_id,
        verdict=release.manifest.verdict,
        records=counts.records,
        train=counts.train,
        validation=counts.validation,
        decisions=_decisions_in_words(release),
        jobs=[_job_in_words(use) for use in uses.get(release.manifest.digest, [])],
    )


def _decisions_in_words(release: Release) -> list[str]:
    try:
        latest = latest_decisions(find_decisions(release))
    except SluiceError:
        return ["its decisions cannot be read"]
    return [
        f"{each.verdict} by {signature(each)}, {each.at:%Y-%m-%d}"
        + (", overriding the gate" if each.override else "")
        for each in latest
    ]


def _uses_by_digest(lake: Store, releases: Iterable[Release]) -> UsesByDigest:
    """Return what jobs were asked for, of each lineage that the releases' recipes name."""
    lineages = set[str]()
    for release in releases:
        train = release.manifest.recipe.get("train") or {}
        lineages.add(train.get("lineage") or release.name)
    uses = dict[str, list[Use]]()
    for lineage in sorted(lineages):
        for use in read_uses(lake, lineage):
            uses.setdefault(use.digest, []).append(use)
    return uses


def _job_in_words(use: Use) -> str:
    request, end = use.job_request(), use.job_end()
    name = f"job {request.job}" if request else "no job"
    model = f", model {end.model_arn}" if end and end.model_arn else ""
    return f"{name}: {end.status if end else 'not known to have ended'}{model}"
