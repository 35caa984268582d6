"""Slices of a release: for each value of a field, how many records were selected, how many stayed.

Values are metadata of the logs, so they are for reviewers alone, and never for the manifest.
"""

from collections.abc import Callable, Sequence

import msgspec
import polars as pl

from bedrock_sluice.transforms.curate.caps import caller
from bedrock_sluice.transforms.sampling import LENGTH_BANDS, stratum
from bedrock_sluice.transforms.tables import RECORD_KEY

MAX_VALUES = 12  # of one slice
MAX_KEYS = 40  # metadata keys, those of most records first
MAX_DAYS = 400
MIN_RATIO, MIN_GAIN = 1.5, 0.05  # from which shares a value is over-represented

SLICES = pl.Schema(
    {
        "slice": pl.String,
        "is_metadata": pl.Boolean,
        "values": pl.UInt32,
        "value": pl.String,
        "records": pl.UInt32,
        "lines": pl.UInt32,
    }
)
"""One row per frequent value of a slice, null for records without one; `values` is the number of
different values of the slice. `records` were selected, `lines` are those of them in the release."""

FIELDS = ("model", "day", "length", "caller", "system_prompt")


class SliceValue(msgspec.Struct, frozen=True):
    """A value with its numbers and its shares of all selected records and of all lines."""

    value: str | None
    records: int
    lines: int
    record_share: float
    line_share: float

    @property
    def is_over_represented(self) -> bool:
        """Whether its share of the lines is much larger than its share of the records."""
        gain = self.line_share - self.record_share
        return gain >= MIN_GAIN and self.line_share >= MIN_RATIO * self.record_share


class SliceFacts(msgspec.Struct, frozen=True):
    """One slice: its most frequent values, and how many different values it has."""

    slice: str
    is_metadata: bool
    distinct_values: int
    rows: list[SliceValue]


def count_slices(exchanges: pl.DataFrame, lines: pl.DataFrame) -> pl.DataFrame:
    """Return the `SLICES` of the selected records.

    `exchanges` has `object, line, timestamp, model_id, prompt_tokens, identity_arn, system_digest,
    request_metadata`; `lines` has `object, line` of those that became lines.
    """
    is_line = pl.lit(value=True).alias("is_line")
    records = exchanges.join(
        lines.select(*RECORD_KEY, is_line), on=RECORD_KEY, how="left", maintain_order="left"
    ).with_columns(pl.col("is_line").fill_null(value=False))
    fields = {
        "model": stratum("model_id"),
        "day": pl.col("timestamp").dt.strftime("%Y-%m-%d"),
        "length": stratum("length"),
        "caller": caller(),
        "system_prompt": pl.col("system_digest"),
    }
    tables = [
        _count(records.select("is_line", value=value.cast(pl.String)), name, is_metadata=False)
        for name, value in fields.items()
    ]
    for key in _frequent_keys(records):
        values = records.select("is_line", value=stratum(key))
        tables.append(_count(values, key, is_metadata=True))
    return pl.concat([SLICES.to_frame(), *tables])


def _frequent_keys(records: pl.DataFrame) -> Sequence[str]:
    keys = records.select(key=pl.col("request_metadata").map.keys()).explode("key").drop_nulls()
    counts = keys.group_by("key").len().sort("len", "key", descending=[True, False])
    return counts["key"].head(MAX_KEYS).to_list()


def _count(values: pl.DataFrame, name: str, *, is_metadata: bool) -> pl.DataFrame:
    """Count records and lines of each value, the most frequent values first; days by date."""
    counts = values.group_by("value").agg(records=pl.len(), lines=pl.col("is_line").sum())
    frequent_first = counts.sort(
        "lines", "records", "value", descending=[True, True, False], nulls_last=True
    )
    if name == "day" and not is_metadata:
        rows = frequent_first.head(MAX_DAYS).sort("value", nulls_last=True)
    else:
        rows = frequent_first.head(MAX_VALUES)
    table = rows.with_columns(
        slice=pl.lit(name),
        is_metadata=pl.lit(is_metadata),
        values=pl.lit(counts["value"].drop_nulls().len()),
    )
    return table.select(pl.col(column).cast(kind) for column, kind in SLICES.items())


def mask_slices(slices: pl.DataFrame, mask: Callable[[str], str]) -> pl.DataFrame:
    """Return `SLICES` with `mask` applied to the names and the values of slices."""
    columns = {
        name: pl.Series([None if each is None else mask(each) for each in slices[name]], dtype=kind)
        for name, kind in SLICES.items()
        if kind == pl.String
    }
    return slices.with_columns(**columns)


def slice_facts(slices: pl.DataFrame, records: int, lines: int) -> list[SliceFacts]:
    """Return `SLICES` with shares of so many selected records and lines.

    A slice in which no record has a value is left out.
    """
    facts = list[SliceFacts]()
    for (name, is_metadata), table in slices.group_by("slice", "is_metadata", maintain_order=True):
        if table["values"][0] == 0:
            continue
        rows = [
            SliceValue(
                row["value"],
                row["records"],
                row["lines"],
                row["records"] / max(records, 1),
                row["lines"] / max(lines, 1),
            )
            for row in table.iter_rows(named=True)
        ]
        if name == "length" and not is_metadata:
            bands = [band for band, _ in LENGTH_BANDS]
            rows.sort(key=lambda row: bands.index(row.value) if row.value in bands else len(bands))
        facts.append(SliceFacts(str(name), bool(is_metadata), table["values"][0], rows))
    return facts
