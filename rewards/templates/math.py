"""Template `math`: a number after `####`, as AWS's GSM8K sample grader reads it.

The grader looks for `#### <number>` in the last 300 characters of a response and compares it with
`reference_answer.final_answer` as text: so that is a plain number without commas or units, and is
taken from the same characters of a logged response.
Source: amazon-bedrock-samples, reward-functions/gsm8k_rew_func.py.
"""

import re
from collections.abc import Mapping
from typing import Any

from bedrock_sluice.rewards.conformance import chat_rules as rules
from bedrock_sluice.rewards.conformance.profile import Fix, Profile, Rule
from bedrock_sluice.rewards.conformance.reference_rules import has_object, marker_rule, object_rule
from bedrock_sluice.rewards.templates.base import Reference, Template
from bedrock_sluice.transforms.chat.messages import JsonObject

# Bounded as our grader's: nobody answers with more digits, and it looks at the end of texts only.
_NUMBER = re.compile(r"-?(?:[0-9]{1,50}(?:\.[0-9]{1,50})?|\.[0-9]{1,50})")
EXACT_FLOATS = 2**53  # below it, a float that is whole is exactly that number

_THOUSANDS = re.compile(r"-?[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]+)?")  # 1,5 is not such a number
READ_CHARS = 300  # at the end of a text: all that the published graders search
_DOLLAR = re.compile(r"\A(-?)\$")
_MARKED = re.compile(r"(?<!#)####(?!#)[ \t]*([^\s#][^\r\n]*)")
_SIGNS = " \t*$€£%"  # of units and of Markdown, around a number


class MathTemplate(Template):
    """`{"final_answer": "72", "steps": [...]}`."""

    name = "math"
    about = '{"final_answer": "72", "steps": ["6 x 12 is 72"]}'
    marker: str = "####"
    instruction = 'End with the final answer after "####", as a plain number: #### 72'
    profiles = ("nova-docs", "math")
    grader = "math_grader"

    def from_fields(self, fields: Mapping[str, Any]) -> dict[str, Any] | None:
        """From `final_answer` (text or number) and, if there, `steps` (list of texts)."""
        number = plain_number(fields.get("final_answer"))
        if number is None:
            return None
        steps = fields.get("steps")
        lines = steps if isinstance(steps, list) else []
        lines = [line.strip() for line in lines if isinstance(line, str) and line.strip()]
        return {"final_answer": number, "steps": lines}

    def from_text(self, text: str) -> dict[str, Any] | None:
        """From a solution that ends in `#### <number>`; its lines before that are the steps.

        The last marker within the grader's reach counts, and the number must end its line: what
        goes on, such as `#### 2. Solve`, is a heading.
        """
        matches = list(_MARKED.finditer(text, max(0, len(text) - READ_CHARS)))
        if not matches:
            return None
        number = matches[-1][1].lstrip(_SIGNS).rstrip(_SIGNS + ".")
        steps = text[: matches[-1].start()].rstrip("*").splitlines()
        return self.from_fields({"final_answer": number, "steps": steps})

    def fits(self, reference: object) -> bool:
        """Whether `final_answer` is a plain number as text."""
        if not isinstance(reference, dict):
            return False
        return is_plain_number(reference.get("final_answer"))

    def comparison_key(self, reference: Reference) -> object:
        """The final answer, whatever the steps."""
        return reference.get("final_answer") if isinstance(reference, dict) else reference


def is_plain_number(value: object) -> bool:
    """Whether a value is a number as text, without commas, signs of units and blanks."""
    return isinstance(value, str) and _NUMBER.fullmatch(value) is not None


def plain_number(value: object) -> str | None:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    if isinstance(value, float) and value.is_integer() and abs(value) < EXACT_FLOATS:
        value = int(value)  # the grader compares texts, and takes 72.0 for another than 72
    text = _DOLLAR.sub(r"\1", str(value).strip()).rstrip(".")
    if _THOUSANDS.fullmatch(text):
        text = text.replace(",", "")
    return text if is_plain_number(text) else None


TEMPLATE = MathTemplate()


def _fix_final_answer(line: JsonObject) -> bool:
    reference = line.get("reference_answer")
    if TEMPLATE.fits(reference):
        return False
    if isinstance(reference, dict):
        solution = TEMPLATE.from_fields(reference)
        if solution:  # the other fields of the object stay as they are
            solution = {**reference, "final_answer": solution["final_answer"]}
    else:
        solution = TEMPLATE.from_text(reference) if isinstance(reference, str) else None
        solution = solution or TEMPLATE.from_fields({"final_answer": reference})
    if solution:
        line["reference_answer"] = solution
    return bool(solution)


PROFILES = (
    Profile(
        name="math",
        kind="grader",
        about="GSM8K grader for Amazon Nova",
        rules=(
            rules.MESSAGES,
            object_rule('{"final_answer": "72", "steps": […]}'),
            Rule(
                "final-answer",
                "`final_answer` is not a plain number as text; the grader compares texts without "
                "commas",
                "write the number as text, without commas, units or a currency sign",
                lambda s: has_object(s) and not TEMPLATE.fits(s.reference),
                reads="fields",
            ),
            marker_rule(TEMPLATE.marker),
        ),
        fixes=(Fix("the final answer is written as a plain number in a text", _fix_final_answer),),
    ),
)
"""The published grader of GSM8K for Amazon Nova."""
