"""Template `math-openweight`: a solution that ends in `#### 72`, as a text.

AWS's GSM8K sample grader for open-weight models looks for the last `#### <number>` of the reference
and in the last 300 characters of the response, and compares the two; an object as reference scores
0 for every response. The service hands the text over as `{"text": "..."}`.
Source: amazon-bedrock-samples, reward-functions/gsm8k_gptoss_rew_func.py.
"""

from collections.abc import Mapping
from typing import Any

from bedrock_sluice.rewards.templates.base import Reference, Template
from bedrock_sluice.rewards.templates.math import TEMPLATE as MATH
from bedrock_sluice.rewards.templates.math import is_plain_number


class MathOpenweightTemplate(Template):
    """`"6 x 12 is 72\\n#### 72"`."""

    name = "math-openweight"
    about = '"6 x 12 is 72\\n#### 72"'
    marker = MATH.marker
    instruction = MATH.instruction
    profiles = ("open-weight-docs", "math-openweight")
    grader = MATH.grader

    def from_fields(self, fields: Mapping[str, Any]) -> str | None:
        """From the fields that `math` takes."""
        return _written(MATH.from_fields(fields))

    def from_text(self, text: str) -> str | None:
        """From a solution that ends in `#### <number>`."""
        return _written(MATH.from_text(text))

    def fits(self, reference: object) -> bool:
        """Whether it ends in a line with the only `####`, and a plain number after it."""
        if not isinstance(reference, str):
            return False
        steps, marker, number = reference.rpartition("#### ")
        is_alone = bool(marker) and "####" not in steps and steps[-1:] in ("", "\n")
        return is_alone and is_plain_number(number)

    def comparison_key(self, reference: Reference) -> object:
        """The number, whatever stands before it."""
        return reference.rpartition("#### ")[2] if isinstance(reference, str) else reference


def _written(solution: dict[str, Any] | None) -> str | None:
    if solution is None:
        return None
    steps = [
        step for step in solution["steps"] if "####" not in step
    ]  # a grader may take the first
    return "\n".join([*steps, f"#### {solution['final_answer']}"])


TEMPLATE = MathOpenweightTemplate()
