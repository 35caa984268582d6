"""What a profile is: the rules by which one reader of datasets takes or refuses a line."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, Literal, Self, get_args

from bedrock_sluice import rewards
from bedrock_sluice.transforms.chat import JsonObject
from bedrock_sluice.transforms.errors import ConfigError

Severity = Literal["error", "warning"]
Kind = Literal["platform", "validator", "grader", "elsewhere"]  # in the order of `profiles()`

_MODULE_PREFIX = "profile_"


@dataclass(slots=True)
class Sample:
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
        found = line.get("messages")
        is_sound = isinstance(found, list) and all(isinstance(each, dict) for each in found)
        messages = found if isinstance(found, list) and is_sound else []
        roles = [message.get("role") for message in messages]
        return cls(line, messages, roles, line.get("reference_answer"), line.get("tools"))


@dataclass(frozen=True, slots=True)
class Rule:
    """One demand; `broken` tells whether a line fails it. `says` and `mend` hold no content."""

    name: str
    says: str
    mend: str
    broken: Callable[[Sample], bool]
    severity: Severity = "error"

    def as_warning(self) -> "Rule":
        """The same rule, where breaking it is doubtful rather than wrong."""
        return replace(self, severity="warning")


@dataclass(frozen=True, slots=True)
class Mend:
    """A change that makes a line fit without inventing data.

    `apply` changes a decoded line in place, and tells whether there was anything to change; done
    again, it changes nothing. `loses`: something of the line is gone afterwards.
    """

    says: str
    apply: Callable[[JsonObject], bool]
    loses: bool = False


@dataclass(frozen=True, slots=True)
class Profile:
    """A reader of datasets: of Bedrock a platform, a validator or a grader; or a job elsewhere.

    `min_lines` and `max_lines` bound the dataset; None: it does not care. `mends` are those that
    only this reader asks for. `all_or_none` are keys that all lines of a dataset have, or none;
    `reads_prompt`: its lines have `prompt` in place of `messages`.
    """

    name: str
    kind: Kind
    about: str
    rules: tuple[Rule, ...]
    min_lines: int | None = None
    max_lines: int | None = None
    mends: tuple[Mend, ...] = ()
    all_or_none: tuple[str, ...] = ()
    reads_prompt: bool = False


@cache
def profiles() -> Mapping[str, Profile]:
    """All profiles by name, by their kind.

    They stand in `PROFILES` of the modules named `profile_…`.
    """
    names = [m.name for m in iter_modules(rewards.__path__) if m.name.startswith(_MODULE_PREFIX)]
    modules = [import_module(f"{rewards.__name__}.{name}") for name in names]
    kinds = get_args(Kind)
    found: list[Profile] = [profile for module in modules for profile in module.PROFILES]
    return {p.name: p for p in sorted(found, key=lambda p: (kinds.index(p.kind), p.name))}


def profile_named(name: str) -> Profile:
    """The profile of that name.

    Raises:
        ConfigError: there is none; the message lists those that there are.
    """
    if name not in profiles():
        raise ConfigError(f"no profile {name!r}; there are {', '.join(profiles())}")
    return profiles()[name]
