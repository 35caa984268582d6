"""The stage `derive`: the derived part of each landed part, from the lake or computed now."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, groupby
from operator import itemgetter
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa

from bedrock_sluice.flows.context import BuildContext
from bedrock_sluice.flows.recipe import Recipe
from bedrock_sluice.flows.running.executor import distribute, in_order
from bedrock_sluice.flows.running.runner import ReportProgress
from bedrock_sluice.lake.compacted import CompactedDay, Member, list_compacted
from bedrock_sluice.lake.derived import (
    digest_of,
    fingerprint,
    footer_digest,
    is_sound,
    list_derived,
    open_derived,
    put_derived,
)
from bedrock_sluice.lake.exchanges import NARROW, read_columns
from bedrock_sluice.lake.logs.landed import read_rows
from bedrock_sluice.lake.logs.landed_window import LandedDay
from bedrock_sluice.lake.stores.opening import reopen_store
from bedrock_sluice.lake.stores.store import Entry, Store
from bedrock_sluice.transforms.curate.derived_rows import DeriveOptions, derive_rows
from bedrock_sluice.transforms.errors import TransientError
from bedrock_sluice.transforms.tables import LANDED

MAX_RUN_BYTES = 1 << 20  # of landed parts that are derived in a row, unless one has more
MAX_RUN_PARTS = 256
TOGETHER_BYTES = 4 << 20  # of landed rows, from which on they are derived without the next ones


@dataclass(frozen=True)
class DeriveTask:
    """A landed part, and its derived parts in the lake; data to send to workers."""

    number: int
    landed: Entry
    entries: list[Entry]


@dataclass(frozen=True)
class Derivation:
    """How derived parts are computed, and the lake that they are put into."""

    lake: str
    fingerprint: str
    options: DeriveOptions


@dataclass(frozen=True)
class DerivedDay:
    """The derived parts of one day that a build uses, and the file of their narrow columns."""

    day: LandedDay
    numbers: list[int]  # of the landed parts
    file: CompactedDay


def derive(
    context: BuildContext, parts: Collection[int], report_progress: ReportProgress
) -> list[DerivedDay]:
    """Return the derived parts of these landed parts, by day.

    What the lake does not have, or has damaged, is computed and put there.
    """
    files = DerivedFiles(context)
    context.exchanges.files = files
    numbers_by_day = [[number for number in day.numbers if number in parts] for day in files.days]
    known_days = [
        files.find_day(day, numbers) if numbers else None
        for day, numbers in zip(files.days, numbers_by_day, strict=True)
    ]
    missing = [
        number
        for numbers, day in zip(numbers_by_day, known_days, strict=True)
        for number in numbers
        if day is None
    ]
    files.open_parts(missing, report_progress)
    days = list[DerivedDay]()
    for day, numbers, day_file in zip(files.days, numbers_by_day, known_days, strict=True):
        if numbers:
            days.append(DerivedDay(day, numbers, day_file or files.compact(day, numbers)))
    return days


class DerivedFiles:
    """The derived parts of a build: where they are, and how to compute them."""

    def __init__(self, context: BuildContext) -> None:
        options = derive_options(context.recipe)
        self.days = context.landed.days
        self._landed, self._lake, self._work = context.landed.parts, context.lake, context.work
        self._derivation = Derivation(context.lake.uri, fingerprint(options), options)
        self._entries = list_derived(context.lake, self._derivation.fingerprint)
        kind = f"{self._derivation.fingerprint}/days/{context.landed.source_name}"
        self._compacted = list_compacted(context.lake, kind, NARROW)
        self._paths = dict[int, Path]()
        self._footers = dict[int, Member]()  # of parts that were not opened yet

    def find_day(self, day: LandedDay, numbers: Sequence[int]) -> CompactedDay | None:
        """Return the compacted day of these parts, if the lake has it."""
        day_file = self._compacted.find(day.folder, self._entries_of(numbers))
        if day_file is not None:
            self._footers |= dict(zip(numbers, day_file.members, strict=True))
        return day_file

    def _entries_of(self, numbers: Sequence[int]) -> list[Entry]:
        """Return the entries of landed parts, each followed by those of its derived parts."""
        return [
            entry
            for number in numbers
            for entry in (
                self._landed[number].part.entry,
                *self._entries.get(self._landed[number].part.entry.key, []),
            )
        ]

    def open_parts(self, numbers: Sequence[int], report_progress: ReportProgress) -> None:
        """Verify the derived parts of these landed parts, and compute those that are missing."""
        tasks = [self._task(number) for number in numbers]
        # Hashing and fetching release the lock of the interpreter, so threads are enough.
        paths = in_order(partial(_find, self._lake), tasks, 0)
        for task, path in zip(tasks, paths, strict=True):
            if path is not None:
                self._paths[task.number] = path
                report_progress(len(self._paths), len(tasks))
        self._compute([task for task in tasks if task.number not in self._paths], report_progress)

    def _task(self, number: int) -> DeriveTask:
        entry = self._landed[number].part.entry
        return DeriveTask(number, entry, self._entries.get(entry.key, []))

    def _compute(self, tasks: Sequence[DeriveTask], report_progress: ReportProgress) -> None:
        if not tasks:
            return
        size = sum(task.landed.size for task in tasks)
        number, total = len(self._paths), len(self._paths) + len(tasks)
        reopen_store.cache_clear()
        new_parts = list[Entry]()
        runs = task_runs(tasks)
        for entries in distribute(partial(compute_derived, self._derivation), runs, size):
            new_parts += entries
            report_progress(number + len(new_parts), total)
        files = in_order(self._lake.local, new_parts, 0)
        self._paths |= {task.number: path for task, path in zip(tasks, files, strict=True)}
        self._entries = list_derived(self._lake, self._derivation.fingerprint)

    def compact(self, day: LandedDay, numbers: Sequence[int]) -> CompactedDay:
        """Copy the narrow columns of parts that were opened into one file."""
        parts = (
            (Member(table.num_rows, footer_digest(path)), table)
            for path in (self._paths[number] for number in numbers)
            for table in (read_columns(path, NARROW.names),)
        )
        day_file = self._compacted.make(self._work / f"day-{numbers[0]:06}.parquet", parts)
        if day.folder:
            self._compacted.put(day.folder, self._entries_of(numbers), day_file)
        return day_file

    def open(self, number: int) -> Path:
        """Return the local file of a derived part; its footer is as it was written."""
        if number not in self._paths:
            entries = self._entries[self._landed[number].part.entry.key]
            paths = (self._lake.local(entry) for entry in entries)
            footer = self._footers[number].footer
            path = next((each for each in paths if footer_digest(each) == footer), None)
            if path is None:
                return self.repair(number)
            self._paths[number] = path
        return self._paths[number]

    def repair(self, number: int) -> Path:
        """Compute a derived part anew, whose file was removed or is damaged."""
        self._compute([self._task(number)], lambda _count, _total: None)
        return self._paths[number]


def derive_options(recipe: Recipe) -> DeriveOptions:
    """Return the settings of a recipe that decide derived parts."""
    # The split always compares turns; another scope is only sketched if curation compares it.
    other_scopes = {recipe.curate.near_scope} - {"turns"} if recipe.curate.near_duplicates else ()
    return DeriveOptions(
        keep_reasoning=recipe.normalise.keep_reasoning,
        scopes=("turns", *other_scopes),
        has_languages=bool(recipe.quality.languages),
    )


def _find(lake: Store, task: DeriveTask) -> Path | None:
    """Return the local file of a sound derived part of the lake, or None."""
    if not task.entries:
        return None
    landed_digest = digest_of(lake.local(task.landed))
    for entry in task.entries:
        try:
            path = lake.local(entry)
        except TransientError:  # removed since it was listed
            continue
        if is_sound(path, entry.key, landed_digest):
            return path
    return None


def task_runs(tasks: Iterable[DeriveTask]) -> Iterator[list[DeriveTask]]:
    """Group tasks that one worker does in a row: several small ones, bounded in bytes."""
    run, size = list[DeriveTask](), 0
    for task in tasks:
        if run and (size + task.landed.size > MAX_RUN_BYTES or len(run) == MAX_RUN_PARTS):
            yield run
            run, size = [], 0
        run.append(task)
        size += task.landed.size
    if run:
        yield run


def compute_derived(derivation: Derivation, run: Sequence[DeriveTask]) -> list[Entry]:
    """Compute the derived parts of landed parts and put them into the lake.

    Raises:
        IntegrityError: a landed part is damaged.
    """
    lake, entries = reopen_store(derivation.lake), list[Entry]()
    landed = [lake.local(task.landed) for task in run]
    tables = chain.from_iterable(
        ((number, table) for table in read_rows(path, LANDED.names, None))
        for number, path in enumerate(landed)
    )
    numbered_pieces = _derive_together(tables, derivation.options)
    with TemporaryDirectory(prefix="sluice-derive-") as folder:
        path = Path(folder, "derived.parquet")
        for number, pieces in groupby(numbered_pieces, itemgetter(0)):
            task = run[number]
            with open_derived(path, digest_of(landed[number])) as writer:
                for _, piece in pieces:
                    writer.write_table(piece)
                    del piece  # it may be large; the next one is computed without it
            if task.landed.size > MAX_RUN_BYTES:  # small parts reuse the memory, which is faster
                pa.default_memory_pool().release_unused()
            name = derivation.fingerprint
            entries.append(put_derived(lake, name, task.landed.key, path, task.entries))
    return entries


def _derive_together(
    tables: Iterable[tuple[int, pa.Table]], options: DeriveOptions
) -> Iterator[tuple[int, pa.Table]]:
    """Yield the derived rows of each landed table, beside the number of its part.

    To derive few rows takes as long as to derive hundreds: small tables are derived as one.
    """
    batch, size = list[tuple[int, pa.Table]](), 0
    for number, table in tables:
        batch.append((number, table))
        size += table.nbytes
        del table
        if size >= TOGETHER_BYTES:
            yield from _derive_batch(batch, options)
            batch, size = [], 0
    yield from _derive_batch(batch, options)


def _derive_batch(
    batch: list[tuple[int, pa.Table]], options: DeriveOptions
) -> Iterator[tuple[int, pa.Table]]:
    places = [(number, table.num_rows) for number, table in batch]
    if not batch:
        return
    landed = pa.concat_tables([table for _, table in batch])
    batch.clear()
    rows, start = derive_rows(landed, options), 0
    for number, row_count in places:
        yield number, rows.slice(start, row_count)
        start += row_count
