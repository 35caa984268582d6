"""The interface of a dialect's reader."""

from collections.abc import Mapping
from typing import Protocol

from msgspec import Raw

from bedrock_sluice.transforms.chat.messages import Exchange

Keys = Mapping[str, Raw]


class Reader(Protocol):
    """The interface of each dialect module."""

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
