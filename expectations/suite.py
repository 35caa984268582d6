"""Suites: expectations in the JSON format of Great Expectations, and what a recipe sets of them."""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Literal, NamedTuple

import msgspec
from msgspec.structs import replace

from bedrock_sluice.expectations import resource
from bedrock_sluice.expectations.checks import Number, Severity

SUITES = (
    *("landed", "exchanges", "drops", "lines", "split", "leakage"),
    *("readiness", "answers", "rights", "drift"),
)
"""The files of `suites/`, without their suffix."""

LIMIT = {"$PARAMETER": "limit"}  # stands in `kwargs` for the limit under `meta`
SEVERITIES: dict[str, Severity] = {"critical": "fail", "warning": "warn"}
ENGINE_SEVERITIES: dict[Severity, Literal["critical", "warning"]] = {
    "fail": "critical",
    "warn": "warning",
}

SeveritySetting = Literal["fail", "warn", "off"]


class CheckMeta(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a check says to people, and the limit that a recipe can set, if there is one."""

    name: str
    message: str
    hint: str
    unit: str = "lines"
    limit: Number | None = None


class Expectation(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of a suite: a check."""

    type: str
    kwargs: dict[str, Any]
    severity: Literal["critical", "warning"] = "critical"
    meta: CheckMeta

    @property
    def column(self) -> str | None:
        """The column that it reads; None if it reads the whole table."""
        column = self.kwargs.get("column")
        return str(column) if column is not None else None

    def bounds(self, parameters: Mapping[str, float]) -> dict[str, Number]:
        """Return the lowest and the highest value that it allows, with parameters filled in."""
        values = self.parameters(parameters)
        return {
            key: values[value["$PARAMETER"]] if isinstance(value, dict) else value
            for key in ("min_value", "max_value")
            if (value := self.kwargs.get(key)) is not None
        }

    def parameters(self, parameters: Mapping[str, float]) -> dict[str, Number]:
        """Return parameters by name, with the limit of this check."""
        own = {} if self.meta.limit is None else {"limit": self.meta.limit}
        return {**parameters, **own}


class Suite(msgspec.Struct, frozen=True):
    """The checks of one table."""

    name: str
    expectations: list[Expectation]
    meta: dict[str, Any] = {}


class CheckSettings(NamedTuple):
    """What a recipe sets of the checks, by their names."""

    limits: Mapping[str, Number] = {}
    severities: Mapping[str, SeveritySetting] = {}

    def apply(self, suite: Suite) -> Suite:
        """Return the suite with these limits and severities, without the checks that are off."""
        return replace(suite, expectations=list(self._apply(suite)))

    def _apply(self, suite: Suite) -> Iterator[Expectation]:
        for entry in suite.expectations:
            name = entry.meta.name
            severity = self.severities.get(name, SEVERITIES[entry.severity])
            if severity != "off":
                limit = self.limits.get(name, entry.meta.limit)
                yield replace(
                    entry,
                    severity=ENGINE_SEVERITIES[severity],
                    meta=replace(entry.meta, limit=limit),
                )


@cache
def load_suite(name: str) -> Suite:
    """Read one of `SUITES`."""
    return msgspec.json.decode(resource(f"suites/{name}.json"), type=Suite)


@cache
def known_checks() -> Mapping[str, Expectation]:
    """Return the checks of all suites of this package, by name."""
    entries = [entry for name in SUITES for entry in load_suite(name).expectations]
    return {entry.meta.name: entry for entry in entries}
