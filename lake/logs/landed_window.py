"""The landed records of a window, as a build reads them: newest versions, derived tags added."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path

import msgspec
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from bedrock_sluice.lake.compacted import (
    CompactedDay,
    CompactedDays,
    Member,
    day_folder,
    list_compacted,
)
from bedrock_sluice.lake.exchanges import read_columns
from bedrock_sluice.lake.logs.landed import (
    NARROW_LANDED,
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
from bedrock_sluice.transforms.tables import BODY_COLUMNS, LANDED

READERS = 4  # days compacted at once


@dataclass(frozen=True)
class LandedPart:
    """One part, and the log objects to read from it; the others have newer versions elsewhere."""

    part: Part
    objects: list[Held]

    def keys_to_read(self) -> pa.Array | None:
        """Return the keys of the objects to read; None if that is all of them."""
        is_whole = len(self.objects) == len(self.part.objects)
        return None if is_whole else pa.array([each.key for each in self.objects], pa.string())


@dataclass(frozen=True)
class LandedDay:
    """The parts of one day (their numbers in the window), and the file of their narrow columns.

    `folder` is None where the parts do not lie in folders by the hour.
    """

    folder: str | None
    numbers: Sequence[int]
    file: CompactedDay


@dataclass(frozen=True)
class LandedWindow:
    """The parts to read for a window, by key; each has at least one log object to read.

    `work` is a folder for files of this process.
    """

    lake: Store
    source_name: str
    parts: list[LandedPart]
    derivations: Sequence[Derivation]
    work: Path

    def objects(self) -> list[Held]:
        """Return the log objects to read, by key."""
        return sorted((each for part in self.parts for each in part.objects), key=lambda o: o.key)

    @cached_property
    def days(self) -> list[LandedDay]:
        """The days of the window, in the order of the parts.

        Raises:
            IntegrityError: a part is damaged.
        """
        folders = [day_folder(each.part.entry.key) for each in self.parts]
        known_days = list_compacted(self.lake, f"landed/{self.source_name}", NARROW_LANDED)
        groups = groupby(range(len(self.parts)), key=folders.__getitem__)
        days = [(folder, list(numbers)) for folder, numbers in groups]
        with ThreadPoolExecutor(READERS) as pool:
            return list(pool.map(lambda day: self._open_day(known_days, *day), days))

    def _open_day(
        self, days: CompactedDays, folder: str | None, numbers: Sequence[int]
    ) -> LandedDay:
        parts = [self.parts[number] for number in numbers]
        entries = [each.part.entry for each in parts]
        day_file = days.find(folder, entries)
        if day_file is None:
            day_file = days.make(
                self.work / f"landed-{numbers[0]:06}.parquet",
                map(self._read_narrow, parts),
            )
            if folder:
                days.put(folder, entries, day_file)
        return LandedDay(folder, numbers, day_file)

    def _read_narrow(self, part: LandedPart) -> tuple[Member, pa.Table]:
        path = self.lake.local(part.part.entry)
        table = pa.concat_tables(read_rows(path, NARROW_LANDED.names, None))
        return Member(table.num_rows, msgspec.json.encode(part.part.objects).decode()), table

    def read_day(self, day: LandedDay, columns: Sequence[str]) -> pa.Table:
        """Read columns (schema `LANDED`) of all rows of a day, with derived tags.

        Those of log objects that are not to be read are among them.

        Raises:
            IntegrityError: a part is damaged.
            TransientError: the file of the day was removed or is damaged.
        """
        sources = set(columns)
        if self.derivations and "request_metadata" in sources:
            sources |= columns_needed(self.derivations)
        names = sorted(sources)
        if sources.isdisjoint(BODY_COLUMNS):
            tables = [read_columns(day.file.path, names)]
        else:
            paths = [self.lake.local(self.parts[number].part.entry) for number in day.numbers]
            tables = [table for path in paths for table in read_rows(path, names, None)]
        if self.derivations and "request_metadata" in sources:
            frames = [derive_tags(pl.DataFrame(table), self.derivations) for table in tables]
            tables = [frame.select(columns).to_arrow() for frame in frames]
        schema = pa.schema([LANDED.field(name) for name in columns])
        return pa.concat_tables([table.select(columns).cast(schema) for table in tables])

    def _read_wanted(self, day: LandedDay, columns: Sequence[str]) -> pa.Table:
        """Read columns of the rows of a day that are to be read."""
        keys_by_part = [self.parts[number].keys_to_read() for number in day.numbers]
        if all(keys is None for keys in keys_by_part):
            return self.read_day(day, columns)
        table, start, pieces = self.read_day(day, [*{*columns, "object"}]), 0, list[pa.Table]()
        for member, keys in zip(day.file.members, keys_by_part, strict=True):
            rows = table.slice(start, member.rows)
            if keys is not None:
                rows = rows.filter(pc.is_in(rows["object"], value_set=keys))
            pieces.append(rows.select(columns))
            start += member.rows
        return pa.concat_tables(pieces)

    def read(self, columns: Sequence[str]) -> pl.DataFrame:
        """Read columns of all rows into one frame."""
        return pl.concat([pl.DataFrame(self._read_wanted(day, columns)) for day in self.days])

    def stream(
        self,
        columns: Sequence[str],
        problems: list[Exception],
        watch: Callable[[pa.RecordBatch], None] = lambda _: None,
    ) -> pa.RecordBatchReader:
        """Return columns of all rows as a stream of record batches, for DuckDB.

        `watch` sees each batch. DuckDB replaces an exception of its input by one of its own, so
        what is raised while the stream is read is added to `problems`.
        """
        days, schema = self.days, pa.schema([LANDED.field(name) for name in columns])

        def batches() -> Iterator[pa.RecordBatch]:
            try:
                for day in days:
                    for batch in self._read_wanted(day, columns).combine_chunks().to_batches():
                        watch(batch)
                        yield batch
            except Exception as error:
                problems.append(error)
                raise

        return pa.RecordBatchReader.from_batches(schema, batches())


def find_landed(
    lake: Store, source: Source, window: Window, derivations: Sequence[Derivation], work: Path
) -> LandedWindow:
    """Find the parts of a lake that hold log objects of a source for a window.

    `work` is a folder for files of this process.

    Raises:
        IntegrityError: a file in the lake is not a part as Sluice wrote it.
        OutsideError: a part may not be read.
    """
    name = source_name(source)
    parts = read_parts(lake, name, window)
    versions = choose_versions(parts)
    landed = list[LandedPart]()
    for part in parts:
        newest = versions.get(part.entry.key, [])
        if objects := [
            landed_object for landed_object in newest if landed_object.key.startswith(source.below)
        ]:
            landed.append(LandedPart(part, objects))
    return LandedWindow(lake, name, landed, derivations, work)
