"""The section `[nightly]`: what `sluice nightly` does besides building."""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from bedrock_sluice.flows.recipe.sections import Section
from bedrock_sluice.flows.recipe.values import Text

MAX_CATCH_UP_DAYS = 31

NightlyPolicy = Literal["build", "ask", "train_when_approved", "train_automatically"]


class NightlySection(Section):
    """What follows a nightly build. It decides nothing about the data, and is in no manifest."""

    policy: NightlyPolicy = "build"
    catch_up_days: Annotated[int, Field(strict=True, ge=0, le=MAX_CATCH_UP_DAYS)] = 7
    notify: Text | None = None  # an https:// address that takes JSON, or the ARN of an SNS topic
    monthly_budget: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None

    @field_validator("notify")
    @classmethod
    def _is_address(cls, address: str) -> str:
        if not address.startswith(("https://", "http://", "arn:")):
            raise ValueError("must be an https:// address or the ARN of an SNS topic")
        return address
