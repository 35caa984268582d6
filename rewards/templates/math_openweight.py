"""Template `math-openweight`: a solution that ends in `#### 72`, as a text.

AWS's GSM8K sample grader for open-weight models looks for the last `#### <number>` of the reference
and in the last 300 characters of the response, and compares the two; an object as reference scores
0 for every response. The service hands the text over as `{"text": "..."}`.
Source: amazon-bedrock-samples, reward-functions/gsm8k_gptoss_rew_func.py.
"""

import re
from collections.abc import Mapping
from typing import Any

from bedrock_sluice.rewards.conformance import chat_rules as rules
from bedrock_sluice.rewards.conformance.profile import Fix, Profile, Rule
from bedrock_sluice.rewards.conformance.reference_rules import marker_rule
from bedrock_sluice.rewards.templates.base import Reference, Template
from bedrock_sluice.rewards.templates.math import TEMPLATE as MATH
from bedrock_sluice.rewards.templates.math import is_plain_number
from bedrock_sluice.transforms.chat.messages import JsonObject

_PUBLISHED_NUMBER = re.compile(r"#### (-?[0-9.,]+)")


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
        return _as_text(MATH.from_fields(fields))

    def from_text(self, text: str) -> str | None:
        """From a solution that ends in `#### <number>`."""
        return _as_text(MATH.from_text(text))

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


def _as_text(solution: dict[str, Any] | None) -> str | None:
    if solution is None:
        return None
    # Some graders take the first `####` of a text, so none may stand before the answer's.
    steps = [step for step in solution["steps"] if "####" not in step]
    return "\n".join([*steps, f"#### {solution['final_answer']}"])


TEMPLATE = MathOpenweightTemplate()


def _fix_solution(line: JsonObject) -> bool:
    reference = line.get("reference_answer")
    if _ends_in_number(reference):
        return False
    fields = reference if isinstance(reference, dict) else {"final_answer": reference}
    text = reference if isinstance(reference, str) else ""
    solution = _as_text(MATH.from_fields(fields) or MATH.from_text(text))
    if solution is None:
        return False
    line["reference_answer"] = solution
    return True


def _ends_in_number(reference: object) -> bool:
    """Whether the published grader finds a number; unlike `fits`, several `####` may stand there.

    The grader takes the last one. `fits` is stricter, since other graders take the first.
    """
    text = reference.get("text") if isinstance(reference, dict) else reference
    numbers = _PUBLISHED_NUMBER.findall(text) if isinstance(text, str) else []
    return bool(numbers) and is_plain_number(numbers[-1].replace(",", ""))


PROFILES = (
    Profile(
        name="math-openweight",
        kind="grader",
        about="GSM8K grader for open-weight models",
        rules=(
            rules.MESSAGES,
            Rule(
                "reference-hashes",
                "`reference_answer` is not a text whose last `####` is followed by a plain number: "
                "every answer would score 0",
                'make it a text that ends in "#### 72"',
                lambda s: not _ends_in_number(s.reference),
                reads="fields",
            ),
            marker_rule(MATH.marker),
        ),
        fixes=(Fix("the reference is written as a text that ends in `####`", _fix_solution),),
    ),
)
"""The published grader of GSM8K for open-weight models."""
