"""The section `[approval]`: what people must have done before a release can be trained on."""

from typing import Annotated

from pydantic import Field, field_validator

from bedrock_sluice.flows.recipe.sections import Section
from bedrock_sluice.flows.recipe.values import Count, Flag, Texts
from bedrock_sluice.lake.releases.decisions import MAX_ROLE_CHARS, text_fault

Rate = Annotated[float, Field(strict=True, ge=0, le=1)]


class ApprovalSection(Section):
    """What `train` asks for. It does not decide the data, so it is not part of a release's id."""

    roles: Texts = ()  # each must have an approval
    min_approvers: Count = 1  # different people
    min_reviewed_lines: Count | None = None
    max_error_rate: Rate | None = None  # of the lines, at the upper end of its interval
    allow_override: Flag = False  # whether a release that the gate rejected may be trained on

    @field_validator("roles")
    @classmethod
    def _check_roles(cls, roles: Texts) -> Texts:
        for role in roles:
            if fault := text_fault(role, MAX_ROLE_CHARS):
                raise ValueError(f"a role {fault}")
        if len(set(roles)) < len(roles):
            raise ValueError("names a role twice")
        return roles

    def combine(self, other: "ApprovalSection") -> "ApprovalSection":
        """Return the section that asks for everything that either of the two asks for."""
        lines = [self.min_reviewed_lines, other.min_reviewed_lines]
        rates = [self.max_error_rate, other.max_error_rate]
        return ApprovalSection(
            roles=tuple(dict.fromkeys(self.roles + other.roles)),
            min_approvers=max(self.min_approvers, other.min_approvers),
            min_reviewed_lines=max((each for each in lines if each), default=None),
            max_error_rate=min((each for each in rates if each is not None), default=None),
            allow_override=self.allow_override and other.allow_override,
        )
