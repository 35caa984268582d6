"""Template `qa`: a short answer after `ANSWER:`, as AWS's FinQA sample grader reads it.

The grader looks for `ANSWER: <value>` in a response and compares it, numbers with a tolerance, with
`reference_answer.answer`: so that is on one line, and has a letter or a digit to compare.
Source: amazon-bedrock-samples, reward-functions/finqa_rew_func.py.
"""

from collections.abc import Mapping
from math import isfinite
from typing import Any

from bedrock_sluice.rewards.template import Template


class QaTemplate(Template):
    """`{"answer": "25"}`."""

    name = "qa"
    about = '{"answer": "25"}'
    marker: str = "ANSWER:"
    instruction = "End with the answer on a line of its own, in this form: ANSWER: <your answer>"
    profiles = ("nova-docs", "qa")
    grader = "qa_grader"

    def from_fields(self, fields: Mapping[str, Any]) -> dict[str, Any] | None:
        """From `answer`, a text or a number: what follows its marker, if any, on one line."""
        value = fields.get("answer")
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            return None
        if isinstance(value, float) and not isfinite(value):
            return None
        made = {"answer": " ".join(str(value).rpartition(self.marker)[2].split())}
        return made if self.fits(made) else None

    def from_text(self, text: str) -> dict[str, Any] | None:
        """From what follows the last `ANSWER:` on its line, or else from a text of one line."""
        _, marker, answer = text.rpartition(self.marker)
        lines = answer.strip(" \t").splitlines() if marker else text.strip().splitlines()
        is_told = bool(marker) or len(lines) == 1
        return self.from_fields({"answer": lines[0]}) if lines and is_told else None

    def fits(self, reference: object) -> bool:
        """Whether `answer` is one line of text with a letter or a digit in it."""
        if not isinstance(reference, dict):
            return False
        answer = reference.get("answer")
        if not isinstance(answer, str) or len(answer.splitlines()) != 1:
            return False
        return any(map(str.isalnum, answer))


TEMPLATE = QaTemplate()
