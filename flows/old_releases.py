"""Old releases of a lake: which can be removed, and removing them.

What later builds need of a removed release stays (`split_memory`), so they are the same as without
the removal.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from bedrock_sluice.flows.review.history import write_index
from bedrock_sluice.lake.releases.approvals_v1 import read_old_approvals
from bedrock_sluice.lake.releases.decisions import read_decisions
from bedrock_sluice.lake.releases.registry import read_uses
from bedrock_sluice.lake.releases.release import MANIFEST, Release, list_manifests, open_release
from bedrock_sluice.lake.releases.split_memory import MEMORY_FILE, list_memories, put_memory
from bedrock_sluice.lake.stores.store import Entry, Store
from bedrock_sluice.transforms.errors import SluiceError


class Ground(StrEnum):
    """Why a release stays."""

    NEWEST = "newest"
    YOUNG = "young"
    APPROVED = "approved"
    JOB = "job"
    LAST_PASSED = "last_passed"
    LAST_OF_SPLIT = "last_of_split"
    UNREADABLE = "unreadable"


@dataclass(frozen=True)
class OldRelease:
    """A release that can be removed, or what an interrupted removal left of one.

    `release` is None of the latter. `is_last` says that a release that stays was built right after
    it, and so needs its training lines to be built again.
    """

    name: str
    id: str
    release: Release | None
    entries: Sequence[Entry] = field(repr=False)
    is_last: bool = False

    @property
    def size_bytes(self) -> int:
        """The size of its files."""
        return sum(entry.size for entry in self.entries)


@dataclass(frozen=True)
class ReleaseSurvey:
    """The old releases of some names, and why each of the others stays (by `<name>/<id>`)."""

    old: Sequence[OldRelease]
    grounds: Mapping[str, Ground]


@dataclass(frozen=True)
class Retention:
    """What stays: the `keep` newest ones, those published from `limit` on, and those of jobs."""

    keep: int
    limit: datetime
    digests_of_jobs: Collection[str] = ()


def find_old_releases(
    lake: Store, names: Collection[str], keep: int, limit: datetime
) -> ReleaseSurvey:
    """Find the releases that can be removed: all of each name but the `keep` newest ones.

    Those that stay are also: published from `limit` on; ever approved; given to a job; the newest
    one that the gate passed; the last one of a split; and those that cannot be read.

    Raises:
        IntegrityError: the registry, or a decision, is not what was written.
    """
    lineages = lake.folders("registry/")
    digests = {use.digest for lineage in lineages for use in read_uses(lake, lineage)}
    options = Retention(keep, limit, digests)
    old, all_grounds = list[OldRelease](), dict[str, Ground]()
    for name in sorted(set(names)):
        candidates = _read_candidates(lake, name)
        grounds = _find_grounds(lake, name, candidates, options)
        all_grounds |= {f"{name}/{release_id}": ground for release_id, ground in grounds.items()}
        old += _find_removable(lake, name, candidates, grounds)
    return ReleaseSurvey(old, all_grounds)


def remove_releases(lake: Store, old: Sequence[OldRelease]) -> None:
    """Remove releases; killed anywhere, the next run completes it.

    Raises:
        IntegrityError: a release is damaged; it stays.
    """
    for each in old:
        if each.release:
            put_memory(each.release, is_last=each.is_last)
        # Without its manifest it is not a release any more, so no build reads its other files.
        for entry in sorted(each.entries, key=lambda entry: not entry.key.endswith(MANIFEST)):
            lake.delete([entry], "releases")
    for name in {each.name for each in old}:
        write_index(lake, name)


class _Candidate(NamedTuple):
    """A release, and the time when it was published; None if it cannot be read."""

    id: str
    time: datetime
    release: Release | None


def _read_candidates(lake: Store, name: str) -> list[_Candidate]:
    """Read the releases of a name, the newest first."""
    manifests = list_manifests(lake, name)
    manifests.sort(key=lambda each: (each.modified, each.key), reverse=True)
    return [_Candidate(e.key.split("/")[2], e.modified, _open(lake, e)) for e in manifests]


def _open(lake: Store, entry: Entry) -> Release | None:
    try:
        return open_release(f"{lake.uri}/{entry.key.removesuffix(f'/{MANIFEST}')}")
    except SluiceError:
        return None


def _find_grounds(
    lake: Store, name: str, candidates: Sequence[_Candidate], options: Retention
) -> dict[str, Ground]:
    """Return why releases of a name stay, by id."""
    approved_ids = {d.release for d in read_decisions(lake, name) if d.verdict == "approved"}
    by_window = sorted(candidates, key=lambda c: (c.id[: len("YYYY-MM-DD")], c.time))
    passed_ids = [c.id for c in by_window if c.release and c.release.is_passed]
    last_ids = dict[str, str]()  # by the rules of the split
    for release in filter(None, (each.release for each in candidates)):
        rules = release.manifest.split_rules
        last_ids[rules] = max(release.id, last_ids.get(rules, ""))

    def ground_of(number: int, candidate: _Candidate) -> Ground | None:
        release = candidate.release
        if release is None:
            return Ground.UNREADABLE
        tests = {
            Ground.NEWEST: number < options.keep,
            Ground.APPROVED: candidate.id in approved_ids or bool(read_old_approvals(release)),
            Ground.JOB: release.manifest.digest in options.digests_of_jobs,
            Ground.LAST_PASSED: candidate.id in passed_ids[-1:],
            Ground.LAST_OF_SPLIT: candidate.id in last_ids.values(),
            Ground.YOUNG: candidate.time >= options.limit,
        }
        return next((ground for ground, is_true in tests.items() if is_true), None)

    pairs = ((each.id, ground_of(number, each)) for number, each in enumerate(candidates))
    return {release_id: ground for release_id, ground in pairs if ground}


def _find_removable(
    lake: Store, name: str, candidates: Sequence[_Candidate], grounds: Collection[str]
) -> Iterator[OldRelease]:
    """Yield the releases that nothing keeps, and what interrupted removals left."""
    kept_releases = [each.release for each in candidates if each.release and each.id in grounds]
    needed_ids = {max(each.manifest.earlier_releases, default="") for each in kept_releases}
    removable = {each.id: each.release for each in candidates if each.id not in grounds}
    leftovers = {each.key.split("/")[2]: None for each in list_memories(lake, name)}
    for release_id, release in (removable | leftovers).items():
        folder = f"releases/{name}/{release_id}/"
        entries = [e for e in lake.entries(folder) if e.key != folder + MEMORY_FILE]
        if entries:
            yield OldRelease(name, release_id, release, entries, release_id in needed_ids)
