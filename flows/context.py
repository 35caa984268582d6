"""The context of one build: an opened recipe, and the stores and tables that it names."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from bedrock_sluice.flows.recipe import Recipe, load_recipe
from bedrock_sluice.lake.evaluation import Evaluation, read_evaluation
from bedrock_sluice.lake.labels import Labels, read_labels
from bedrock_sluice.lake.logs.landed import (
    Held,
    Part,
    choose_versions,
    read_parts,
    read_rows,
    source_name,
)
from bedrock_sluice.lake.logs.source import Source, open_source
from bedrock_sluice.lake.stores.opening import open_store
from bedrock_sluice.lake.stores.store import Store
from bedrock_sluice.rewards.conformance.profile import Profile
from bedrock_sluice.rewards.profiles import profile_named
from bedrock_sluice.rewards.running.process import LocalGrader
from bedrock_sluice.rewards.templates.base import Template, template_named
from bedrock_sluice.transforms.derived_metadata import Derivation, columns_needed, derive_tags
from bedrock_sluice.transforms.errors import ConfigError
from bedrock_sluice.transforms.features.languages import check_languages
from bedrock_sluice.transforms.tables import EXCHANGES, LANDED

KEYS = ("object", "line")
BATCH_ROWS = 2_048  # of exchanges, with their text, held at once


@dataclass(frozen=True)
class Reading:
    """How to read one part: its file, the log objects to take (None: all), the tags to derive."""

    path: Path
    objects: list[str] | None
    derivations: list[Derivation]

    def rows(self, columns: Sequence[str]) -> Iterator[pa.Table]:
        """Columns of its rows (schema `tables.LANDED`), a row group at a time."""
        if not self.derivations:
            yield from read_rows(self.path, columns, self.objects)
            return
        needed = {*columns, "request_metadata", *columns_needed(self.derivations)}
        for rows in read_rows(self.path, sorted(needed), self.objects):
            yield derive_tags(pl.DataFrame(rows), self.derivations).select(columns).to_arrow()


@dataclass(frozen=True)
class BuildContext:
    """What every step of a build is given; `work` is a private folder for this build's files."""

    recipe: Recipe
    base: Path
    work: Path

    @cached_property
    def lake(self) -> Store:
        """The lake, which Sluice owns."""
        return open_store(self.recipe.lake, self.base)

    @cached_property
    def source(self) -> Source:
        """The source of the logs, and where bodies may be stored apart.

        Raises:
            ConfigError: there are no logs.
        """
        bodies = [open_store(uri, self.base).uri for uri in self.recipe.source.bodies]
        return replace(open_source(self.recipe.source.uri, self.base), bodies=tuple(bodies))

    @cached_property
    def template(self) -> Template:
        """The template that the recipe names, as it sets it."""
        asked = self.recipe.template
        return template_named(asked.name, asked.options())

    @cached_property
    def profiles(self) -> list[Profile]:
        """The profiles of conformance that every line must pass."""
        asked = self.recipe.template.profiles or self.template.profiles
        return [profile_named(name) for name in asked]

    @cached_property
    def labels(self) -> list[Labels]:
        """The label tables that the recipe names."""
        asked = self.recipe.answer
        return [read_labels(uri, self.base, asked.label_key) for uri in asked.labels]

    @cached_property
    def feedback(self) -> list[Labels]:
        """The tables of what people said of responses."""
        asked = self.recipe.answer.feedback
        return [read_labels(uri, self.base, kind="feedback table") for uri in asked]

    def find_all_named(self) -> None:
        """Open all that the recipe names, before it all takes time.

        Raises:
            ConfigError: one of them is not there, or broken.
        """
        _ = self.lake, self.source
        _ = self.labels, self.feedback, self.evaluation
        check_languages(self.recipe.quality.languages)
        grader = self.recipe.grader
        if grader and grader.python:
            LocalGrader(grader.python, self.base).place()

    @cached_property
    def evaluation(self) -> Evaluation:
        """The evaluation sets that the recipe names."""
        return read_evaluation(self.recipe.curate.against, self.base)

    @cached_property
    def chosen(self) -> list[tuple[Part, list[Held]]]:
        """The parts of the window, by key, and of each the log objects to read from it.

        Raises:
            ConfigError: the lake holds no log object of the window.
        """
        parts = read_parts(self.lake, source_name(self.source), self.recipe.window)
        versions = choose_versions(parts)
        found = [(p, self._asked(versions.get(p.entry.key, []))) for p in parts]
        if not any(held for _, held in found):
            raise ConfigError(self._no_logs())
        return [(part, held) for part, held in found if held]

    def _asked(self, held: list[Held]) -> list[Held]:
        return [h for h in held if h.key.startswith(self.source.below)]

    def _no_logs(self) -> str:
        since, until = map(_minute, (self.recipe.window.since, self.recipe.window.until))
        return (
            f"no log objects under {self.recipe.source.uri} for records from "
            f"{since or 'the first'} until {until or 'the last'} (UTC); "
            f"{_days_in_words(self.source.days())}. Change [source] since and until, or uri"
        )

    @cached_property
    def derivations(self) -> list[Derivation]:
        """How tags are told where they were not logged."""
        return [Derivation(**rule.model_dump()) for rule in self.recipe.derive]

    def reading(self) -> Iterator[Reading]:
        """How to read each part of the window, in the order of their keys."""
        for part, held in self.chosen:
            objects = [h.key for h in held] if len(held) < len(part.objects) else None
            yield Reading(self.lake.local(part.entry), objects, self.derivations)

    def landed_reader(
        self, columns: tuple[str, ...], problems: list[Exception]
    ) -> pa.RecordBatchReader:
        """The landed rows of the window as a stream of record batches, for DuckDB.

        What goes wrong while it is read is added to `problems`.

        Raises:
            ConfigError: as `chosen` does.
        """
        readings = list(self.reading())
        schema = pa.schema([LANDED.field(name) for name in columns])

        def batches() -> Iterator[pa.RecordBatch]:
            try:
                for table in (table for reading in readings for table in reading.rows(columns)):
                    yield from table.cast(schema).to_batches()
            except Exception as error:
                problems.append(error)
                raise

        return pa.RecordBatchReader.from_batches(schema, batches())

    def exchanges_path(self, part: int) -> Path:
        """The file of the exchanges (schema `tables.EXCHANGES`) of the part with this number."""
        return self.work / f"exchanges-{part:06}.parquet"

    def exchanges(self, columns: tuple[str, ...], wanted: pl.DataFrame) -> Iterator[pl.DataFrame]:
        """Columns of the exchanges whose row numbers are in `wanted["exchange"]`, in their order.

        They come in bounded pieces, each with `exchange` beside the columns. The rows are copied
        out: a frame that was only filtered would hold on to the text of all the others.
        """
        schema = pa.schema([EXCHANGES.field(name) for name in columns])
        yield _numbered(schema.empty_table(), pa.array([], pa.uint32()))  # there may be none
        numbers = wanted["exchange"].sort().to_numpy()
        first = 0
        for batch in self._exchange_batches(columns):
            start, end = numbers.searchsorted([first, first + batch.num_rows])
            here = pa.array(numbers[start:end])
            yield _numbered(batch.take(pc.subtract(here, pa.scalar(first, here.type))), here)
            first += batch.num_rows

    def exchange_rows(self, numbers: NDArray[np.int64]) -> Iterator[tuple[Path, NDArray[np.int64]]]:
        """The files that exchanges of these (ascending) numbers are in, and their rows there."""
        first = 0
        for part in range(len(self.chosen)):
            path = self.exchanges_path(part)
            rows = pq.read_metadata(path).num_rows
            start, end = numbers.searchsorted([first, first + rows])
            if end > start:
                yield path, numbers[start:end].astype(np.int64) - first
            first += rows

    def _exchange_batches(self, columns: tuple[str, ...]) -> Iterator[pa.RecordBatch]:
        for number in range(len(self.chosen)):
            with pq.ParquetFile(self.exchanges_path(number)) as file:
                yield from bounded_batches(file, columns)


