"""Template `qa`: a short answer after `ANSWER:`.

Kind `number`, the default, fits AWS's FinQA sample grader: that looks for `ANSWER: <value>` in a
response and compares it with `reference_answer.answer`, as yes or no or as what `float` reads of it
without `,`, `$` and `%`; any other reference scores 0 for every response. Kind `text` takes any
answer of one line, which our own grader compares.
Source: amazon-bedrock-samples, reward-functions/finqa_rew_func.py.
"""

import re
from collections.abc import Mapping
from math import isfinite
from typing import Any

from bedrock_sluice.rewards.conformance import chat_rules as rules
from bedrock_sluice.rewards.conformance.profile import Fix, ParsedLine, Profile, Rule
from bedrock_sluice.rewards.conformance.reference_rules import (
    has_object,
    marker_rule,
    object_rule,
    reference_field,
)
from bedrock_sluice.rewards.templates.base import Reference, Template
from bedrock_sluice.rewards.templates.math import plain_number
from bedrock_sluice.transforms.chat.messages import JsonObject
from bedrock_sluice.transforms.errors import ConfigError

KINDS = ("number", "text")

_MARKED = re.compile(r"ANSWER[ \t*`]{0,9}:([^\r\n]*)", re.IGNORECASE)
_DECORATION = " \t*`[]\"'"  # Markdown and quotes, around an answer
_DROPPED = str.maketrans("", "", ",$%")


class QaTemplate(Template):
    """`{"answer": "25"}`; option: `kind`."""

    name = "qa"
    about = '{"answer": "25"}'
    marker: str = "ANSWER:"
    instruction = "End with the answer on a line of its own, in this form: ANSWER: <your answer>"
    profiles = ("nova-docs", "qa")
    grader = "qa_grader"

    def from_fields(self, fields: Mapping[str, Any]) -> dict[str, Any] | None:
        """From `answer`, a text or a number: what follows its marker, if any, without Markdown."""
        value = fields.get("answer")
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            return None
        if isinstance(value, float) and not isfinite(value):
            return None
        answers = _MARKED.findall(str(value))
        answer = " ".join((answers[-1] if answers else str(value)).split())
        # The full stop may stand outside or inside of the decoration: `*Bern*.` or `*Bern.*`.
        return self._as_reference(answer.strip(_DECORATION).rstrip(".").rstrip(_DECORATION))

    def from_text(self, text: str) -> dict[str, Any] | None:
        """From what follows the last `ANSWER:` on its line, or else from a text of one line."""
        answers = _MARKED.findall(text)
        if not answers:
            lines = text.strip().splitlines()
            return self.from_fields({"answer": lines[0]}) if len(lines) == 1 else None
        *earlier, last = [self.from_fields({"answer": answer}) for answer in answers]
        return last if last and self._agrees(last, earlier) else None

    def fits(self, reference: object) -> bool:
        """Whether the published grader can score some response above 0."""
        answer = reference.get("answer") if isinstance(reference, dict) else None
        return isinstance(answer, str) and is_scored(answer)

    def comparison_key(self, reference: Reference) -> object:
        """Yes or no, or the number, however it is written."""
        answer = str(reference["answer"] if isinstance(reference, dict) else reference)
        word = answer.strip().lower()
        return word if word in ("yes", "no") else _number(answer)

    def with_options(self, options: Mapping[str, Any]) -> "QaTemplate":
        """With the `kind` of answers: one of `KINDS`.

        Raises:
            ConfigError: there is no such option, or no such kind.
        """
        self._check_options(options, ("kind",))
        kind = options.get("kind", KINDS[0])
        if kind not in KINDS:
            raise ConfigError(
                f"[template] kind: qa has no {kind!r}; name one of {', '.join(KINDS)}"
            )
        return TEXT_TEMPLATE if kind == "text" else self

    def _agrees(self, last: Reference, earlier: list[dict[str, Any] | None]) -> bool:
        """Whether the published grader, which takes the first answer it can read, reads this."""
        return all(
            each is None or self.comparison_key(each) == self.comparison_key(last)
            for each in earlier
        )

    def _as_reference(self, answer: str) -> dict[str, Any] | None:
        if answer.lower() in ("yes", "no"):
            return {"answer": answer}
        share = "%" if answer.endswith("%") else ""  # kept: our grader takes 0.25 for 25%, too
        number = plain_number(answer.removesuffix("%").replace("\u2212", "-"))
        return {"answer": f"{number}{share}"} if number else None


