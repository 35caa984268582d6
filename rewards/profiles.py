"""All profiles by name: of platforms and validators, and of the graders of each template."""

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import get_args

from bedrock_sluice.rewards import conformance, templates
from bedrock_sluice.rewards.conformance.profile import Kind, Profile
from bedrock_sluice.transforms.errors import ConfigError


@cache
def profiles() -> Mapping[str, Profile]:
    """Return all profiles by name, in the order of their kinds.

    They stand in `PROFILES` of the modules of `conformance` and of `templates`: a template brings
    the profiles of its graders in its own file.
    """
    modules = [
        import_module(f"{room.__name__}.{module.name}")
        for room in (conformance, templates)
        for module in iter_modules(room.__path__)
    ]
    kinds = get_args(Kind)
    all_profiles: list[Profile] = [each for m in modules for each in getattr(m, "PROFILES", ())]
    return {p.name: p for p in sorted(all_profiles, key=lambda p: (kinds.index(p.kind), p.name))}


def profile_named(name: str) -> Profile:
    """Return the profile of that name.

    Raises:
        ConfigError: there is no such profile; the message lists the names.
    """
    if name not in profiles():
        raise ConfigError(f"unknown profile {name!r}; choose one of {', '.join(profiles())}")
    return profiles()[name]
