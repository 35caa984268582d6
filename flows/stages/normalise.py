"""The stage `normalise`: selected records to exchanges, which are rows of derived parts."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa

from bedrock_sluice.flows.context import BuildContext
from bedrock_sluice.flows.running.executor import in_order
from bedrock_sluice.flows.running.runner import ReportProgress
from bedrock_sluice.flows.stages.derive import derive
from bedrock_sluice.lake.exchanges import ExchangeFile, read_columns
from bedrock_sluice.lake.logs.landed_window import PartReader
from bedrock_sluice.transforms.curate.derived_rows import DERIVED
from bedrock_sluice.transforms.fates import FilterResult
from bedrock_sluice.transforms.readers.normalise import READ_COLUMNS
from bedrock_sluice.transforms.tables import EXCHANGES, RECORD_KEY, TEXT_COLUMNS

_LANDED_COLUMNS = [name for name in EXCHANGES.names if name not in READ_COLUMNS]
_DERIVED_COLUMNS = ["reason", "detail", *(n for n in READ_COLUMNS if n not in TEXT_COLUMNS)]


def normalise(
    context: BuildContext, records: pl.DataFrame, report_progress: ReportProgress
) -> FilterResult:
    """Find the exchanges of the selected records, and tell the context where they are.

    Kept rows have all columns of exchanges but the texts, and their number as `exchange`.
    """
    landed = context.landed
    objects = [(each.key, n) for n, part in enumerate(landed.parts) for each in part.objects]
    parts = pl.DataFrame(objects, schema={"object": pl.String, "part": pl.UInt32}, orient="row")
    keys_by_part = {
        number: keys
        for (number,), keys in records.select(RECORD_KEY)
        .join(parts, on="object")
        .partition_by("part", as_dict=True, include_key=False)
        .items()
    }
    paths = derive(context, keys_by_part.keys(), report_progress)
    tasks = [
        PartTask(reader, paths[number], keys_by_part[number])
        for number, reader in enumerate(landed.readers())
        if number in paths
    ]
    results = list(in_order(read_part, tasks, 0))
    is_exchange = pl.col("reason").is_null()
    context.exchanges.files = [
        ExchangeFile(task.path, result.filter(is_exchange)["row"].to_numpy().astype(np.int64))
        for task, result in zip(tasks, results, strict=True)
    ]
    rows = pl.concat([_no_rows(), *results])
    return FilterResult(
        kept=rows.filter(is_exchange).with_row_index("exchange"),
        rejected=rows.filter(~is_exchange).select(*RECORD_KEY, "request_id", "reason", "detail"),
    )


@dataclass(frozen=True)
class PartTask:
    """A landed part, its derived part, and which records (`object, line`) of it to read."""

    reader: PartReader
    path: Path
    records: pl.DataFrame


def read_part(task: PartTask) -> pl.DataFrame:
    """Read the columns of these records but the texts, with their `row` in the derived part.

    Records without an exchange have a `reason`.
    """
    # Rows are matched by position, so those of log objects that are not read count too.
    reader = replace(task.reader, objects=None)
    landed = pl.concat([pl.DataFrame(table) for table in reader.read(_LANDED_COLUMNS)])
    derived_rows = pl.DataFrame(read_columns(task.path, _DERIVED_COLUMNS))
    rows = pl.concat([landed, derived_rows], how="horizontal").with_row_index("row")
    return rows.join(task.records, on=RECORD_KEY, how="semi", maintain_order="left")


def _no_rows() -> pl.DataFrame:
    """Return the columns of `read_part` without rows: of a window none may be selected."""
    fields = [EXCHANGES.field(name) for name in _LANDED_COLUMNS]
    fields += [DERIVED.field(name) for name in _DERIVED_COLUMNS]
    return pl.DataFrame(pa.schema(fields).empty_table()).with_row_index("row")
