"""The gate: does the data pass the suites? Great Expectations is imported here and nowhere else."""

import logging
import os
import warnings
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import polars as pl

from bedrock_sluice.expectations import resource
from bedrock_sluice.transforms.errors import IntegrityError

if TYPE_CHECKING:
    from great_expectations.datasource.fluent.interfaces import Batch

_ENGINE_LOGGER = "great_expectations"


class Check(NamedTuple):
    """One expectation and whether it held; `severity` is `fail` or `warn`."""

    name: str
    says: str
    severity: str
    passed: bool


_SEVERITIES = {"critical": "fail", "warning": "warn"}


def judge(suite: str, measures: pl.DataFrame, parameters: dict[str, float]) -> list[Check]:
    """Run the suite `<suite>.json` over a narrow frame of numbers and flags.

    Results carry a verdict alone (BOOLEAN_ONLY): no value of the data leaves this function.

    Raises:
        IntegrityError: an expectation could not be evaluated.
    """
    definition = msgspec.json.decode(resource(f"{suite}.json"))
    told = {e["meta"]["name"]: e for e in definition["expectations"]}
    held = _validate(definition, measures, parameters)
    return [
        Check(name, e["meta"]["says"], _SEVERITIES[e["severity"]], held[name])
        for name, e in told.items()
    ]


def is_passed(checks: Iterable[Check]) -> bool:
    """Whether no check of severity `fail` failed."""
    return not any(check.severity == "fail" and not check.passed for check in checks)


def _validate(
    definition: dict[str, Any], measures: pl.DataFrame, parameters: dict[str, float]
) -> dict[str, bool]:
    batch = _batch(measures)
    from great_expectations import ExpectationSuite  # noqa: PLC0415

    suite = ExpectationSuite(**definition)
    outcome = batch.validate(suite, expectation_parameters=parameters, result_format="BOOLEAN_ONLY")
    held = dict[str, bool]()
    for result in outcome.results:
        assert result.expectation_config is not None
        name = result.expectation_config.meta["name"]
        if _is_raised(result.exception_info):
            raise IntegrityError(f"check {name} could not be evaluated; this is a bug in Sluice")
        held[name] = bool(result.success)
    return held


def _is_raised(told: dict[str, Any]) -> bool:
    """Exceptions are told at the top, or under the name of the metric that raised one."""
    inner = [value for value in told.values() if isinstance(value, dict)]
    return bool(told.get("raised_exception")) or any(map(_is_raised, inner))


def _batch(measures: pl.DataFrame) -> "Batch":
    """The frame as Great Expectations takes it: pandas, in a context of its own."""
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
        stores = InMemoryStoreBackendDefaults(
            init_temp_docs_sites=False
        )  # no folder is left behind
        settings = DataContextConfig(
            store_backend_defaults=stores, progress_bars=ProgressBarsConfig(globally=False)
        )
        context = gx.get_context(project_config=settings, mode="ephemeral")
        asset = context.data_sources.add_pandas("measures").add_dataframe_asset("measures")
        whole = asset.add_batch_definition_whole_dataframe("whole")
        return whole.get_batch({"dataframe": measures.to_pandas()})
