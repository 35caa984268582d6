"""Label tables: Parquet, CSV or JSONL, with a column that says whose label it is.

A CSV is text, cell by cell: an empty cell is a null, and a column `NAME_json` holds JSON for the
field `NAME`. In every table `labelled_at` is a time (ISO 8601; UTC where it names no zone).
"""

import csv
from codecs import BOM_UTF8
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, time
from hashlib import sha256
from io import BytesIO, StringIO
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import msgspec
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from bedrock_sluice.lake.stores.opening import open_store
from bedrock_sluice.transforms.errors import ConfigError

KEY = "request_id"
LABELLED_AT = "labelled_at"
JSON_SUFFIX = "_json"  # of a CSV's columns

# Of a file; and of its texts, each of which Parquet may hold once for many rows.
MAX_TABLE_BYTES = 256 << 20
MAX_TABLE_ROWS = 500_000

Label = dict[str, Any]
_Numbered = Iterator[tuple[int, Label]]


class Labels(NamedTuple):
    """The labels of a table, in its order, and the SHA-256 of the file they came from.

    `lines` are their line numbers; of a Parquet table, their row numbers from 1.
    """

    rows: list[Label]
    sha256: str
    name: str = ""
    lines: Sequence[int] = ()

    def rows_with_place(self) -> Iterator[tuple[str, Label]]:
        """Each label with the place where it stands, as messages name it."""
        for line, row in zip(self.lines, self.rows, strict=True):
            yield f"{self.name}:{line}", row


def read_labels(uri: str, base: Path, key: str = KEY, kind: str = "label table") -> Labels:
    """All labels of a file in a folder or on S3; a relative path is meant from `base`.

    `key` is the column that says whose label it is: request ids, or the values of a metadata key,
    which may be whole numbers there. `labelled_at`, where a label has it, becomes a time in UTC.

    Raises:
        ConfigError: the file is not there, is of another kind, over a limit, or broken; or a row
            has no key, or a `labelled_at` that is not a time. The message names the line.
    """
    name = f"{kind} {uri}"
    folder, _, file = uri.rpartition("/")
    read = _READERS.get(PurePosixPath(file).suffix)
    store = open_store(folder or ".", base)
    entry = store.entry(file)
    if entry is None:
        raise ConfigError(f"{name}: no such file")
    _limit(entry.size, name)
    content = store.read(entry)
    if read is None:
        raise ConfigError(f"{name}: must end in one of {', '.join(_READERS)}")
    lines, rows, chars = list[int](), list[Label](), 0
    for line, row in read(content, name):
        chars += sum(len(value) for value in row.values() if isinstance(value, str))
        _limit(chars, name)
        if len(rows) >= MAX_TABLE_ROWS:
            raise ConfigError(f"{name}: over {MAX_TABLE_ROWS:,} rows; leave out what is not needed")
        _mend(row, key, f"{name}:{line}")
        lines.append(line)
        rows.append(row)
    return Labels(rows, sha256(content).hexdigest(), name, lines)


def _limit(size: int, name: str) -> None:
    if size > MAX_TABLE_BYTES:
        raise ConfigError(
            f"{name}: over {MAX_TABLE_BYTES >> 20} MiB; leave out rows and columns that are "
            "not needed, or divide it into several tables"
        )


def _mend(row: Label, key: str, place: str) -> None:
    """Check the key of a row and its time, and give both the type that they should have."""
    whose = row.get(key)
    if key != KEY and isinstance(whose, int) and not isinstance(whose, bool):
        whose = str(whose)  # tickets are numbers in a table, but metadata are texts
    if not isinstance(whose, str) or not whose.strip():
        raise ConfigError(f"{place}: every row needs a {key} that is a text")
    row[key] = whose
    if row.get(LABELLED_AT) is not None:
        row[LABELLED_AT] = parse_time(row[LABELLED_AT])
        if row[LABELLED_AT] is None:
            raise ConfigError(f"{place}: {LABELLED_AT} is not a time, such as 2026-10-31T18:00:00Z")


