"""The stage `normalise`: selected records to exchanges, which are rows of derived parts."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
import pyarrow as pa

from bedrock_sluice.flows.context import BuildContext
from bedrock_sluice.flows.running.executor import in_order
from bedrock_sluice.flows.running.runner import ReportProgress
from bedrock_sluice.flows.stages.derive import DerivedDay, derive
from bedrock_sluice.lake.compacted import CompactedDay
from bedrock_sluice.lake.exchanges import ExchangeFile, ExchangePart, read_columns
from bedrock_sluice.lake.logs.landed_window import LandedWindow
from bedrock_sluice.transforms.curate.derived_rows import DERIVED
from bedrock_sluice.transforms.fates import FilterResult, partition
from bedrock_sluice.transforms.readers.normalise import READ_COLUMNS
from bedrock_sluice.transforms.tables import EXCHANGES, RECORD_KEY, TEXT_COLUMNS, compact

_LANDED_COLUMNS = [name for name in EXCHANGES.names if name not in READ_COLUMNS]
_PLACE = ("part", "row", "row_of_day")
_DERIVED_COLUMNS = ["reason", "detail", *(n for n in READ_COLUMNS if n not in TEXT_COLUMNS)]


def normalise(
    context: BuildContext, records: pl.DataFrame, report_progress: ReportProgress
) -> FilterResult:
    """Find the exchanges of the selected records, and tell the context where they are.

    Kept rows have all columns of exchanges but the texts, and their number as `exchange`.
    """
    objects = [(o.key, n) for n, part in enumerate(context.landed.parts) for o in part.objects]
    parts = pl.DataFrame(objects, schema={"object": pl.String, "part": pl.UInt32}, orient="row")
    keys = records.select(RECORD_KEY).join(parts, on="object")
    days = derive(context, frozenset(keys["part"].unique()), report_progress)
    tasks = [DayTask(context.landed, each, _of_parts(keys, each.numbers)) for each in days]
    results = [partition(rows) for rows in in_order(read_day, tasks, 0)]
    context.exchanges.days = [
        ExchangeFile(each.file.path, result.kept["row_of_day"].to_numpy())
        for each, result in zip(days, results, strict=True)
    ]
    context.exchanges.parts = [
        ExchangePart(number, rows["row"].to_numpy())
        for result in results
        for (number,), rows in result.kept.select("part", "row")
        .partition_by("part", as_dict=True)
        .items()
    ]
    rejected = _concat_days(result.rejected for result in results)
    return FilterResult(
        kept=_concat_days(result.kept for result in results).with_row_index("exchange"),
        rejected=rejected.select(*RECORD_KEY, "request_id", "reason", "detail"),
    )


def _of_parts(keys: pl.DataFrame, numbers: Sequence[int]) -> pl.DataFrame:
    return keys.filter(pl.col("part").is_between(numbers[0], numbers[-1]))


@dataclass(frozen=True)
class DayTask:
    """A day of a window, its derived parts, and which records (`object, line, part`) to read."""

    landed: LandedWindow
    derived_day: DerivedDay
    records: pl.DataFrame


def read_day(task: DayTask) -> pl.DataFrame:
    """Read the columns of these records but the texts, with their place: the columns `_PLACE`.

    `row` is that in the derived part of the landed part number `part`, `row_of_day` that in the
    compacted day. Records without an exchange have a `reason`.
    """
    day, day_file = task.derived_day.day, task.derived_day.file
    landed = pl.DataFrame(task.landed.read_day(day, _LANDED_COLUMNS))
    places = _number_rows(day.numbers, day.file)
    rows = pl.concat([landed, places], how="horizontal").join(
        task.records, on=[*RECORD_KEY, "part"], how="semi", maintain_order="left"
    )
    of_day = _number_rows(task.derived_day.numbers, day_file).with_row_index("row_of_day")
    rows = rows.join(of_day, on=["part", "row"], how="left", maintain_order="left", validate="1:1")
    rows = rows.with_columns(pl.col("row_of_day").cast(pl.Int64))
    columns = pl.DataFrame(read_columns(day_file.path, _DERIVED_COLUMNS))
    selection = pl.concat([rows, columns[rows["row_of_day"]]], how="horizontal")
    return compact(selection)


def _number_rows(numbers: Sequence[int], day_file: CompactedDay) -> pl.DataFrame:
    """Return the `part` and the `row` there of each row of a compacted day."""
    sizes = [member.rows for member in day_file.members]
    parts = np.repeat(np.array(numbers, np.uint32), sizes)
    rows = [np.zeros(0, np.int64), *map(np.arange, sizes)]
    return pl.DataFrame({"part": parts, "row": np.concatenate(rows)})


def _concat_days(days: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """Return the rows of all days, of which there may be none, without their place."""
    fields = [EXCHANGES.field(name) for name in _LANDED_COLUMNS]
    fields += [DERIVED.field(name) for name in _DERIVED_COLUMNS]
    no_rows = pl.DataFrame(pa.schema(fields).empty_table())
    return pl.concat([no_rows, *(each.drop(*_PLACE) for each in days)])
