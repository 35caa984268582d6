"""The types of the fixtures that several test folders call."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple, Protocol

from support.logs import NOON, Json


class EncodeBodies(Protocol):
    """`support.logs.encode_bodies`."""

    def __call__(
        self, dialect: str, messages: Sequence[Json], response: Json, tools: Sequence[Json] = ()
    ) -> tuple[Json, Json]: ...


class MakeRecord(Protocol):
    """`support.logs.make_record`."""

    def __call__(
        self,
        dialect: str = "converse",
        *,
        ask: str = ...,
        reply: str = ...,
        system: str = "",
        request_id: str = ...,
        at: datetime = NOON,
        metadata: Mapping[str, str] | None = None,
        bodies: tuple[object, object] | None = None,
        **envelope: object,
    ) -> Json: ...


class MakeRecords(Protocol):
    """`support.logs.make_records`."""

    def __call__(self, number: int, start: datetime = NOON) -> list[Json]: ...


class WriteLogs(Protocol):
    """`support.logs.write_logs`."""

    def __call__(
        self,
        folder: Path,
        objects: Sequence[Sequence[Json | bytes] | bytes],
        hour: str = "2026/10/01/12",
    ) -> None: ...


class WriteRecipe(Protocol):
    """Write a recipe over `logs` and `lake`; `more` is appended, `swaps` are replaced."""

    def __call__(
        self, more: str = "", swaps: dict[str, str] | None = None, name: str = "sums.toml"
    ) -> Path: ...


class Ran(NamedTuple):
    """The exit code and the output of a command."""

    code: int
    out: str
    err: str


class RunSluice(Protocol):
    """Run the command line in this process."""

    def __call__(self, *arguments: object) -> Ran: ...