def parse_time(value: object) -> datetime | None:
    """Return a time, a date or the text of one as a time (UTC); None if the value is neither."""
    try:
        at = datetime.fromisoformat(value) if isinstance(value, str) else value
        if isinstance(at, datetime):
            return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return datetime.combine(at, time(), tzinfo=UTC) if isinstance(at, date) else None


def _jsonl(content: bytes, name: str) -> _Numbered:
    for number, line in enumerate(content.removeprefix(BOM_UTF8).splitlines(), start=1):
        if line.strip():
            try:
                row = msgspec.json.decode(line, type=Label)
            except (ValueError, RecursionError):
                raise ConfigError(f"{name}:{number}: no JSON object") from None
            yield number, row


def csv_rows(content: bytes, name: str) -> _Numbered:
    """Yield the rows of a CSV file with the numbers of their lines; an empty cell is None.

    Raises:
        ConfigError: it is not CSV in UTF-8; the message begins with `name` and the line.
    """
    lines = csv.reader(StringIO(_text(content, name), newline=""), strict=True)
    header = None
    start = 1
    try:
        for cells in lines:
            if header is None:
                header = _header(cells, f"{name}:{start}")
            elif len(cells) != len(header) and cells:
                raise ConfigError(
                    f"{name}:{start}: {len(cells)} cells, but the header has {len(header)}"
                )
            elif any(cells):
                yield start, _cells(header, cells, f"{name}:{start}")
            start = lines.line_num + 1
    except csv.Error as error:
        raise ConfigError(f"{name}:{start}: no CSV: {error}") from None
    if header is None:
        raise ConfigError(f"{name}: no header")


def _text(content: bytes, name: str) -> str:
    if (at := content.find(b"\0")) >= 0:
        line = content.count(b"\n", 0, at) + 1
        raise ConfigError(f"{name}:{line}: holds NUL; save the table as UTF-8 text")
    try:
        return content.removeprefix(BOM_UTF8).decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{name}:{line}: not UTF-8; save the table as UTF-8 text") from None


def _header(cells: Sequence[str], place: str) -> list[str]:
    """The field of each column, with its suffix; a blank one means that the column is not read."""
    names = [cell.strip() for cell in cells]
    fields = [name.removesuffix(JSON_SUFFIX) for name in names if name]
    for number, name in enumerate(fields, start=1):
        if name in fields[: number - 1]:
            first = fields.index(name) + 1
            raise ConfigError(f"{place}: named columns {first} and {number} hold the same field")
    return names


def _cells(header: Sequence[str], cells: Iterable[str], place: str) -> Label:
    row = Label()
    for column, (name, cell) in enumerate(zip(header, cells, strict=True), start=1):
        if name.endswith(JSON_SUFFIX) and cell:
            try:
                row[name.removesuffix(JSON_SUFFIX)] = msgspec.json.decode(cell)
            except (ValueError, RecursionError):
                raise ConfigError(f"{place}: column {column} holds no JSON") from None
        elif name:
            row[name.removesuffix(JSON_SUFFIX)] = cell or None
    return row


def _parquet(content: bytes, name: str) -> _Numbered:
    try:
        facts = pq.read_metadata(BytesIO(content))
        _limit(sum(facts.row_group(n).total_byte_size for n in range(facts.num_row_groups)), name)
        frame = pl.read_parquet(BytesIO(content))
        yield from enumerate(frame.iter_rows(named=True), start=1)
    except (pa.ArrowException, pl.exceptions.PolarsError, OSError, ValueError, OverflowError) as no:
        raise ConfigError(f"{name}: not readable ({type(no).__name__})") from None
    except pl.exceptions.PanicException:  # Rust's panics are no Exception of Python's
        raise ConfigError(f"{name}: not readable") from None


_READERS: dict[str, Callable[[bytes, str], _Numbered]] = {
    ".jsonl": _jsonl,
    ".csv": csv_rows,
    ".parquet": _parquet,
}
