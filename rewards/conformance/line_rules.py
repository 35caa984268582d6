"""The rules of profiles for many lines: a plain chat is spared those that it can't break."""

from collections.abc import Sequence

from bedrock_sluice.rewards.conformance.check import line_errors
from bedrock_sluice.rewards.conformance.profile import ParsedLine, Profile
from bedrock_sluice.transforms.chat.training_line import TrainingLine


class LineRules:
    """The rules of profiles that a line must not break."""

    def __init__(self, profiles: Sequence[Profile]) -> None:
        self._profiles = profiles
        errors = [(p.name, rule) for p in profiles for rule in p.rules if rule.severity == "error"]
        self._for_plain = [
            (f"{name}/{rule.name}", rule.is_broken) for name, rule in errors if rule.reads != "chat"
        ]
        self._need_messages = any(rule.reads == "line" for _, rule in errors)

    def first_error(self, line: TrainingLine) -> str | None:
        """Return the first of `check.line_errors`, or None."""
        if line.plain_chat is None:
            return next(iter(line_errors(dict(line), self._profiles)), None)
        parsed_line = ParsedLine.of(dict(line) if self._need_messages else line.fields)
        return next((name for name, is_broken in self._for_plain if is_broken(parsed_line)), None)
