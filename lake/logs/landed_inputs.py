"""The landed rows of the log objects that a release names, found in a lake by their digests."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from bedrock_sluice.lake.logs.landed import Part, read_parts, read_rows
from bedrock_sluice.lake.logs.source import Window
from bedrock_sluice.lake.releases.manifest import InputObject
from bedrock_sluice.lake.stores.store import Store

PLACES = pl.Schema({"object": pl.String, "line": pl.Int64, "request_id": pl.String})
"""Where a record stands: log object, line from 1, and its request id."""


@dataclass(frozen=True, slots=True)
class LandedInputs:
    """Which parts hold which objects of a release; `missing` are those that no part holds."""

    lake: Store
    objects_by_part: Mapping[Part, Sequence[str]]
    missing: Sequence[str]

    def read_places(self) -> pl.DataFrame:
        """Read the places (`PLACES`) of all records of the objects.

        Raises:
            IntegrityError: A part is not what was written.
        """
        tables = [
            pl.DataFrame(table).select(pl.col(name).cast(kind) for name, kind in PLACES.items())
            for part, keys in self.objects_by_part.items()
            for table in read_rows(self.lake.local(part.entry), PLACES.names(), keys)
        ]
        return pl.concat([PLACES.to_frame(), *tables])


def find_inputs(lake: Store, objects: Sequence[InputObject], window: Window) -> LandedInputs:
    """Find the landed parts that hold the objects with the digests that a release names.

    Raises:
        IntegrityError: A file in the lake is not a part as Sluice wrote it.
    """
    remaining = {(each.object, each.sha256) for each in objects}
    objects_by_part = dict[Part, list[str]]()
    for source in lake.folders("landed/"):
        for part in read_parts(lake, source, window):
            for each in part.objects:
                if (each.key, each.sha256) in remaining:
                    remaining.remove((each.key, each.sha256))
                    objects_by_part.setdefault(part, []).append(each.key)
    return LandedInputs(lake, objects_by_part, sorted(key for key, _ in remaining))
