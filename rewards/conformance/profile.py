"""What a profile is: the rules by which one reader of datasets takes or refuses a line."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Self

from bedrock_sluice.transforms.chat.messages import JsonObject

Severity = Literal["error", "warning"]
Kind = Literal["platform", "validator", "grader", "elsewhere"]  # in the order of `profiles()`


@dataclass(slots=True)
class ParsedLine:
    """One line, taken apart once for all rules.

    `messages` is empty unless the line has a list of objects there: rules about messages then have
    nothing to say, and the rule that there are some has said it.
    """

    line: JsonObject
    messages: list[JsonObject]
    roles: list[Any]
    reference: Any
    tools: Any

    @classmethod
    def of(cls, line: JsonObject) -> Self:
        """Take a decoded line apart."""
        value = line.get("messages")
        is_sound = isinstance(value, list) and all(isinstance(each, dict) for each in value)
        messages = value if isinstance(value, list) and is_sound else []
        roles = [message.get("role") for message in messages]
        return cls(line, messages, roles, line.get("reference_answer"), line.get("tools"))


@dataclass(frozen=True, slots=True)
class Rule:
    """One demand on a line; neither `message` nor `hint` holds content of the line.

    `reads` spares most lines the check: a rule that reads the `chat` is never broken by a plain one
    (`TrainingLine.plain_chat`); one that reads `fields` does not look at the messages.
    """

    name: str
    message: str
    hint: str
    is_broken: Callable[[ParsedLine], bool]
    severity: Severity = "error"
    reads: Literal["chat", "fields", "line"] = field(default="line", kw_only=True)

    def as_warning(self) -> "Rule":
        """The same rule, where breaking it is doubtful rather than wrong."""
        return replace(self, severity="warning")


@dataclass(frozen=True, slots=True)
class Fix:
    """A change that makes a line fit without inventing data.

    `apply` changes a decoded line in place, and tells whether there was anything to change; done
    again, it changes nothing. `loses`: something of the line is gone afterwards.
    """

    message: str
    apply: Callable[[JsonObject], bool]
    loses: bool = False


@dataclass(frozen=True, slots=True)
class Profile:
    """A reader of datasets: of Bedrock a platform, a validator or a grader; or a job elsewhere.

    `min_lines` and `max_lines` bound the dataset; None: it does not care. `fixes` are those that
    only this reader asks for. `all_or_none` are keys that all lines of a dataset have, or none;
    `reads_prompt`: its lines have `prompt` in place of `messages`.
    """

    name: str
    kind: Kind
    about: str
    rules: tuple[Rule, ...]
    min_lines: int | None = None
    max_lines: int | None = None
    fixes: tuple[Fix, ...] = ()
    all_or_none: tuple[str, ...] = ()
    reads_prompt: bool = False
