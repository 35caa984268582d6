"""What a template is, and which there are."""

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, Protocol

from bedrock_sluice import rewards
from bedrock_sluice.transforms.errors import ConfigError

Reference = dict[str, Any]  # a JSON object; the graders of AWS's samples take no other in common


class Template(Protocol):
    """How a reference answer is made so that the published graders can read it."""

    @property
    def name(self) -> str:
        """As recipes name it."""
        ...

    @property
    def marker(self) -> str | None:
        """What the grader looks for in a response, and so the prompt should ask for."""
        ...

    def from_fields(self, fields: Mapping[str, Any]) -> Reference | None:
        """A reference from the fields of a label; None where they do not make one."""
        ...

    def from_text(self, text: str) -> Reference | None:
        """A reference from a whole answer, as a model or a person wrote it; None if it has none."""
        ...

    def fits(self, reference: object) -> bool:
        """Whether the grader can read this reference."""
        ...


@cache
def templates() -> Mapping[str, Template]:
    """All templates by name."""
    modules = [
        import_module(f"{rewards.__name__}.{m.name}") for m in iter_modules(rewards.__path__)
    ]
    found: list[Template] = [m.TEMPLATE for m in modules if hasattr(m, "TEMPLATE")]
    return {template.name: template for template in sorted(found, key=lambda t: t.name)}


def template_named(name: str) -> Template:
    """The template of that name.

    Raises:
        ConfigError: there is none; the message lists those that there are.
    """
    if name not in templates():
        raise ConfigError(f"no template {name!r}; there are {', '.join(templates())}")
    return templates()[name]
