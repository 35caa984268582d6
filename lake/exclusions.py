"""Exclusion lists: files that name the tenants, callers and contracts that must not be used.

    CSV   a header with some of tenant, caller, contract, from, until, note
    TOML  [[exclude]] tables with the same keys

`from` and `until` are dates or times (ISO 8601; UTC where they name no zone), half open.
"""

import tomllib
from codecs import BOM_UTF8
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from bedrock_sluice.lake.labels import csv_rows, parse_time
from bedrock_sluice.lake.stores.opening import open_store
from bedrock_sluice.transforms.errors import ConfigError
from bedrock_sluice.transforms.rights.settings import SUBJECTS, Exclusion

MAX_EXCLUSION_BYTES = 64 << 20  # of a file
MAX_EXCLUSIONS = 200_000  # of a file

_DATES = {"from": "since", "until": "until"}
_KEYS = (*SUBJECTS, *_DATES, "note")

Row = Mapping[str, Any]


class ExclusionList(NamedTuple):
    """The entries of a file, in its order, and the SHA-256 of the file."""

    exclusions: list[Exclusion]
    sha256: str


def read_exclusions(uri: str, base: Path, subjects: Collection[str] = SUBJECTS) -> ExclusionList:
    """Read a file in a folder or on S3; a relative path is meant from `base`.

    `subjects` are those of `SUBJECTS` that the recipe has a metadata key for.

    Raises:
        ConfigError: the file does not exist, is of another kind, over a limit or broken; or an
            entry has an unknown key, no subject, one of no metadata key, or a date that is none.
            The message names the line, or the number of the table.
    """
    name = f"exclusion list {uri}"
    folder, slash, file = uri.rpartition("/")
    read = _READERS.get(PurePosixPath(file).suffix)
    if read is None:
        raise ConfigError(f"{name}: must end in one of {', '.join(_READERS)}")
    store = open_store(folder or slash or ".", base)
    entry = store.entry(file)
    if entry is None:
        raise ConfigError(f"{name}: no such file")
    if entry.size > MAX_EXCLUSION_BYTES:
        raise ConfigError(f"{name}: over {MAX_EXCLUSION_BYTES >> 20} MiB; divide it into several")
    content = store.read(entry)
    exclusions = list[Exclusion]()
    for number, row in read(content, name):
        if len(exclusions) >= MAX_EXCLUSIONS:
            raise ConfigError(f"{name}: over {MAX_EXCLUSIONS:,} entries; divide it into several")
        exclusion = _exclusion(row, f"{file}:{number}", f"{name}:{number}")
        for subject in SUBJECTS:
            if getattr(exclusion, subject) and subject not in subjects:
                message = f"names a {subject}, but [rights] has no {subject}_key"
                raise ConfigError(f"{name}:{number}: {message}")
        exclusions.append(exclusion)
    return ExclusionList(exclusions, sha256(content).hexdigest())


def _exclusion(row: Row, place: str, position: str) -> Exclusion:
    if unknown := sorted(row.keys() - set(_KEYS)):
        raise ConfigError(
            f"{position}: unknown key {unknown[0]!r}; the keys are {', '.join(_KEYS)}"
        )
    values: dict[str, Any] = {"place": place}
    for name in SUBJECTS:
        value = row.get(name)
        if not (value is None or (isinstance(value, str) and value)):
            raise ConfigError(f"{position}: {name} must be a text")
        values[name] = value
    values |= {field: _time(row.get(key), f"{position}: {key}") for key, field in _DATES.items()}
    exclusion = Exclusion(**values)
    if fault := exclusion.fault():
        raise ConfigError(f"{position}: {fault}")
    return exclusion


def _time(value: object, position: str) -> datetime | None:
    if value is None:
        return None
    if at := parse_time(value):
        return at
    raise ConfigError(f"{position} is not a date or a time, such as 2026-10-31")


def _csv(content: bytes, name: str) -> Iterator[tuple[int, Row]]:
    """Yield the rows; blank cells count as missing."""
    for number, row in csv_rows(content, name):
        cells = {key: cell.strip() or None for key, cell in row.items() if isinstance(cell, str)}
        yield number, dict.fromkeys(row) | cells


def _toml(content: bytes, name: str) -> Sequence[tuple[int, Row]]:
    try:
        tables = tomllib.loads(content.removeprefix(BOM_UTF8).decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError):
        raise ConfigError(f"{name}: invalid TOML; write [[exclude]] tables") from None
    entries = tables.pop("exclude", [])
    is_list = isinstance(entries, list) and all(isinstance(each, dict) for each in entries)
    if tables or not is_list:
        raise ConfigError(f"{name}: has other keys than [[exclude]] tables; remove them")
    return list(enumerate(entries, start=1))


_READERS: dict[
    str, Callable[[bytes, str], Iterator[tuple[int, Row]] | Sequence[tuple[int, Row]]]
] = {
    ".csv": _csv,
    ".toml": _toml,
}
