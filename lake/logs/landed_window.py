"""The landed records of a window, as a build reads them: newest versions, derived tags added."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pyarrow as pa

from bedrock_sluice.lake.logs.landed import (
    Held,
    Part,
    choose_versions,
    read_parts,
    read_rows,
    source_name,
)
from bedrock_sluice.lake.logs.source import Source, Window
from bedrock_sluice.lake.stores.store import Store
from bedrock_sluice.transforms.derived_metadata import Derivation, columns_needed, derive_tags
from bedrock_sluice.transforms.tables import LANDED


@dataclass(frozen=True)
class PartReader:
    """Reads one part: its local file, the log objects to take (None: all), tags to derive.

    It can be sent to another process.
    """

    path: Path
    objects: list[str] | None
    derivations: Sequence[Derivation]

    def read(self, columns: Sequence[str]) -> Iterator[pa.Table]:
        """Read columns of the rows (schema `tables.LANDED`), a row group at a time.

        Raises:
            IntegrityError: the part is damaged.
        """
        if not self.derivations:
            yield from read_rows(self.path, columns, self.objects)
            return
        sources = {*columns, "request_metadata", *columns_needed(self.derivations)}
        for rows in read_rows(self.path, sorted(sources), self.objects):
            yield derive_tags(pl.DataFrame(rows), self.derivations).select(columns).to_arrow()


@dataclass(frozen=True)
class LandedPart:
    """One part, and the log objects to read from it; the others have newer versions elsewhere."""

    part: Part
    objects: list[Held]


@dataclass(frozen=True)
class LandedWindow:
    """The parts to read for a window, by key; each has at least one log object to read."""

    lake: Store
    parts: list[LandedPart]
    derivations: Sequence[Derivation]

    def objects(self) -> list[Held]:
        """Return the log objects to read, by key."""
        return sorted((each for part in self.parts for each in part.objects), key=lambda o: o.key)

    def size_bytes(self) -> int:
        """Return the compressed size of the parts."""
        return sum(each.part.entry.size for each in self.parts)

    def readers(self) -> Iterator[PartReader]:
        """Yield a reader for each part; parts are fetched from the lake as they are needed."""
        for each in self.parts:
            is_whole = len(each.objects) == len(each.part.objects)
            keys = None if is_whole else [landed_object.key for landed_object in each.objects]
            yield PartReader(self.lake.local(each.part.entry), keys, self.derivations)

    def read(self, columns: Sequence[str]) -> pl.DataFrame:
        """Read columns of all rows into one frame."""
        tables = (table for reader in self.readers() for table in reader.read(columns))
        return pl.concat([pl.DataFrame(table) for table in tables])

    def stream(self, columns: Sequence[str], problems: list[Exception]) -> pa.RecordBatchReader:
        """Return columns of all rows as a stream of record batches, for DuckDB.

        DuckDB replaces an exception of its input by one of its own, so what is raised while the
        stream is read is added to `problems`.
        """
        readers = list(self.readers())
        schema = pa.schema([LANDED.field(name) for name in columns])

        def batches() -> Iterator[pa.RecordBatch]:
            try:
                for reader in readers:
                    for table in reader.read(columns):
                        yield from table.cast(schema).to_batches()
            except Exception as error:
                problems.append(error)
                raise

        return pa.RecordBatchReader.from_batches(schema, batches())


def find_landed(
    lake: Store, source: Source, window: Window, derivations: Sequence[Derivation]
) -> LandedWindow:
    """Find the parts of a lake that hold log objects of a source for a window.

    Raises:
        IntegrityError: a file in the lake is not a part as Sluice wrote it.
        OutsideError: a part may not be read.
    """
    parts = read_parts(lake, source_name(source), window)
    versions = choose_versions(parts)
    landed = list[LandedPart]()
    for part in parts:
        newest = versions.get(part.entry.key, [])
        if objects := [
            landed_object for landed_object in newest if landed_object.key.startswith(source.below)
        ]:
            landed.append(LandedPart(part, objects))
    return LandedWindow(lake, landed, derivations)