class QaTextTemplate(QaTemplate):
    """`{"answer": "Bern"}`: any short answer, for our grader `qa`."""

    about = '{"answer": "Bern"}'
    profiles = ("nova-docs", "qa-text")

    def fits(self, reference: object) -> bool:
        """Whether `answer` is one line of text with a letter or a digit in it."""
        answer = reference.get("answer") if isinstance(reference, dict) else None
        if not isinstance(answer, str):
            return False
        return len(answer.splitlines()) == 1 and any(map(str.isalnum, answer))

    def comparison_key(self, reference: Reference) -> object:
        """The answer, without case."""
        return str(reference["answer"] if isinstance(reference, dict) else reference).casefold()

    def _agrees(self, last: Reference, earlier: list[dict[str, Any] | None]) -> bool:  # noqa: ARG002
        """Always: our grader takes the last answer."""
        return True

    def _as_reference(self, answer: str) -> dict[str, Any] | None:
        reference = {"answer": answer}
        return reference if self.fits(reference) else None


def is_scored(answer: str) -> bool:
    """Whether the FinQA grader compares anything with this answer: yes, no or a finite number."""
    return answer.strip().lower() in ("yes", "no") or _number(answer) is not None


def _number(answer: str) -> float | None:
    """What `float` reads of an answer without `,`, `$` and `%`, as the published grader does."""
    try:
        number = float(answer.translate(_DROPPED))
    except ValueError:
        return None
    return number if isfinite(number) else None


TEMPLATE = QaTemplate()

TEXT_TEMPLATE = QaTextTemplate()


def _fix_answer(template: QaTemplate) -> Fix:
    def apply(line: JsonObject) -> bool:
        reference = line.get("reference_answer")
        if not isinstance(reference, dict) or template.fits(reference):
            return False
        fields = template.from_fields(reference)
        if fields:
            reference["answer"] = fields["answer"]
        return bool(fields)

    return Fix("the answer is written as a text that the grader reads", apply)


def _has_answer(line: ParsedLine) -> bool:
    """Whether the published grader reads the answer; unlike the template, it takes numbers too."""
    answer = reference_field(line, "answer")
    is_value = isinstance(answer, str | int | float) and not isinstance(answer, bool)
    return is_value and is_scored(str(answer))


PROFILES = (
    Profile(
        name="qa",
        kind="grader",
        about="FinQA grader: yes, no and numbers",
        rules=(
            rules.MESSAGES,
            object_rule('{"answer": "25"}'),
            Rule(
                "answer",
                "`answer` of the reference is neither yes or no nor a number: every answer would "
                "score 0",
                'write the number without words; for texts use profile qa-text and kind = "text"',
                lambda s: has_object(s) and not _has_answer(s),
                reads="fields",
            ),
            marker_rule(TEMPLATE.marker),
        ),
        fixes=(_fix_answer(TEMPLATE),),
    ),
    Profile(
        name="qa-text",
        kind="grader",
        about="grader qa of Sluice: any answer of one line",
        rules=(
            rules.MESSAGES,
            object_rule('{"answer": "Bern"}'),
            Rule(
                "answer",
                "`answer` of the reference is not a text of one line, or has neither letter nor "
                "digit",
                "write the answer as text",
                lambda s: has_object(s) and not TEXT_TEMPLATE.fits(s.reference),
                reads="fields",
            ),
            marker_rule(TEMPLATE.marker),
        ),
        fixes=(_fix_answer(TEXT_TEMPLATE),),
    ),
)
"""The published FinQA grader, and the grader `qa` of Sluice."""
