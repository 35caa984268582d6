"""The stage `select`: which records of the window the recipe takes."""

from typing import Any

import polars as pl

from bedrock_sluice.flows.context import BuildContext
from bedrock_sluice.lake.duck import query
from bedrock_sluice.sql import statement
from bedrock_sluice.transforms.metadata_filter import describe, parse_filter
from bedrock_sluice.transforms.tables import BODY_COLUMNS, LANDED

MAX_TAG_KEYS = 20  # that a report lists
_NARROW_LANDED = tuple(name for name in LANDED.names if name not in BODY_COLUMNS)


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
    records = _query(context, "select_v1", parameters)
    failures = {n: f"fails {describe(clause)}" for n, clause in enumerate(clauses, start=1)}
    failed_clause = pl.col("failed_clause").replace_strict(
        failures, default=None, return_dtype=pl.String
    )
    return records.with_columns(pl.coalesce("detail", failed_clause)).drop("failed_clause")


def tag_coverage(context: BuildContext) -> dict[str | None, int]:
    """How many records of the window carry each metadata key, the most frequent first.

    None stands for no key at all.
    """
    window = context.recipe.window
    parameters = {"since": window.since, "until": window.until, "max_keys": MAX_TAG_KEYS}
    return dict(_query(context, "tag_coverage_v1", parameters).iter_rows())


def _query(context: BuildContext, name: str, parameters: dict[str, Any]) -> pl.DataFrame:
    """The answer of a statement over the landed rows of the window, without their bodies."""
    problems = list[Exception]()
    landed = context.landed.stream(_NARROW_LANDED, problems)
    return query(statement(name), {"landed": landed}, parameters, problems)
