"""What a template is, and which there are: ours, and those that other distributions offer.

A user's template is a subclass of `Template` in a distribution of their own, named by an entry
point of the group `bedrock_sluice.templates`, whose name is that of the template:

    [project.entry-points."bedrock_sluice.templates"]
    verdict = "acme_verdict:VerdictTemplate"
"""

import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pkgutil import iter_modules
from typing import Any

import msgspec

from bedrock_sluice.rewards import templates as templates_room
from bedrock_sluice.transforms.chat.messages import JsonObject
from bedrock_sluice.transforms.decode.json_limits import check_limits
from bedrock_sluice.transforms.errors import ConfigError, InputError

Reference = dict[str, Any] | str  # what JSON holds; graders of open-weight models take texts

OWN_KEYS = frozenset({"id", "messages", "reference_answer", "tools", "metadata"})
"""What each line has itself: neither metadata nor passthrough fields may take their place."""

ENTRY_POINTS = "bedrock_sluice.templates"


class Template(ABC):
    """How a reference answer is made so that one kind of grader can read it.

    A template holds no state: what a recipe sets is given by `with_options`, once.
    """

    name: str
    """As recipes name it."""
    about: str = ""
    """The shape of its reference, in one line."""
    marker: str | None = None
    """What the grader looks for in a response, and so the prompt should ask for."""
    instruction: str | None = None
    """Words that ask for the marker, for prompts that do not; they hold it."""
    passthrough_fields: tuple[str, ...] = ("task_id", "domain", "difficulty_level", "data_source")
    """Fields of a label that the line carries beside the reference: those of AWS's samples."""
    needs_tools: bool = False
    """Whether a line is of no use without `tools`."""
    profiles: tuple[str, ...] = ("nova-docs",)
    """Profiles of conformance that its lines pass."""
    grader: str | None = None
    """The grader of ours that reads its reference: a file of `rewards/graders`, without `.py`."""

    @abstractmethod
    def from_fields(self, fields: Mapping[str, Any]) -> Reference | None:
        """A reference from the fields of a label; None where they do not make one that fits."""

    def from_metadata(self, metadata: Mapping[str, str], key: str | None) -> Reference | None:
        """A reference from the request metadata of a record, of which `key` holds the answer."""
        value = metadata.get(key) if key else None
        return self.from_fields({"answer": value, "final_answer": value})

    def from_text(self, text: str) -> Reference | None:  # noqa: ARG002 - others do
        """A reference from a whole answer, as a model or a person wrote it; None if it has none."""
        return None

    def from_response(self, message: Mapping[str, Any]) -> Reference | None:
        """A reference from the assistant's message as it was logged; None if it has none."""
        content = message.get("content")
        return self.from_text(content) if isinstance(content, str) else None

    @abstractmethod
    def fits(self, reference: object) -> bool:
        """Whether the grader can read this reference."""

    def comparison_key(self, reference: Reference) -> object:
        """What the grader looks at: references that are the same in this do not contradict."""
        return reference

    def accepts(self, line: Mapping[str, Any]) -> bool:
        """Whether a line has a reference that fits, and tools where they are needed."""
        has_tools = bool(line.get("tools")) or not self.needs_tools
        return has_tools and self.fits(line.get("reference_answer"))

    def passthrough(self, fields: Mapping[str, Any]) -> JsonObject:
        """Those fields of a label that ride along; what JSON can't hold stays behind."""
        values = {
            key: fields[key] for key in self.passthrough_fields if fields.get(key) is not None
        }
        return {key: value for key, value in values.items() if is_json(value)}

    def with_options(self, options: Mapping[str, Any]) -> "Template":
        """This template as the recipe's `[template]` sets it.

        Raises:
            ConfigError: an option is unknown or missing, or its value is invalid.
        """
        self._check_options(options, ())
        return self

    def _check_options(self, options: Mapping[str, Any], names: Sequence[str]) -> None:
        if unknown := sorted(set(options) - set(names)):
            hint = f"it has {', '.join(names)}" if names else "it has none"
            raise ConfigError(f"template {self.name!r} has no option {', '.join(unknown)}; {hint}")

    def _sound(self, reference: Reference) -> Reference | None:
        """The reference, if it fits and comes back the same from JSON."""
        return reference if is_json(reference) and self.fits(reference) else None


