"""One reader a dialect, each a module of this package; a new file is a new reader.

A reader is chosen by the shape of the bodies, never by the model id: five kinds of model id do not
tell the model family, and logged ids have been seen beside another family's body.
"""

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import Protocol, cast

from msgspec import Raw

from bedrock_sluice.transforms.chat import Exchange

Keys = Mapping[str, Raw]


class Reader(Protocol):
    """What each module of this package offers."""

    DIALECT: str

    def claims(self, request: Keys, response: Keys | list[Raw]) -> bool:
        """Whether the two bodies, seen by their top-level keys, are of this dialect.

        `response` is a list where the body was logged as the chunks of a stream.
        """
        ...

    def read(self, request: bytes, response: bytes) -> Exchange:
        """Read the two bodies (JSON, UTF-8).

        Raises:
            chat.Unreadable, msgspec.DecodeError: they are not of this dialect after all.
        """
        ...


@cache
def readers() -> tuple[Reader, ...]:
    """All readers, by the name of their module."""
    names = sorted(module.name for module in iter_modules(__path__))
    return tuple(cast(Reader, import_module(f"{__name__}.{name}")) for name in names)


def find_reader(request: Keys, response: Keys | list[Raw]) -> Reader | None:
    """The first reader that claims the bodies."""
    return next((r for r in readers() if r.claims(request, response)), None)