def bounded_batches(file: pq.ParquetFile, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """The rows of a file in batches that end with their row group: those are bounded in bytes."""
    for group in range(file.num_row_groups):
        yield from file.iter_batches(BATCH_ROWS, row_groups=[group], columns=list(columns))


def _numbered(rows: pa.Table | pa.RecordBatch, numbers: pa.Array) -> pl.DataFrame:
    return pl.DataFrame(rows).with_columns(exchange=pl.Series(numbers))


def _minute(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M}" if at else ""


def _days_in_words(days: Sequence[date]) -> str:
    if len(days) <= 1:
        return f"there are logs of {days[0]} alone" if days else "there are no logs of any day"
    return f"there are logs of {len(days):,} days, {days[0]} to {days[-1]}"


@contextmanager
def open_context(
    path: Path, since: datetime | None = None, until: datetime | None = None
) -> Iterator[BuildContext]:
    """Open a recipe: fix its window now, and lend it a work folder that is removed at the end.

    Raises:
        ConfigError: the recipe is wrong; or Python runs in a way that the gate can't.
    """
    if sys.flags.optimize > 1:
        raise ConfigError(
            "Python runs without docstrings (-OO, PYTHONOPTIMIZE=2), and Great Expectations can't "
            "be imported like that; unset PYTHONOPTIMIZE"
        )
    recipe = load_recipe(path).at(datetime.now(UTC), since, until)
    with TemporaryDirectory(prefix="sluice-work-") as work:
        yield BuildContext(recipe, path.absolute().parent, Path(work))
