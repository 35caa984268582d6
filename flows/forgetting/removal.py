"""Taking forgotten records out of a lake; killed anywhere, or run twice at once, it completes."""

from collections.abc import Collection
from datetime import datetime

from bedrock_sluice.flows.forgetting.survey import (
    LINE_FILES,
    ReleaseHolding,
    Survey,
    find_derived,
    find_landed,
    survey,
)
from bedrock_sluice.flows.recipe.places import Target
from bedrock_sluice.lake.derived import list_fingerprints
from bedrock_sluice.lake.logs.erasure import put_erased
from bedrock_sluice.lake.releases.history_marks import list_marks
from bedrock_sluice.lake.releases.registry import PROVENANCE_FILE
from bedrock_sluice.lake.releases.release import MANIFEST, REPORT
from bedrock_sluice.lake.releases.removals import record_removal
from bedrock_sluice.lake.releases.split_memory import MEMORY_FILE
from bedrock_sluice.lake.reviews import erase_lines, find_reviews
from bedrock_sluice.lake.stores.store import Entry, Store
from bedrock_sluice.lake.tombstones import bury, read_digests
from bedrock_sluice.transforms.errors import TransientError

MAX_PASSES = 5  # over the landed parts, until none holds a forgotten record

_ORDER = (MANIFEST, REPORT, PROVENANCE_FILE, *LINE_FILES, MEMORY_FILE)


def forget(target: Target, digests: Collection[str], at: datetime) -> Survey:
    """Forget requests, and finish what earlier runs left; returns what was there before.

    The tombstone comes first: from then on, no build uses the records. Releases that somebody
    approved, or that a job was given, stay.

    Raises:
        IntegrityError: something in the lake is not what was written.
        TransientError: other processes keep landing forgotten records.
    """
    lake = target.lake
    bury(lake, digests, at)
    result = survey(target, read_digests(lake))
    for release in result.releases:
        if release.is_removable:
            _remove_release(lake, release)
    _erase_reviews(lake)
    _erase_landed(lake)
    return result


def _remove_release(lake: Store, release: ReleaseHolding) -> None:
    name, release_id = release.uri.rsplit("/", 2)[1:]
    record_removal(lake, name, release_id)
    for fingerprint in list_fingerprints(lake):
        for marks in list_marks(lake, fingerprint, f"{name}/{release_id}").values():
            lake.delete(marks)
    for entry in sorted(release.entries, key=_deletion_rank):
        lake.delete([entry], "releases")


def _erase_reviews(lake: Store) -> None:
    digests = read_digests(lake)
    for review in find_reviews(lake, digests):
        erase_lines(lake, review, digests)


def _erase_landed(lake: Store) -> None:
    """Replace parts until none holds a forgotten record: another run may have put one meanwhile."""
    for _ in range(MAX_PASSES):
        digests = read_digests(lake)
        landed = find_landed(lake, digests)
        derived_files = find_derived(lake, landed, digests)
        if not landed and not derived_files:
            return
        for match in landed:
            put_erased(lake, match, digests)
        lake.delete(derived_files)
        # Last: as long as a part is there, the next run finds what was not done.
        lake.delete([match.part.entry for match in landed], "landed")
    raise TransientError(
        f"{lake.uri}: other processes keep writing forgotten records; wait until builds have ended "
        "and run again"
    )


def _deletion_rank(entry: Entry) -> int:
    """The lines go last: by them, the next run finds a release that was not removed as a whole."""
    name = entry.key.rpartition("/")[2]
    return _ORDER.index(name) if name in _ORDER else 1
