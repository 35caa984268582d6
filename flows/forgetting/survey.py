"""Where the records of some requests are in a lake: parts, releases, jobs, reviews, labels."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import msgspec
import polars as pl

from bedrock_sluice.flows.decisions.decisions import find_approvals
from bedrock_sluice.flows.recipe.places import Target
from bedrock_sluice.lake.compacted import list_by_folder
from bedrock_sluice.lake.derived import list_derived, list_fingerprints
from bedrock_sluice.lake.labels import KEY, read_labels
from bedrock_sluice.lake.logs.erasure import (
    BODY_URIS,
    LANDED_FOLDER,
    LandedMatch,
    find_rows,
    has_forgotten,
)
from bedrock_sluice.lake.releases.registry import PROVENANCE_FILE, Use, read_uses
from bedrock_sluice.lake.releases.release import MANIFEST, open_release
from bedrock_sluice.lake.releases.split_memory import MEMORY_FILE, read_memory
from bedrock_sluice.lake.reviews import StoredReview, find_reviews
from bedrock_sluice.lake.stores.store import Entry, Store
from bedrock_sluice.transforms.rights.tombstones import find_forgotten, is_forgotten

RELEASES_FOLDER, REGISTRY_FOLDER = "releases/", "registry/"
LINE_FILES = ("train.jsonl", "validation.jsonl")


@dataclass(frozen=True)
class JobHolding:
    """A training job that was given lines, and the model that came of it, by their ARNs."""

    name: str | None
    status: str
    job_arn: str | None
    model_arn: str | None


@dataclass(frozen=True)
class ReleaseHolding:
    """A release with `lines` of the requests; `entries` are its files.

    A release without a manifest is what an interrupted build or deletion left, or `sluice gc`.
    """

    uri: str
    lines: int
    entries: Sequence[Entry] = field(repr=False)
    approved_by: Sequence[str] = ()
    jobs: Sequence[JobHolding] = ()

    @property
    def is_removable(self) -> bool:
        """Whether nobody has approved it, and no job was given it."""
        return not self.approved_by and not self.jobs


@dataclass(frozen=True)
class Survey:
    """What a lake holds of some requests, and the labels that name them (`file:line`)."""

    landed: Sequence[LandedMatch]
    derived_files: Sequence[Entry]
    releases: Sequence[ReleaseHolding]
    reviews: Sequence[StoredReview]
    labels: Sequence[str]

    @property
    def requests(self) -> int:
        """How many of the requests are landed."""
        return len({each for match in self.landed for each in match.rows["request_id"]})

    @property
    def log_objects(self) -> list[str]:
        """The log objects that the records came from, which are not in the lake."""
        return sorted({each for match in self.landed for each in match.rows["object"]})

    @property
    def bodies(self) -> list[str]:
        """The objects in which Bedrock stored their bodies, which are not in the lake."""
        columns = (match.rows[name] for match in self.landed for name in BODY_URIS)
        return sorted({uri for column in columns for uri in column.drop_nulls()})

    @property
    def blocking(self) -> list[ReleaseHolding]:
        """The releases that people must decide about."""
        return [each for each in self.releases if not each.is_removable]


def survey(target: Target, digests: Collection[str]) -> Survey:
    """Find what holds the records of these requests, by the digests of their ids.

    Raises:
        IntegrityError: something in the lake is not what was written.
    """
    lake = target.lake
    landed = find_landed(lake, digests)
    return Survey(
        landed=landed,
        derived_files=find_derived(lake, landed, digests),
        releases=list(_find_releases(lake, digests)),
        reviews=find_reviews(lake, digests),
        labels=list(_find_labels(target, digests)),
    )


def find_landed(lake: Store, digests: Collection[str]) -> list[LandedMatch]:
    """Find the landed parts that hold records of these requests."""

    def matches(frame: pl.DataFrame) -> pl.Series:
        return pl.Series(find_forgotten(frame["request_id"], digests), dtype=pl.Boolean)

    return list(find_rows(lake, matches))


def find_derived(
    lake: Store, landed: Sequence[LandedMatch], digests: Collection[str]
) -> list[Entry]:
    """Find what was computed from landed parts: their derived parts, and the compacted days.

    Derived parts whose landed part is gone are among them: nothing needs them.
    """
    keys = {match.part.entry.key for match in landed}
    all_keys = {entry.key for entry in lake.entries(LANDED_FOLDER)}
    days = {key.rsplit("/", 2)[0] for key in keys}
    landed_days = list_by_folder(lake, None)
    for folder, entries in landed_days.items():
        if folder not in days and any(has_forgotten(lake, each, digests) for each in entries):
            days.add(folder)
    days_by_kind: list[Mapping[str, list[Entry]]] = [landed_days]
    derived_files = list[Entry]()
    for fingerprint in list_fingerprints(lake):
        days_by_kind.append(list_by_folder(lake, fingerprint))
        for key, entries in list_derived(lake, fingerprint).items():
            if key in keys or key not in all_keys:
                derived_files += entries
    for by_folder in days_by_kind:
        derived_files += [each for folder in days for each in by_folder.get(folder, [])]
    return derived_files


def _find_releases(lake: Store, digests: Collection[str]) -> Iterator[ReleaseHolding]:
    uses = _uses_by_digest(lake)
    for name in lake.folders(RELEASES_FOLDER):
        for release_id in lake.folders(f"{RELEASES_FOLDER}{name}/"):
            folder = f"{RELEASES_FOLDER}{name}/{release_id}"
            entries = {e.key.rpartition("/")[2]: e for e in lake.entries(f"{folder}/")}
            if MANIFEST in entries:
                holding = _read_release(f"{lake.uri}/{folder}", entries, digests, uses)
            else:
                texts = (lake.read(e) for n, e in entries.items() if n in LINE_FILES)
                lines = sum(map(partial(_count_lines, digests), texts))
                if memory := entries.get(MEMORY_FILE):
                    ids = read_memory(lake, memory).lines["request_id"]
                    lines = max(lines, sum(find_forgotten(ids, digests)))
                holding = ReleaseHolding(f"{lake.uri}/{folder}", lines, list(entries.values()))
            if holding.lines:
                yield holding


def _read_release(
    uri: str,
    entries: Mapping[str, Entry],
    digests: Collection[str],
    uses: Mapping[str, Sequence[Use]],
) -> ReleaseHolding:
    release = open_release(uri)
    if PROVENANCE_FILE in release.manifest.files:
        rows = pl.read_parquet(release.file(PROVENANCE_FILE), columns=["request_id"])
        lines = sum(find_forgotten(rows["request_id"], digests))
    else:
        names = [name for name in LINE_FILES if name in release.manifest.files]
        lines = sum(_count_lines(digests, release.file(name).read_bytes()) for name in names)
    return ReleaseHolding(
        uri=release.uri,
        lines=lines,
        entries=list(entries.values()),
        approved_by=[each.by for each in find_approvals(release)],
        jobs=[job for use in uses.get(release.manifest.digest, ()) for job in _jobs(use)],
    )


class _Line(msgspec.Struct):
    id: str = ""


def _count_lines(digests: Collection[str], content: bytes) -> int:
    """Count the lines of the requests in a file that an interrupted write may have left."""
    count = 0
    for text in content.splitlines():
        try:
            line = msgspec.json.decode(text, type=_Line)
        except ValueError:
            continue
        count += is_forgotten(line.id, digests)
    return count


def _uses_by_digest(lake: Store) -> Mapping[str, list[Use]]:
    uses = dict[str, list[Use]]()
    for lineage in lake.folders(REGISTRY_FOLDER):
        for use in read_uses(lake, lineage):
            uses.setdefault(use.stem.rpartition("/")[2], []).append(use)
    return uses


def _jobs(use: Use) -> Iterator[JobHolding]:
    """Yield the jobs of a release that may have been given its lines."""
    end = use.job_end()
    last = use.job_request()
    if end is not None:
        yield JobHolding(last.job if last else None, end.status, end.job_arn, end.model_arn)
    for claim in use.claims:
        request, start = use.job_request(claim.number), use.job_start(claim.number)
        name = request.job if request else None
        yield JobHolding(name, use.state, start.job_arn if start else None, None)


def _find_labels(target: Target, digests: Collection[str]) -> Iterator[str]:
    """Yield the places of labels and feedback of the recipe that are for one of the requests."""
    if target.recipe is None:
        return
    options = target.recipe.answer
    tables: list[tuple[str, Any]] = [(uri, "feedback table") for uri in options.feedback]
    if options.label_key == KEY:
        tables += [(uri, "label table") for uri in options.labels]
    for uri, kind in tables:
        for place, row in read_labels(uri, target.base, kind=kind).rows_with_place():
            if is_forgotten(row[KEY], digests):
                yield place
