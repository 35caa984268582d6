"""The stage `normalise`: selected records to exchanges, part by part."""

from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from bedrock_sluice.flows.context import BuildContext
from bedrock_sluice.flows.recipe.sections import NormaliseSection
from bedrock_sluice.flows.running.executor import in_order
from bedrock_sluice.flows.running.runner import ReportProgress
from bedrock_sluice.lake.exchanges import write_exchanges
from bedrock_sluice.lake.logs.landed_window import PartReader
from bedrock_sluice.transforms.fates import FilterResult
from bedrock_sluice.transforms.readers.normalise import normalise as normalise_rows
from bedrock_sluice.transforms.tables import LANDED, RECORD_KEY


def normalise(
    context: BuildContext, records: pl.DataFrame, report_progress: ReportProgress
) -> FilterResult:
    """Read the selected records into exchanges, on disk.

    Kept rows are those without their text, with their row number there as `exchange`.
    """
    landed, exchanges = context.landed, context.exchanges
    objects = [(each.key, n) for n, part in enumerate(landed.parts) for each in part.objects]
    parts = pl.DataFrame(objects, schema={"object": pl.String, "part": pl.UInt32}, orient="row")
    keys = records.select(RECORD_KEY)
    keys_by_part = keys.join(parts, on="object").partition_by("part", as_dict=True)
    tasks = [
        NormaliseTask(
            reader,
            keys_by_part.get((n,), keys.clear()),
            exchanges.path(n),
            context.recipe.normalise,
        )
        for n, reader in enumerate(landed.readers())
    ]
    rejected = list[pl.DataFrame]()
    for frame in in_order(normalise_part, tasks, landed.size_bytes()):
        rejected.append(frame)
        report_progress(len(rejected), len(tasks))
    return FilterResult(kept=exchanges.read_narrow(), rejected=pl.concat(rejected))


@dataclass(frozen=True)
class NormaliseTask:
    """One part to read into exchanges: which records (`object, line`) of it, and where to."""

    reader: PartReader
    records: pl.DataFrame
    out: Path
    options: NormaliseSection


def normalise_part(task: NormaliseTask) -> pl.DataFrame:
    """Write the exchanges of one part to their file; return the records that have none."""
    rejected = list[pl.DataFrame]()
    with write_exchanges(task.out) as writer:
        for table in task.reader.read(LANDED.names):
            rejected.append(_normalise_table(task, table, writer))
            del table  # it may be large; the next one is read without it
    pa.default_memory_pool().release_unused()
    return pl.concat(rejected)


# A function of its own, so that its tables are freed before the next one is read.
def _normalise_table(
    task: NormaliseTask, table: pa.Table, writer: pq.ParquetWriter
) -> pl.DataFrame:
    records = pl.DataFrame(table.select(RECORD_KEY)).with_row_index("row")
    rows = records.join(task.records, on=RECORD_KEY, how="semi", maintain_order="left")["row"]
    landed = table if len(rows) == table.num_rows else table.take(rows.to_arrow())
    result = normalise_rows(landed, keep_reasoning=task.options.keep_reasoning)
    writer.write_table(result.exchanges)
    return result.rejected
