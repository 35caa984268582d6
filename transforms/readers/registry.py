"""All readers, and the choice of one by the shape of the bodies."""

from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import cast

from msgspec import Raw

from bedrock_sluice.transforms.readers import chat_dialects, text_dialects
from bedrock_sluice.transforms.readers.reader import Keys, Reader


@cache
def readers() -> tuple[Reader, ...]:
    """Return all readers, sorted by the name of their module."""
    modules = {
        module.name: f"{room.__name__}.{module.name}"
        for room in (chat_dialects, text_dialects)
        for module in iter_modules(room.__path__)
    }
    return tuple(cast(Reader, import_module(modules[name])) for name in sorted(modules))


def find_reader(request: Keys, response: Keys | list[Raw]) -> Reader | None:
    """The first reader that claims the bodies."""
    return next((r for r in readers() if r.claims(request, response)), None)
