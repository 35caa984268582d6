"""Garbage of a lake: files that can be deleted, because no recipe needs them.

Only what can be computed again, and what interrupted writes left, is ever garbage: landed parts,
releases and the registry are not.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from bedrock_sluice.flows.recipe import Recipe, load_folder, load_recipe
from bedrock_sluice.flows.recipe.places import open_lake
from bedrock_sluice.flows.stages.derive import derive_options
from bedrock_sluice.lake.compacted import list_by_folder
from bedrock_sluice.lake.derived import (
    digest_of,
    fingerprint,
    is_sound,
    list_all,
    list_derived,
    list_fingerprints,
)
from bedrock_sluice.lake.releases.history_marks import list_marks
from bedrock_sluice.lake.stores.store import S3_SCHEME, Entry, Store
from bedrock_sluice.transforms.errors import ConfigError, TransientError
from bedrock_sluice.transforms.features.languages import check_languages


class Cause(StrEnum):
    """Why no recipe needs a file."""

    OTHER_FINGERPRINT = "other_fingerprint"
    NO_LANDED_PART = "no_landed_part"
    REPLACED = "replaced"
    OUTDATED_DAY = "outdated_day"
    EARLIER_RELEASE = "earlier_release"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True)
class Garbage:
    """Files that no recipe needs for one cause, under one fingerprint if they have one."""

    cause: Cause
    fingerprint: str | None
    is_young: bool  # and so may still be in use elsewhere
    entries: list[Entry]

    @property
    def size_bytes(self) -> int:
        """The size of all files."""
        return sum(entry.size for entry in self.entries)

    @property
    def newest(self) -> datetime:
        """When the newest file was written."""
        return max(entry.modified for entry in self.entries)


@dataclass(frozen=True)
class Survey:
    """The derived parts of a lake that the recipes need, and the garbage."""

    in_use: list[Entry]
    garbage: list[Garbage]


def load_recipes(paths: Iterable[Path]) -> dict[Path, Recipe]:
    """Load recipes, and all those of each folder.

    Raises:
        ConfigError: one of them is wrong, or this machine can't build it; what it needs is then
            not known.
    """
    recipes = dict[Path, Recipe]()
    for path in paths:
        results = load_folder(path) if path.is_dir() else {path: load_recipe(path)}
        for each, recipe in results.items():
            if isinstance(recipe, ConfigError):
                raise recipe
            check_languages(recipe.quality.languages)
            recipes[each] = recipe
    return recipes


def open_common_lake(recipes: Mapping[Path, Recipe]) -> Store:
    """Open the lake that all recipes name.

    Raises:
        ConfigError: they name several.
    """
    lakes = dict[str, Store]()
    for path, recipe in recipes.items():
        lake = open_lake(recipe, path)
        is_on_s3 = lake.uri.startswith(S3_SCHEME)
        lakes[lake.uri if is_on_s3 else str(Path(lake.uri).resolve())] = lake
    if len(lakes) > 1:
        raise ConfigError(
            f"the recipes name {len(lakes)} lakes: {', '.join(sorted(lakes))}; run `sluice gc` for "
            "one lake at a time, with all recipes that name it"
        )
    return next(iter(lakes.values()))


def find_garbage(lake: Store, recipes: Iterable[Recipe], limit: datetime) -> Survey:
    """Find the files of a lake that none of the recipes needs; from `limit` on, they are young.

    All files of another fingerprint are young if one of them is: builds still write there, perhaps
    those of a machine with another version of Sluice.
    """
    fingerprints = sorted({fingerprint(derive_options(recipe)) for recipe in recipes})
    garbage = list[Garbage]()
    for name in list_fingerprints(lake):
        if name not in fingerprints and (entries := list_all(lake, name)):
            is_young = any(entry.modified >= limit for entry in entries)
            garbage.append(Garbage(Cause.OTHER_FINGERPRINT, name, is_young, entries))
    in_use, groups = list[Entry](), defaultdict[tuple[Cause, str | None, bool], list[Entry]](list)
    for owner, entry, cause in _find_causes(lake, fingerprints):
        if cause is None:
            in_use.append(entry)
        else:
            groups[cause, owner, entry.modified >= limit].append(entry)
    garbage += [Garbage(*group, entries) for group, entries in groups.items()]
    return Survey(in_use, garbage)


def _find_causes(
    lake: Store, fingerprints: Sequence[str]
) -> Iterator[tuple[str | None, Entry, Cause | None]]:
    """Yield the fingerprint of each file (None without one), the file, and why it is garbage.

    A compacted day has other parts than builds look for if one of them was landed after it.
    """
    # Before the landed parts: what is computed of one that is put meanwhile is not listed then.
    parts = [(name, each) for name in fingerprints for each in list_derived(lake, name).items()]
    owners = (None, *fingerprints)
    days = [(owner, each) for owner in owners for each in list_by_folder(lake, owner).items()]
    landed, last_landed = dict[str, Entry](), dict[str, datetime]()
    for entry in lake.entries("landed/"):
        landed[entry.key] = entry
        day = entry.key.rsplit("/", 2)[0]
        last_landed[day] = max(entry.modified, last_landed.get(day, entry.modified))

    for name, (key, entries) in parts:
        for entry, cause in _find_causes_of_parts(lake, landed.get(key), entries):
            yield name, entry, cause
    for owner, (day, entries) in days:
        for entry in entries:
            if day not in last_landed:
                yield owner, entry, Cause.NO_LANDED_PART
            else:
                is_outdated = entry.modified < last_landed[day]
                yield owner, entry, (Cause.OUTDATED_DAY if is_outdated else None)
    for name in fingerprints:
        for entry, cause in _find_causes_of_marks(lake, name):
            yield name, entry, cause
    for entry in lake.leftovers():
        yield None, entry, Cause.INTERRUPTED


def _find_causes_of_marks(lake: Store, fingerprint: str) -> Iterator[tuple[Entry, Cause | None]]:
    """Yield each file of marks; builds read those beside the last release of each name."""
    marks = list_marks(lake, fingerprint)
    last = {release.split("/")[0]: release for release in sorted(marks)}
    for release, entries in marks.items():
        is_last = last[release.split("/")[0]] == release
        for entry in entries:
            yield entry, (None if is_last else Cause.EARLIER_RELEASE)


def _find_causes_of_parts(
    lake: Store, landed: Entry | None, entries: list[Entry]
) -> Iterator[tuple[Entry, Cause | None]]:
    """Yield each derived part of a landed part, and why it is not needed; None if it may be."""
    sound = None
    if landed is not None and len(entries) > 1:
        sound = _find_sound(lake, landed, entries)
    for entry in entries:
        if landed is None:
            yield entry, Cause.NO_LANDED_PART
        else:
            yield entry, (None if sound in (None, entry) else Cause.REPLACED)


def _find_sound(lake: Store, landed: Entry, entries: list[Entry]) -> Entry | None:
    """Return the derived part that builds read; None if all are damaged, until the next build."""
    landed_digest = digest_of(lake.local(landed))
    for entry in entries:
        with suppress(TransientError):  # removed since it was listed
            if is_sound(lake.local(entry), entry.key, landed_digest):
                return entry
    return None
