"""Label tables: Parquet, CSV or JSONL, with a `request_id` and the fields of a template."""

from codecs import BOM_UTF8
from collections.abc import Callable, Iterator
from hashlib import sha256
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import msgspec
import polars as pl

from bedrock_sluice.lake.store import open_store
from bedrock_sluice.transforms.errors import ConfigError

KEY = "request_id"
Label = dict[str, Any]


class Labels(NamedTuple):
    """The labels of a table, in its order, and the SHA-256 of the file they came from."""

    rows: list[Label]
    sha256: str


def read_labels(uri: str, base: Path) -> Labels:
    """All labels of a file in a folder or on S3; a relative path is meant from `base`.

    Raises:
        ConfigError: the file is not there, is of another kind, is broken, or has no `request_id`.
    """
    folder, _, name = uri.rpartition("/")
    store = open_store(folder or ".", base)
    entry = store.entry(name)
    if entry is None:
        raise ConfigError(f"label table {uri}: no such file")
    read = _READERS.get(PurePosixPath(name).suffix)
    if read is None:
        raise ConfigError(f"label table {uri}: must end in one of {', '.join(_READERS)}")
    content = store.read(entry)
    rows = list(read(content, uri))
    if any(not isinstance(row.get(KEY), str) for row in rows):
        raise ConfigError(f"label table {uri}: every row needs a {KEY} that is a text")
    return Labels(rows, sha256(content).hexdigest())


def _jsonl(content: bytes, uri: str) -> Iterator[Label]:
    for number, line in enumerate(content.removeprefix(BOM_UTF8).splitlines(), start=1):
        if line.strip():
            try:
                yield msgspec.json.decode(line, type=Label)
            except (ValueError, RecursionError):
                raise ConfigError(f"label table {uri}:{number}: no JSON object") from None


def _csv(content: bytes, uri: str) -> Iterator[Label]:
    return _frame_rows(lambda: pl.read_csv(BytesIO(content), infer_schema=False), uri)


def _parquet(content: bytes, uri: str) -> Iterator[Label]:
    return _frame_rows(lambda: pl.read_parquet(BytesIO(content)), uri)


def _frame_rows(read: Callable[[], pl.DataFrame], uri: str) -> Iterator[Label]:
    try:
        return read().iter_rows(named=True)
    except pl.exceptions.PolarsError as error:
        raise ConfigError(f"label table {uri}: not readable ({type(error).__name__})") from None


_READERS: dict[str, Callable[[bytes, str], Iterator[Label]]] = {
    ".jsonl": _jsonl,
    ".csv": _csv,
    ".parquet": _parquet,
}
