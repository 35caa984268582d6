"""The section `[checks]` of a recipe: suites of its own, and limits and severities of checks."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, Field

from bedrock_sluice.expectations.suite import CheckSettings, SeveritySetting, known_checks
from bedrock_sluice.flows.recipe.errors import unknown
from bedrock_sluice.flows.recipe.sections import Section
from bedrock_sluice.flows.recipe.values import Files

CheckLimit = Annotated[float, Field(ge=0, allow_inf_nan=False)]


def _with_limits(limits: Mapping[str, float]) -> Mapping[str, float]:
    for name in limits:
        if name not in known_checks():
            raise ValueError(unknown(name, known_checks()))
        if known_checks()[name].meta.limit is None:
            raise ValueError(f"the limit of {name} cannot be set")
    return limits


def _with_severities(severities: Mapping[str, SeveritySetting]) -> Mapping[str, SeveritySetting]:
    for name, severity in severities.items():
        if name not in known_checks():
            raise ValueError(unknown(name, known_checks()))
        if severity != "fail" and known_checks()[name].severity == "critical":
            raise ValueError(f"{name} always fails the gate; it cannot be set to {severity}")
    return severities


class ChecksSection(Section):
    """How the gate judges. Without this section, checks have their own limits and severities."""

    suites: Files = ()  # JSON, in the format of Great Expectations
    limits: Annotated[dict[str, CheckLimit], AfterValidator(_with_limits)] = Field(
        default_factory=dict
    )
    severity: Annotated[dict[str, SeveritySetting], AfterValidator(_with_severities)] = Field(
        default_factory=dict
    )

    def settings(self) -> CheckSettings:
        """As suites take them."""
        return CheckSettings(self.limits, self.severity)
