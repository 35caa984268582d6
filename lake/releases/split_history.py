"""Which side of the split earlier releases gave to what: the memory of a dataset's split.

Releases of one name that were split by the same rules share a memory, whether they were approved or
not: what stood in the validation file of one is never trained on by a later one. A release that
`sluice gc` removed left its part of the memory behind (`split_memory`).
"""

from collections.abc import Collection
from typing import NamedTuple

import polars as pl
import pyarrow.parquet as pq

from bedrock_sluice.lake.releases.release import MANIFEST, Release, list_manifests, open_release
from bedrock_sluice.lake.releases.removals import removed_releases
from bedrock_sluice.lake.releases.split_memory import (
    PROVENANCE_FILE,
    SplitMemory,
    read_lines,
    read_memories,
)
from bedrock_sluice.lake.stores.store import Store
from bedrock_sluice.transforms.errors import IntegrityError
from bedrock_sluice.transforms.split import SIDES, TRAIN, VALIDATION

HELD_OR_LAST = pl.Schema({"root": pl.String, "split": pl.String, "json": pl.String})


class SplitHistory(NamedTuple):
    """What earlier releases (ids) decided.

    `sides` (`SIDES`) has the side of every root that ever had a line. `lines` (`HELD_OR_LAST`) are
    the lines that were ever held out, and those that the `last` release (None: there is none)
    trained on: what is nearly the same belongs to them.
    """

    releases: list[str]
    last: str | None
    sides: pl.DataFrame
    lines: pl.DataFrame


def read_split_history(
    lake: Store, name: str, rules: str, only: Collection[str] | None = None
) -> SplitHistory:
    """Read what the releases of a name, with the same `rules`, decided; of `only` these, if given.

    Raises:
        IntegrityError: a file of one of them is gone or damaged, or one of `only` is not there.
    """
    folders = [entry.key.removesuffix(f"/{MANIFEST}") for entry in list_manifests(lake, name)]
    releases = [open_release(f"{lake.uri}/{folder}") for folder in folders]
    earlier: dict[str, Release | SplitMemory] = {
        each.id: each for each in releases if each.manifest.split_rules == rules
    }
    earlier |= {each.id: each for each in read_memories(lake, name) if each.rules == rules}
    if only is not None:
        # Those that `sluice forget` removed decide nothing any more.
        only = set(only) - removed_releases(lake, name)
        if missing := sorted(only - earlier.keys()):
            raise IntegrityError(
                f"{lake.uri} has lost the release {missing[0]} of {name}, whose split this one was "
                "first built on; put it back"
            )
        earlier = {release_id: earlier[release_id] for release_id in only}
    last = max(earlier, default=None)
    sides, lines = [SIDES.to_frame()], [HELD_OR_LAST.to_frame()]
    for release_id, each in sorted(earlier.items()):
        rows = _rows(each, is_last=release_id == last)
        sides.append(rows.select(SIDES.names()))
        lines.append(rows.filter(pl.col("json").is_not_null()).select(HELD_OR_LAST.names()))
    return SplitHistory(
        releases=sorted(earlier),
        last=last,
        sides=pl.concat(sides).unique().sort("root", "split"),
        lines=pl.concat(lines).unique().sort("root", "json", "split"),
    )


def _rows(release: Release | SplitMemory, *, is_last: bool) -> pl.DataFrame:
    """Return `root, split, json`, a row per line; `json` of those held out, or of the last."""
    if isinstance(release, SplitMemory):
        if is_last and not release.is_last:
            raise IntegrityError(
                f"release {release.id} was removed, and its training lines with it; rebuild a "
                "later window"
            )
        is_needed = pl.lit(value=is_last) | (pl.col("split") == VALIDATION)
        return release.lines.with_columns(pl.when(is_needed).then("json"))
    table = pq.read_table(release.file(PROVENANCE_FILE), columns=["id", *SIDES.names()])
    sides = (VALIDATION, TRAIN) if is_last else (VALIDATION,)
    texts = pl.concat(read_lines(release, side) for side in sides)
    return pl.DataFrame(table).join(texts, on="id", how="left")
