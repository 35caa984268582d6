"""The stage `select`: which records of the window the recipe takes."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import polars as pl

from bedrock_sluice.flows.context import BuildContext
from bedrock_sluice.lake.duck import query
from bedrock_sluice.sql import statement
from bedrock_sluice.transforms.metadata_filter import describe, parse_filter
from bedrock_sluice.transforms.privacy.detection import mask_personal_data
from bedrock_sluice.transforms.rights.tombstones import mark_forgotten
from bedrock_sluice.transforms.tables import compact

MAX_TAG_KEYS = 20  # that a report lists
_TAG_COLUMNS = ("reason", "timestamp", "request_metadata")
_SELECT_COLUMNS = (
    *("object", "line", "request_id", "detail", "body_digest", "operation", "model_id"),
    *_TAG_COLUMNS,
)


def select(context: BuildContext) -> pl.DataFrame:
    """Judge every landed record of the window: its keys, and the `reason` if it is left out."""
    section = context.recipe.select
    clauses = parse_filter(section.metadata) if section.metadata else ()
    parameters = {
        "since": context.recipe.window.since,
        "until": context.recipe.window.until,
        "operations": list(section.operations),
        "models": list(section.models),
        "clauses": [[test.as_parameter() for test in clause] for clause in clauses],
    }
    records = _query(context, "select_v1", _SELECT_COLUMNS, parameters)
    failures = {n: f"fails {describe(clause)}" for n, clause in enumerate(clauses, start=1)}
    failed_clause = pl.col("failed_clause").replace_strict(
        failures, default=None, return_dtype=pl.String
    )
    records = records.with_columns(pl.coalesce("detail", failed_clause)).drop("failed_clause")
    return mark_forgotten(compact(records), context.forgotten_digests)


def tag_coverage(context: BuildContext) -> dict[str | None, int]:
    """How many records of the window carry each metadata key, the most frequent first.

    None stands for no key at all. Personal data and secrets in keys are masked: the manifest, which
    shows them, goes to people who must not read the logs.
    """
    window = context.recipe.window
    parameters = {"since": window.since, "until": window.until, "max_keys": MAX_TAG_KEYS}
    counts = Counter[str | None]()
    for key, records in _query(context, "tag_coverage_v1", _TAG_COLUMNS, parameters).iter_rows():
        counts[key and mask_personal_data(key, context.recipe.split.salt)] += records
    return dict(counts)


def _query(
    context: BuildContext, name: str, columns: Sequence[str], parameters: dict[str, Any]
) -> pl.DataFrame:
    """The answer of a statement over these columns of the landed rows of the window."""
    problems = list[Exception]()
    landed = context.landed.stream(columns, problems)
    return query(statement(name), {"landed": landed}, parameters, problems)
