"""Which side of the split earlier releases gave to what: the memory of a dataset's split.

Releases of one name that were split by the same rules share a memory, whether they were approved or
not: what stood in the validation file of one is never trained on by a later one.
"""

from collections.abc import Collection
from typing import NamedTuple

import msgspec
import polars as pl
import pyarrow.parquet as pq

from bedrock_sluice.lake.releases.release import MANIFEST, Release, list_manifests, open_release
from bedrock_sluice.lake.releases.removals import removed_releases
from bedrock_sluice.lake.stores.store import Store
from bedrock_sluice.transforms.errors import IntegrityError
from bedrock_sluice.transforms.split import SIDES, TRAIN, VALIDATION

_PROVENANCE = "provenance.parquet"

HELD_OR_LAST = pl.Schema({"root": pl.String, "split": pl.String, "json": pl.String})


class _Line(msgspec.Struct):
    id: str


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
    releases = [each for each in releases if each.manifest.split_rules == rules]
    if only is not None:
        # Those that `sluice forget` removed decide nothing any more.
        only = set(only) - removed_releases(lake, name)
        if missing := sorted(only - {each.id for each in releases}):
            raise IntegrityError(
                f"{lake.uri} has lost the release {missing[0]} of {name}, whose split this one was "
                "first built on; put it back"
            )
        releases = [each for each in releases if each.id in only]
    last = max(releases, key=lambda each: each.id, default=None)
    provenance = {each.id: _provenance(each) for each in releases}
    lines = [_lines(each, VALIDATION, provenance[each.id]) for each in releases]
    lines += [_lines(last, TRAIN, provenance[last.id])] if last else []
    sides = [each.select(SIDES.names()) for each in provenance.values()]
    return SplitHistory(
        releases=[each.id for each in releases],
        last=last.id if last else None,
        sides=pl.concat([SIDES.to_frame(), *sides]).unique().sort("root", "split"),
        lines=pl.concat([HELD_OR_LAST.to_frame(), *lines]).unique().sort("root", "json", "split"),
    )


def _provenance(release: Release) -> pl.DataFrame:
    table = pq.read_table(release.file(_PROVENANCE), columns=["id", *SIDES.names()])
    return pl.DataFrame(table)


def _lines(release: Release, side: str, provenance: pl.DataFrame) -> pl.DataFrame:
    texts = release.file(f"{side}.jsonl").read_text(encoding="utf-8").splitlines()
    rows = pl.DataFrame(
        {"id": [msgspec.json.decode(text, type=_Line).id for text in texts], "json": texts},
        schema={"id": pl.String, "json": pl.String},
    )
    return rows.join(provenance, on="id").select(HELD_OR_LAST.names())
