"""The gate: does the data pass the suites? Great Expectations is imported here and nowhere else."""

import logging
import os
import warnings
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import polars as pl

from bedrock_sluice.expectations import resource
from bedrock_sluice.expectations.checks import Check, Limit, Number, Severity
from bedrock_sluice.transforms.errors import IntegrityError

if TYPE_CHECKING:
    from great_expectations.core.batch_definition import BatchDefinition
    from pandas import DataFrame

MAX_EXAMPLES = 10

_ENGINE_LOGGER = "great_expectations"
_SEVERITIES: dict[str, Severity] = {"critical": "fail", "warning": "warn"}
_RESULT_FORMAT = {"result_format": "COMPLETE", "exclude_unexpected_values": True}


class _Outcome(NamedTuple):
    """The result of one check in the engine: whether it holds, and the rows that break it."""

    passed: bool
    rows: frozenset[int]


def evaluate(
    suite: str,
    measures: pl.DataFrame,
    parameters: Mapping[str, float],
    ids: pl.Series | None = None,
) -> list[Check]:
    """Run the suite `suites/<suite>.json` over a narrow frame of numbers and flags.

    A check passes only if the column that it reads has no nulls either: what was not measured is
    not known to be good. `ids` names the rows; those that break a check are its examples. The
    engine sees neither them nor any text.

    Raises:
        IntegrityError: an expectation could not be evaluated.
    """
    definition = msgspec.json.decode(resource(f"suites/{suite}.json"))
    outcomes = _validate(definition, measures, parameters)
    return [
        _check(entry, outcomes[entry["meta"]["name"]], measures, parameters, ids)
        for entry in definition["expectations"]
    ]


def load_engine() -> None:
    """Import Great Expectations and set it up, which `evaluate` else does when it is called."""
    _frames()


def _check(
    entry: dict[str, Any],
    outcome: _Outcome,
    measures: pl.DataFrame,
    parameters: Mapping[str, float],
    ids: pl.Series | None,
) -> Check:
    meta, limit = entry["meta"], _limit(entry["kwargs"], parameters)
    rows = sorted(outcome.rows)[:MAX_EXAMPLES] if ids is not None else []
    return Check(
        name=meta["name"],
        message=meta["message"].format_map(parameters),
        severity=_SEVERITIES[entry["severity"]],
        passed=outcome.passed,
        measured=_measure_of(entry, outcome, measures, limit),
        limit=limit,
        unit=meta.get("unit", "lines"),
        examples=[str(ids[row]) for row in rows] if ids is not None else [],
        hint=meta["hint"].format_map(parameters),
    )


def _limit(kwargs: Mapping[str, Any], parameters: Mapping[str, float]) -> Limit:
    """The bounds that an expectation names; one without bounds allows no row to break it."""
    bounds = [kwargs.get("min_value"), kwargs.get("max_value")]
    if bounds == [None, None]:
        return Limit(max=0)
    return Limit(*(parameters[b["$PARAMETER"]] if isinstance(b, dict) else b for b in bounds))


def _measure_of(
    entry: Mapping[str, Any], outcome: _Outcome, measures: pl.DataFrame, limit: Limit
) -> Number | None:
    """The number of rows, the value that is farthest out, or how many rows break the check."""
    name = entry["kwargs"].get("column")
    if name is None:
        return measures.height
    if "min_value" not in entry["kwargs"] and "max_value" not in entry["kwargs"]:
        return len(outcome.rows)
    column = measures[name]
    if column.is_empty() or column.has_nulls():
        return None
    low, high = column.min(), column.max()
    assert isinstance(low, int | float)
    assert isinstance(high, int | float)
    is_too_low = limit.min is not None and low < limit.min
    return low if limit.max is None or (is_too_low and high <= limit.max) else high


def _validate(
    definition: dict[str, Any], measures: pl.DataFrame, parameters: Mapping[str, float]
) -> dict[str, _Outcome]:
    frames, frame = _frames(), measures.to_pandas()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        batch = frames.get_batch({"dataframe": frame})
    from great_expectations import ExpectationSuite  # noqa: PLC0415

    suite = ExpectationSuite(**definition)
    outcome = batch.validate(
        suite, expectation_parameters=dict(parameters), result_format=_RESULT_FORMAT
    )
    entries = {entry["meta"]["name"]: entry for entry in definition["expectations"]}
    outcomes = dict[str, _Outcome]()
    for result in outcome.results:
        assert result.expectation_config is not None
        name = result.expectation_config.meta["name"]
        if _is_raised(result.exception_info):
            raise IntegrityError(f"check {name} could not be evaluated; this is a bug in Sluice")
        rows = frozenset(map(int, result.result.get("unexpected_index_list") or ()))
        nulls = _null_rows(entries[name], frame)
        outcomes[name] = _Outcome(bool(result.success) and not nulls, rows | nulls)
    return outcomes


def _null_rows(entry: Mapping[str, Any], frame: "DataFrame") -> frozenset[int]:
    """Return the rows in which nothing was measured, which the engine skips."""
    column = entry["kwargs"].get("column")
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
