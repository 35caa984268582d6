"""The stage `normalise`: selected records to exchanges, part by part."""

from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from bedrock_sluice.flows.context import KEYS, BuildContext, Reading
from bedrock_sluice.flows.executor import in_order
from bedrock_sluice.flows.recipe.sections import NormaliseSection
from bedrock_sluice.flows.runner import ReportProgress
from bedrock_sluice.transforms.fates import FilterResult
from bedrock_sluice.transforms.readers.normalise import normalise as normalise_rows
from bedrock_sluice.transforms.tables import EXCHANGES, LANDED, TEXT_COLUMNS

_NARROW_EXCHANGES = [name for name in EXCHANGES.names if name not in TEXT_COLUMNS]


def normalise(
    context: BuildContext, selected: pl.DataFrame, report_progress: ReportProgress
) -> FilterResult:
    """Read the selected records into exchanges, on disk.

    Kept rows are those without their text, with their row number there as `exchange`.
    """
    of_part = [(held.key, n) for n, (_, objects) in enumerate(context.chosen) for held in objects]
    parts = pl.DataFrame(of_part, schema={"object": pl.String, "part": pl.UInt32}, orient="row")
    lines = selected.select(KEYS).join(parts, on="object").partition_by("part", as_dict=True)
    none = selected.select(KEYS).clear()
    tasks = [
        NormaliseTask(
            reading, lines.get((n,), none), context.exchanges_path(n), context.recipe.normalise
        )
        for n, reading in enumerate(context.reading())
    ]
    size = sum(part.entry.size for part, _ in context.chosen)
    rejected = list[pl.DataFrame]()
    for frame in in_order(normalise_part, tasks, size):
        rejected.append(frame)
        report_progress(len(rejected), len(tasks))
    narrow = [pq.read_table(task.out, columns=_NARROW_EXCHANGES) for task in tasks]
    kept = pl.DataFrame(pa.concat_tables(narrow)).with_row_index("exchange")
    return FilterResult(kept=kept, rejected=pl.concat(rejected))


@dataclass(frozen=True)
class NormaliseTask:
    """One part to read into exchanges: which lines (`object, line`) of it, and where to."""

    reading: Reading
    lines: pl.DataFrame
    out: Path
    asked: NormaliseSection


def normalise_part(task: NormaliseTask) -> pl.DataFrame:
    """Write the exchanges of one part to their file; returns the rows that gave none."""
    rejected = list[pl.DataFrame]()
    with pq.ParquetWriter(task.out, EXCHANGES, compression="zstd") as writer:
        for table in task.reading.rows(LANDED.names):
            rejected.append(_normalise_rows(task, table, writer))
            del table  # it may be large; the next one is read without it
    pa.default_memory_pool().release_unused()
    return pl.concat(rejected)


def _normalise_rows(task: NormaliseTask, table: pa.Table, writer: pq.ParquetWriter) -> pl.DataFrame:
    wanted = pl.DataFrame(table.select(KEYS)).with_row_index("row")
    rows = wanted.join(task.lines, on=KEYS, how="semi", maintain_order="left")["row"]
    landed = table if len(rows) == table.num_rows else table.take(rows.to_arrow())
    read = normalise_rows(landed, keep_reasoning=task.asked.keep_reasoning)
    writer.write_table(read.exchanges)
    return read.rejected
