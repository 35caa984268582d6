"""How the rows of a table of labels or feedback were used."""

import polars as pl

from bedrock_sluice.transforms.answers.sources import SourceResult
from bedrock_sluice.transforms.facts.release_facts import SourceUsage, TableRows


def table_usage(
    result: SourceResult, logged_keys: pl.Series, decided_digests: pl.Series
) -> SourceUsage:
    """Count the prompts that have a usable row in a table, and how its rows were used.

    `logged_keys` are all keys in the logs; `decided_digests` those of the prompts whose answer, or
    whose lack of one, comes from this table.
    """
    not_selected = int(result.unmatched_keys.is_in(logged_keys.unique().implode()).sum())
    usable = result.usable
    is_decisive = pl.col("prompt_digest").is_in(decided_digests.implode())
    with_effect = usable.filter(is_decisive)["row"].n_unique()
    rows = TableRows(
        rows=result.rows,
        with_effect=with_effect,
        without_effect=usable["row"].n_unique() - with_effect,
        not_selected=not_selected,
        unknown=result.unmatched_keys.len() - not_selected,
        unreadable=result.unreadable,
        late=result.late,
        without_time=result.no_time,
    )
    return SourceUsage(usable["prompt_digest"].n_unique(), rows)
