"""All profiles, by name: those of the platforms and validators, and those of the templates."""

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import get_args

from bedrock_sluice.rewards import conformance, templates
from bedrock_sluice.rewards.conformance.profile import Kind, Profile
from bedrock_sluice.transforms.errors import ConfigError

_MODULE_PREFIX = "profile_"


@cache
def profiles() -> Mapping[str, Profile]:
    """All profiles by name, by their kind.

    They stand in `PROFILES` of the modules named `profile_…`.
    """
    names = [
        f"{room.__name__}.{m.name}"
        for room in (conformance, templates)
        for m in iter_modules(room.__path__)
    ]
    modules = [
        import_module(name) for name in names if name.split(".")[-1].startswith(_MODULE_PREFIX)
    ]
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
