"""The gate: does the data pass the suites? Great Expectations is imported here and nowhere else."""

import logging
import os
import warnings
from collections.abc import Mapping
from functools import cache
from math import floor
from typing import TYPE_CHECKING, Any, NamedTuple

import polars as pl

from bedrock_sluice.expectations.checks import Check, Limit, Number
from bedrock_sluice.expectations.suite import SEVERITIES, Expectation, Suite, load_suite
from bedrock_sluice.transforms.errors import IntegrityError

if TYPE_CHECKING:
    from great_expectations.core.batch_definition import BatchDefinition
    from pandas import DataFrame

MAX_EXAMPLES = 10

_ENGINE_LOGGER = "great_expectations"
_RESULT_FORMAT = {"result_format": "COMPLETE", "exclude_unexpected_values": True}


class CheckResult(NamedTuple):
    """A check, and the ids of all rows that break it; none if the rows have no ids."""

    check: Check
    failing_ids: list[str]


class _Outcome(NamedTuple):
    """The result of one check in the engine: whether it holds, and the rows that break it.

    `value` is what was compared, of an expectation about a whole column.
    """

    passed: bool
    rows: frozenset[int]
    value: Number | None


def evaluate(
    suite: Suite | str,
    measures: pl.DataFrame,
    parameters: Mapping[str, float],
    ids: pl.Series | None = None,
) -> list[CheckResult]:
    """Run a suite, or the one of `suites/<suite>.json`, over a narrow frame of numbers and flags.

    A check passes only if the column that it reads has no nulls either: what was not measured is
    not known to be good. `ids` names the rows; those that break a check are its examples. The
    engine sees neither them nor any text of a record.

    Raises:
        IntegrityError: an expectation could not be evaluated.
    """
    suite = load_suite(suite) if isinstance(suite, str) else suite
    if not suite.expectations:
        return []
    outcomes = _validate(suite, measures, parameters)
    return [
        _result(entry, outcomes[entry.meta.name], measures, parameters, ids)
        for entry in suite.expectations
    ]


def load_engine() -> None:
    """Import Great Expectations and set it up, which `evaluate` else does when it is called."""
    _frames()


def _result(
    entry: Expectation,
    outcome: _Outcome,
    measures: pl.DataFrame,
    parameters: Mapping[str, float],
    ids: pl.Series | None,
) -> CheckResult:
    meta, limit = entry.meta, _limit(entry, parameters, measures.height)
    failing_ids = [] if ids is None else ids.gather(sorted(outcome.rows)).cast(pl.String).to_list()
    values = entry.parameters(parameters)
    check = Check(
        name=meta.name,
        message=meta.message.format_map(values),
        severity=SEVERITIES[entry.severity],
        passed=outcome.passed,
        measured=_measure_of(entry, outcome, measures, limit),
        limit=limit,
        unit=meta.unit,
        examples=failing_ids[:MAX_EXAMPLES],
        hint=meta.hint.format_map(values),
    )
    return CheckResult(check, failing_ids)


def _limit(entry: Expectation, parameters: Mapping[str, float], rows: int) -> Limit:
    """The bounds that an expectation names; one without bounds allows some rows to break it."""
    bounds = entry.bounds(parameters)
    if not bounds or "mostly" in entry.kwargs:
        return Limit(max=floor(round((1 - entry.kwargs.get("mostly", 1)) * rows, 6)))
    return Limit(bounds.get("min_value"), bounds.get("max_value"))


def _measure_of(
    entry: Expectation, outcome: _Outcome, measures: pl.DataFrame, limit: Limit
) -> Number | None:
    """The number of rows, the value that is farthest out, or how many rows break the check."""
    if entry.column is None:
        return measures.height
    has_bounds = entry.kwargs.keys() & {"min_value", "max_value"}
    if not has_bounds or "mostly" in entry.kwargs:
        return len(outcome.rows)
    column = measures[entry.column]
    if column.is_empty() or column.has_nulls():
        return None
    if outcome.value is not None:
        return outcome.value
    low, high = column.min(), column.max()
    assert isinstance(low, int | float)
    assert isinstance(high, int | float)
    is_too_low = limit.min is not None and low < limit.min
    return low if limit.max is None or (is_too_low and high <= limit.max) else high


def _validate(
    suite: Suite, measures: pl.DataFrame, parameters: Mapping[str, float]
) -> dict[str, _Outcome]:
    frames, frame = _frames(), measures.to_pandas()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        batch = frames.get_batch({"dataframe": frame})
    from great_expectations import ExpectationSuite  # noqa: PLC0415

    entries = {entry.meta.name: entry for entry in suite.expectations}
    expectations = [
        {
            "type": entry.type,
            "kwargs": {**entry.kwargs, **entry.bounds(parameters)},
            "severity": entry.severity,
            "meta": {"name": name},
        }
        for name, entry in entries.items()
    ]
    outcome = batch.validate(
        ExpectationSuite(name=suite.name, expectations=expectations), result_format=_RESULT_FORMAT
    )
    outcomes = dict[str, _Outcome]()
    for result in outcome.results:
        assert result.expectation_config is not None
        name = result.expectation_config.meta["name"]
        if _is_raised(result.exception_info):
            raise IntegrityError(f"check {name} could not be evaluated; this is a bug in Sluice")
        rows = frozenset(map(int, result.result.get("unexpected_index_list") or ()))
        nulls = _null_rows(entries[name], frame)
        value: Any = result.result.get("observed_value")
        value = value.item() if hasattr(value, "item") else value  # numpy has numbers of its own
        outcomes[name] = _Outcome(
            bool(result.success) and not nulls,
            rows | nulls,
            value if isinstance(value, int | float) else None,
        )
    return outcomes


def _null_rows(entry: Expectation, frame: "DataFrame") -> frozenset[int]:
    """Return the rows in which nothing was measured, which the engine skips."""
    column = entry.column
    return frozenset(frame[column].isna().to_numpy().nonzero()[0].tolist() if column else ())


def _is_raised(info: dict[str, Any]) -> bool:
    """Return whether an exception stands at the top, or below the metric that raised it."""
    inner = [value for value in info.values() if isinstance(value, dict)]
    return bool(info.get("raised_exception")) or any(map(_is_raised, inner))


@cache
def _frames() -> "BatchDefinition[Any]":
    """Return the definition by which Great Expectations takes each frame of measures.

    One context serves all suites of a process.
    """
    os.environ["GX_ANALYTICS_ENABLED"] = "false"  # read once, when the library is imported
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the library's own imports
        import great_expectations as gx  # noqa: PLC0415
        from great_expectations.data_context.types.base import (  # noqa: PLC0415
            DataContextConfig,
            InMemoryStoreBackendDefaults,
            ProgressBarsConfig,
        )

        logging.getLogger(_ENGINE_LOGGER).setLevel(logging.ERROR)
        # Without the temporary site, no folder is left behind.
        stores = InMemoryStoreBackendDefaults(init_temp_docs_sites=False)
        settings = DataContextConfig(
            store_backend_defaults=stores, progress_bars=ProgressBarsConfig(globally=False)
        )
        context = gx.get_context(project_config=settings, mode="ephemeral")
        asset = context.data_sources.add_pandas("measures").add_dataframe_asset("measures")
        return asset.add_batch_definition_whole_dataframe("whole")
