"""Rules on reference answers and markers that the profiles of several graders share."""

from typing import Any

from bedrock_sluice.rewards.conformance.chat_rules import is_text_block
from bedrock_sluice.rewards.conformance.profile import ParsedLine, Rule
from bedrock_sluice.transforms.chat.messages import JsonObject


def object_rule(example: str) -> Rule:
    """Return the rule that the reference is an object which is not empty."""
    return Rule(
        "reference-object",
        "`reference_answer` is not an object: the grader fails on it",
        f"make it {example}",
        lambda s: not has_object(s),
        reads="fields",
    )


def marker_rule(marker: str) -> Rule:
    """Return the rule that some message asks for the marker; breaking it is a warning."""
    return Rule(
        "marker",
        f"no message asks for `{marker}`, after which the grader looks for the answer",
        f"have the prompt ask for the answer after {marker}",
        lambda s: bool(s.messages) and not any(marker in _text_of(m) for m in s.messages),
        "warning",
    )


def has_object(line: ParsedLine) -> bool:
    """Return whether the reference is an object which is not empty.

    Rules on fields of the reference hold where it is not: `object_rule` reports that already.
    """
    return isinstance(line.reference, dict) and bool(line.reference)


def reference_field(line: ParsedLine, key: str) -> Any:
    """Return a field of the reference; None if the reference is not an object."""
    return line.reference.get(key) if isinstance(line.reference, dict) else None


def is_text(value: object) -> bool:
    """Return whether a value is a text that is not blank."""
    return isinstance(value, str) and bool(value.strip())


def _text_of(message: JsonObject) -> str:
    content = message.get("content")
    if isinstance(content, list):
        return "\n".join(block["text"] for block in content if is_text_block(block))
    return content if isinstance(content, str) else ""
