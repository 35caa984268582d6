"""The stage `select`: which records of the window the recipe takes."""

from collections import Counter
from typing import NamedTuple

import polars as pl
import pyarrow as pa

from bedrock_sluice.flows.context import BuildContext
from bedrock_sluice.lake.duck import query
from bedrock_sluice.sql import statement
from bedrock_sluice.transforms.facts.metadata_coverage import (
    COVERAGE_COLUMNS,
    count_keys,
    most_frequent,
)
from bedrock_sluice.transforms.metadata_filter import describe, parse_filter
from bedrock_sluice.transforms.privacy.detection import mask_personal_data
from bedrock_sluice.transforms.rights.tombstones import mark_forgotten
from bedrock_sluice.transforms.tables import compact

MAX_TAG_KEYS = 20  # that a report lists
_SELECT_COLUMNS = (
    *("object", "line", "request_id", "detail", "body_digest", "operation", "model_id"),
    *COVERAGE_COLUMNS,
)


class Selection(NamedTuple):
    """Every landed record of the window, and how many of them carry each metadata key.

    `records` have their keys, and the `reason` if they are left out. The most frequent metadata
    keys come first; personal data and secrets in them are masked: the manifest, which shows them,
    goes to people who must not read the logs. `without_keys` records have none.
    """

    records: pl.DataFrame
    records_by_key: dict[str, int]
    without_keys: int


def select(context: BuildContext) -> Selection:
    """Judge every landed record of the window; their narrow columns are read once."""
    section, window = context.recipe.select, context.recipe.window
    clauses = parse_filter(section.metadata) if section.metadata else ()
    parameters = {
        "since": window.since,
        "until": window.until,
        "operations": list(section.operations),
        "models": list(section.models),
        "clauses": [[test.as_parameter() for test in clause] for clause in clauses],
    }
    problems, counts = list[Exception](), Counter[str | None]()

    def count(batch: pa.RecordBatch) -> None:
        counts.update(count_keys(batch, window.since, window.until))

    landed = context.landed.stream(_SELECT_COLUMNS, problems, count)
    records = query(statement("select_v1"), {"landed": landed}, parameters, problems)
    failures = {n: f"fails {describe(clause)}" for n, clause in enumerate(clauses, start=1)}
    failed_clause = pl.col("failed_clause").replace_strict(
        failures, default=None, return_dtype=pl.String
    )
    records = records.with_columns(pl.coalesce("detail", failed_clause)).drop("failed_clause")
    masked_counts = Counter[str]()
    for key, number in most_frequent(counts, MAX_TAG_KEYS).items():
        masked_counts[mask_personal_data(key, context.recipe.split.salt)] += number
    records = mark_forgotten(compact(records), context.forgotten_digests)
    return Selection(records, dict(masked_counts), counts[None])
