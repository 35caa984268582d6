"""Exclusions: records that must not be used, by tenant, caller or contract, within dates."""

from collections.abc import Iterable
from dataclasses import asdict
from fnmatch import fnmatchcase
from itertools import compress, product

import polars as pl

from bedrock_sluice.transforms.rights.settings import SUBJECTS, Exclusion

_COLUMNS: dict[str, pl.DataType] = {
    "place": pl.String(),  # where the entry stands: `exclude[1]`, `left.csv:7`
    **dict.fromkeys(SUBJECTS, pl.String()),  # null: whatever the record has
    "since": pl.Datetime("us", "UTC"),
    "until": pl.Datetime("us", "UTC"),
}
EXCLUSIONS = pl.Schema(_COLUMNS)


def tabulate(exclusions: Iterable[Exclusion]) -> pl.DataFrame:
    """Return `EXCLUSIONS` of entries."""
    return pl.DataFrame([asdict(each) for each in exclusions], schema=EXCLUSIONS)


def find_excluded(records: pl.DataFrame, exclusions: pl.DataFrame) -> pl.Series:
    """Return the place of the first entry (in their order) that excludes each record, or null.

    `records` have `tenant, caller, contract` (null: none) and `timestamp`. A record without a time
    is excluded whatever the dates of an entry.
    """
    entries = _name_callers(exclusions.with_row_index("entry"), records["caller"])
    rows = records.select(*SUBJECTS, "timestamp").with_row_index("row")
    matches = [pl.DataFrame(schema={"row": pl.UInt32, "entry": pl.UInt32})]
    for has_subject in product((True, False), repeat=len(SUBJECTS)):
        names = list(compress(SUBJECTS, has_subject))
        is_of_kind = [
            pl.col(name).is_not_null() == flag
            for name, flag in zip(SUBJECTS, has_subject, strict=True)
        ]
        group = entries.filter(*is_of_kind)
        if names and group.height:
            pairs = rows.join(group.select(*names, "entry", "since", "until"), on=names)
            matches.append(pairs.filter(_is_in_time()).select("row", "entry"))
    first = pl.concat(matches).group_by("row").agg(pl.col("entry").min())
    places = first.join(exclusions.with_row_index("entry").select("entry", "place"), on="entry")
    return rows.join(places, on="row", how="left", maintain_order="left")["place"]


def _is_in_time() -> pl.Expr:
    is_after = pl.col("since").is_null() | (pl.col("timestamp") >= pl.col("since"))
    is_before = pl.col("until").is_null() | (pl.col("timestamp") < pl.col("until"))
    return (is_after & is_before).fill_null(value=True)


def _name_callers(entries: pl.DataFrame, callers: pl.Series) -> pl.DataFrame:
    """Replace each pattern of callers by the callers that match it, a row each."""
    names = callers.drop_nulls().unique().to_list()
    pairs = [
        (pattern, name)
        for pattern in entries["caller"].drop_nulls().unique()
        for name in (
            (each for each in names if fnmatchcase(each, pattern))
            if {"*", "?"} & set(pattern)
            else (pattern,)
        )
    ]
    matches = pl.DataFrame(pairs, schema={"caller": pl.String, "name": pl.String}, orient="row")
    of_anyone = entries.filter(pl.col("caller").is_null())
    with_names = entries.drop_nulls("caller").join(matches, on="caller")
    return pl.concat(
        [of_anyone, with_names.drop("caller").rename({"name": "caller"}).select(entries.columns)]
    )
