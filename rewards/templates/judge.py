"""Template `judge`: what a judging model is shown beside the response.

AWS's PandaLM sample grader reads `answer`, or else `expectedAnswer` or `ground_truth`, of the
reference, or a reference that is a text; it takes the first message of the user for the prompt. So
whatever the response is to keep to, such as retrieved passages or a dialogue, stays inside of the
user's message. Source: amazon-bedrock-samples, reward-functions/pandalm_rew_func.py.

The console has four kinds of judges. What they ask of a line is not published; a kind here sets the
rubric for our grader (`JUDGE_RUBRIC`), and which further fields of a label stand in the reference,
where our grader's judge sees them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

from bedrock_sluice.rewards.conformance import chat_rules as rules
from bedrock_sluice.rewards.conformance.profile import Profile, Rule
from bedrock_sluice.rewards.conformance.reference_rules import is_text, reference_field
from bedrock_sluice.rewards.templates.base import Reference, Template
from bedrock_sluice.transforms.errors import ConfigError

ANSWERS = ("answer", "expectedAnswer", "ground_truth")  # the first that is there


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of judging: its name in the console, the rubric, and what the judge may be told."""

    console_name: str
    rubric: str
    tells: tuple[str, ...] = ()


KINDS: Mapping[str, Kind] = {
    "instruction-following": Kind(
        "Instruction following (Judge model training)",
        "The response does all that the conversation asks for, in the way it is asked for, and "
        "nothing that is forbidden there.",
        ("criteria", "label"),
    ),
    "summarisation": Kind(
        "Summarization (Multi-turn dialogs)",
        "The response tells what matters in the dialogue of the user's message, and who said it; "
        "it leaves out the rest, and adds nothing.",
        ("key_points",),
    ),
    "reasoning": Kind(
        "Reasoning evaluation (CoT for specialized domains)",
        "The response comes to the answer of the reference, and each of its steps follows from "
        "the question and the steps before.",
        ("steps",),
    ),
    "rag-faithfulness": Kind(
        "RAG faithfulness (Context-grounded Q&A)",
        "All that the response states is borne out by the context in the user's message; where "
        "that does not hold the answer, the response says so.",
        ("evidence",),
    ),
}
DEFAULT_KIND = "instruction-following"


@dataclass(frozen=True)
class JudgeTemplate(Template):
    """`{"answer": "..."}`, and what a kind tells beside it; option: `kind`."""

    kind: str = DEFAULT_KIND

    name = "judge"
    about = '{"answer": "Bern", "ground_truth": "Bern, by law the federal city"}'
    profiles = ("nova-docs", "judge")
    grader = "judge_grader"

    @property
    def rubric(self) -> str:
        """What a good response is, for `JUDGE_RUBRIC` of our grader."""
        return KINDS[self.kind].rubric

    def from_fields(self, fields: Mapping[str, Any]) -> Reference | None:
        """From the first of `ANSWERS` that says something; the others, and the kind's, stay."""
        texts = {key: text for key in ANSWERS if (text := _text(fields.get(key)))}
        details = {key: fields[key] for key in KINDS[self.kind].tells if _tells(fields.get(key))}
        if not texts:
            return None
        return self._sound({"answer": next(iter(texts.values())), **texts, **details})

    def from_text(self, text: str) -> Reference | None:
        """From the whole text."""
        return self.from_fields({"answer": text})

    def fits(self, reference: object) -> bool:
        """Whether it is a text that says something, or has one as the first of `ANSWERS`."""
        if isinstance(reference, dict):
            reference = next((reference[key] for key in ANSWERS if key in reference), None)
        return isinstance(reference, str) and bool(reference.strip())

    def with_options(self, options: Mapping[str, Any]) -> "JudgeTemplate":
        """With the `kind` of judge: one of `KINDS`.

        Raises:
            ConfigError: there is no such option, or no such kind.
        """
        self._check_options(options, ("kind",))
        kind = options.get("kind", self.kind)
        if not isinstance(kind, str) or kind not in KINDS:
            names = ", ".join(KINDS)
            raise ConfigError(f"[template] kind: there is no such judge; name one of {names}")
        return JudgeTemplate(kind)


def _text(value: object) -> str:
    if isinstance(value, float) and not isfinite(value):
        return ""
    has_text = isinstance(value, str | int | float) and not isinstance(value, bool)
    return str(value).strip() if has_text else ""


def _tells(value: object) -> bool:
    """Whether a value is a text that is not blank, or a list with nothing else."""
    values = value if isinstance(value, list) and value else [value]
    return all(isinstance(each, str) and each.strip() for each in values)


TEMPLATE = JudgeTemplate()

PROFILES = (
    Profile(
        name="judge",
        kind="grader",
        about="PandaLM grader, a model as judge",
        rules=(
            rules.MESSAGES,
            rules.USER_MISSING,
            Rule(
                "reference",
                "`reference_answer` is neither text nor an object with one "
                f"of {', '.join(ANSWERS)}",
                'make it a text or {"answer": …}',
                lambda s: (
                    not is_text(s.reference) and not any(reference_field(s, k) for k in ANSWERS)
                ),
                reads="fields",
            ),
        ),
    ),
)
"""The published PandaLM grader."""
