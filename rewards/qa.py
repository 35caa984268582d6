"""Template `qa`: a short answer after `ANSWER:`, as AWS's FinQA sample grader reads it.

The grader looks for `ANSWER: <value>` in a response and compares it, numbers with a tolerance, with
`reference_answer.answer`. Source: amazon-bedrock-samples, reward-functions/finqa_rew_func.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

from bedrock_sluice.rewards.template import Reference


@dataclass(frozen=True)
class QaTemplate:
    """`{"answer": "25"}`."""

    name: str = "qa"
    marker: str = "ANSWER:"

    def from_fields(self, fields: Mapping[str, Any]) -> Reference | None:
        """From `answer`, a text or a number."""
        value = fields.get("answer")
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            return None
        if isinstance(value, float) and not isfinite(value):
            return None
        return {"answer": str(value).strip()} if str(value).strip() else None

    def from_text(self, text: str) -> Reference | None:
        """From what follows the last `ANSWER:`, or else from the whole text."""
        _, marker, answer = text.rpartition(self.marker)
        return self.from_fields(
            {"answer": answer.lstrip(" \t").partition("\n")[0] if marker else text}
        )

    def fits(self, reference: object) -> bool:
        """Whether `answer` is a text that is not blank."""
        if not isinstance(reference, dict):
            return False
        answer = reference.get("answer")
        return isinstance(answer, str) and bool(answer.strip())


TEMPLATE = QaTemplate()