def is_json(value: object) -> bool:
    """Whether a value comes back from JSON as it was, and is not too deep or wide for a line."""
    try:
        text = msgspec.json.encode(value)
        check_limits(b"[%b]" % text)  # it stands inside of a line
        return bool(msgspec.json.decode(text) == value)
    except (InputError, RecursionError, TypeError, ValueError):
        return False


def from_cell(value: object) -> object:
    """A value of a label; where it is text, as cells of CSV are, what its JSON says, or None."""
    if not isinstance(value, str):
        return value
    try:
        text = value.encode()
        check_limits(text)
        return msgspec.json.decode(text)
    except (InputError, RecursionError, ValueError):
        return None


def add_instruction(
    messages: Sequence[JsonObject], template: Template
) -> tuple[list[JsonObject], bool]:
    """The messages, and whether the last one of the user was made to ask for the marker.

    Nothing is changed where a message has the marker, or the template has no instruction. Done
    again, it changes nothing.
    """
    texts = [message.get("content") for message in messages]
    questions = [t for t, m in zip(texts, messages, strict=True) if m.get("role") != "assistant"]
    if not template.marker or not template.instruction:
        return list(messages), False
    if any(isinstance(text, str) and template.marker in text for text in questions):
        return list(messages), False
    places = [place for place, message in enumerate(messages) if message.get("role") == "user"]
    if not places or not isinstance(text := texts[places[-1]], str):
        return list(messages), False
    last = {**messages[places[-1]], "content": f"{text.rstrip()}\n\n{template.instruction}"}
    return [*messages[: places[-1]], last, *messages[places[-1] + 1 :]], True


@cache
def _ours() -> Mapping[str, Template]:
    modules = [
        import_module(f"{templates_room.__name__}.{m.name}")
        for m in iter_modules(templates_room.__path__)
    ]
    instances: list[Template] = [m.TEMPLATE for m in modules if hasattr(m, "TEMPLATE")]
    return {template.name: template for template in instances}


def templates() -> Mapping[str, Template]:
    """All templates by name, without options.

    Raises:
        ConfigError: a template of another distribution can't be loaded, or its name is taken.
    """
    plugins = {name: _load(point) for name, point in _plugins().items()}
    return dict(sorted({**_ours(), **plugins}.items()))


def template_named(name: str, options: Mapping[str, Any] | None = None) -> Template:
    """The template of that name with the options of a recipe; those that are None are not set.

    Code of other distributions is loaded only if its template is asked for.

    Raises:
        ConfigError: there is none, and the message lists those that there are; it can't be loaded;
            or the options are invalid.
    """
    plugins = _plugins()
    if name not in template_names():
        raise ConfigError(f"no template {name!r}; there are {', '.join(template_names())}")
    template = _load(plugins[name]) if name in plugins else _ours()[name]
    values = {key: value for key, value in (options or {}).items() if value is not None}
    return template.with_options(values)


def template_names() -> list[str]:
    """The names of all templates, ours and those of other distributions."""
    return sorted({*_plugins(), *_ours()})


def _plugins() -> dict[str, EntryPoint]:
    """What other distributions offer, by name; nothing of it is loaded.

    Raises:
        ConfigError: two have one name.
    """
    plugins = dict[str, EntryPoint]()
    for point in _entry_points(tuple(sys.path)):
        if point.name in _ours() or point.name in plugins:
            other = _origin(plugins[point.name]) if point.name in plugins else "Sluice itself"
            raise ConfigError(
                f"template {point.name!r} is offered by {_origin(point)} and by {other}: "
                "rename one of them, or uninstall its distribution"
            )
        plugins[point.name] = point
    return plugins


@lru_cache(maxsize=1)  # a recipe asks several times, and each reads the files of every distribution
def _entry_points(_path: tuple[str, ...]) -> tuple[EntryPoint, ...]:
    return tuple(entry_points(group=ENTRY_POINTS))


def _load(point: EntryPoint) -> Template:
    where = f"template {point.name!r} of {_origin(point)}"
    try:
        template = point.load()()
    except Exception as error:
        kind = type(error).__name__
        raise ConfigError(f"{where} can't be loaded from {point.value}: {kind}: {error}") from error
    if not isinstance(template, Template):
        raise ConfigError(f"{where}: {point.value} is not a subclass of Template")
    if getattr(template, "name", None) != point.name:
        raise ConfigError(f"{where} has another name in {point.value}: let both be the same")
    return template


def _origin(point: EntryPoint) -> str:
    return f"the distribution {point.dist.name!r}" if point.dist else "an unknown distribution"
