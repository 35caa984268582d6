"""How the rows of a table of labels or feedback were used."""

from typing import NamedTuple

import polars as pl

from bedrock_sluice.transforms.answers.sources import SourceResult


class TableUsage(NamedTuple):
    """How the rows of a table were used: each row of `rows` is counted in one other field.

    `not_selected` are for records of the logs that need no answer, `unknown` for none of the logs;
    `unused` were contradicted, or another source came first. `prompts` is the number of prompts
    that have a usable row.
    """

    rows: int
    used: int
    not_selected: int
    unknown: int
    unreadable: int
    late: int
    undated: int
    unused: int
    prompts: int


def table_usage(
    result: SourceResult, logged_keys: pl.Series, decided_digests: pl.Series
) -> TableUsage:
    """Count how the rows of a table were used.

    `logged_keys` are all keys in the logs; `decided_digests` those of the prompts whose answer, or
    whose lack of one, comes from this table.
    """
    not_selected = int(result.unmatched_keys.is_in(logged_keys.unique().implode()).sum())
    usable = result.usable
    is_decisive = pl.col("prompt_digest").is_in(decided_digests.implode())
    rows_used = usable.filter(is_decisive)["row"].n_unique()
    return TableUsage(
        rows=result.rows,
        used=rows_used,
        not_selected=not_selected,
        unknown=result.unmatched_keys.len() - not_selected,
        unreadable=result.unreadable,
        late=result.late,
        undated=result.no_time,
        unused=usable["row"].n_unique() - rows_used,
        prompts=usable["prompt_digest"].n_unique(),
    )
