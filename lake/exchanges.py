"""The exchanges of one build: rows of derived parts, and of compacted days, in local files.

Exchanges are numbered from 0 through all the parts, and frames carry these numbers (column
`exchange`) in place of the texts.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from bedrock_sluice.transforms.curate.derived_rows import DERIVED
from bedrock_sluice.transforms.errors import TransientError
from bedrock_sluice.transforms.tables import TEXT_COLUMNS

BATCH_ROWS = 2_048  # of exchanges with their texts, in memory at once
PIECE_BYTES = 16 << 20  # of texts that are worked on at once, and one batch more
READERS = 3  # parts that are read ahead of their turn, each by a thread
MAX_AHEAD_BYTES = 32 << 20  # of a part that is read ahead, uncompressed: it is held as a whole

NARROW = pa.schema([field for field in DERIVED if field.name not in TEXT_COLUMNS])
"""The columns of derived parts without the texts."""

Rows = NDArray[np.int64]


class _Block(Protocol):
    @property
    def num_rows(self) -> int: ...


Block = TypeVar("Block", bound=_Block)


class ExchangeFile(NamedTuple):
    """A local file, and the rows there that are exchanges of this build."""

    path: Path
    rows: Rows  # ascending


class ExchangePart(NamedTuple):
    """The number of a derived part, and the rows there that are exchanges of this build."""

    number: int
    rows: Rows  # ascending


class PartFiles(Protocol):
    """The local files of derived parts."""

    def open(self, number: int) -> Path:
        """Return the file of a part; its footer is as it was written."""
        ...

    def repair(self, number: int) -> Path:
        """Compute a part anew, whose file was removed or is damaged."""
        ...


class _NoFiles:
    """The files of a build that has no exchanges."""

    def open(self, number: int) -> Path:
        raise LookupError(number)

    def repair(self, number: int) -> Path:
        raise LookupError(number)


@dataclass(slots=True)
class ExchangeFiles:
    """The files of exchanges of a build, in the order of the numbers.

    `days` have the columns `NARROW`, `parts` have the texts too.
    """

    days: list[ExchangeFile] = field(default_factory=list)
    parts: list[ExchangePart] = field(default_factory=list)
    files: PartFiles = field(default_factory=_NoFiles)

    def count(self) -> int:
        """Return how many exchanges there are."""
        return sum(len(part.rows) for part in self.parts)

    def read(self, columns: Sequence[str], exchanges: pl.Series) -> Iterator[pl.DataFrame]:
        """Read columns (`DERIVED`) of the exchanges with these numbers, by number, in pieces.

        Each piece is bounded in bytes and has `exchange` beside the columns. The first one is
        empty, so that the pieces can be concatenated even if there are no numbers.
        """
        numbers = exchanges.sort()
        none = pa.schema([DERIVED.field(name) for name in columns]).empty_table()
        batches: Iterable[Iterable[pa.RecordBatch]]
        if set(columns) <= set(NARROW.names):
            batches = (read_rows(p, columns, rows) for p, rows in _select(self.days, numbers))
        else:
            batches = self._read_parts(_select(self.parts, numbers), columns)
        start = 0
        for piece in chain([pl.DataFrame(none)], join_batches(chain.from_iterable(batches))):
            yield piece.with_columns(exchange=numbers.slice(start, piece.height))
            start += piece.height

    def _read_parts(
        self, parts: Iterable[ExchangePart], columns: Sequence[str]
    ) -> Iterator[Iterable[pa.RecordBatch]]:
        """Read parts in their order; threads read small ones while others are worked on."""
        waiting = deque[tuple[ExchangePart, Future[list[pa.RecordBatch] | None]]]()
        with ThreadPoolExecutor(READERS) as pool:
            for part in parts:
                path = self.files.open(part.number)
                waiting.append((part, pool.submit(_read_ahead, path, columns, part.rows)))
                if len(waiting) > READERS:
                    yield self._take(*waiting.popleft(), columns)
            while waiting:
                yield self._take(*waiting.popleft(), columns)

    def _take(
        self,
        part: ExchangePart,
        read: Future[list[pa.RecordBatch] | None],
        columns: Sequence[str],
    ) -> Iterable[pa.RecordBatch]:
        try:
            batches = read.result()
        except TransientError:
            return read_rows(self.files.repair(part.number), columns, part.rows)
        return self._read_part(part, columns) if batches is None else batches

    def _read_part(self, part: ExchangePart, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        row_count = 0
        try:
            for batch in read_rows(self.files.open(part.number), columns, part.rows):
                yield batch
                row_count += batch.num_rows
        except TransientError:
            path = self.files.repair(part.number)
            yield from read_rows(path, columns, part.rows[row_count:])

    def rows_by_file(self, exchanges: pl.Series) -> Iterator[ExchangeFile]:
        """Yield each file with texts that has some of these exchanges, with their rows there."""
        for number, rows in _select(self.parts, exchanges.sort()):
            yield ExchangeFile(self.files.open(number), rows)

    def repair_all(self, columns: Sequence[str]) -> None:
        """Compute each part anew in which one of these columns can't be read."""
        for part in self.parts:
            for _ in self._read_part(part, columns):
                pass


Source = TypeVar("Source", ExchangeFile, ExchangePart)


def _select(sources: Sequence[Source], numbers: pl.Series) -> Iterator[Source]:
    """Yield each of the sources that has some of these exchanges (ascending), with their rows."""
    ascending, first = numbers.to_numpy(), 0
    for source in sources:
        start, end = ascending.searchsorted([first, first + len(source.rows)])
        if end > start:
            yield source._replace(rows=source.rows[ascending[start:end] - first])
        first += len(source.rows)


def read_columns(path: Path, columns: Sequence[str]) -> pa.Table:
    """Read columns of all rows of a file.

    Raises:
        TransientError: see `read_rows`.
    """
    with _open(path) as file:
        return file.read(columns=list(columns))


def read_rows(path: Path, columns: Sequence[str], rows: Rows) -> Iterator[pa.RecordBatch]:
    """Read columns of these rows (ascending) of a file, in batches of at most `BATCH_ROWS`.

    Raises:
        TransientError: the file is no longer what it was when the build verified it.
    """
    with _open(path) as file:
        yield from _read_open(file, columns, rows)


def _read_open(
    file: pq.ParquetFile, columns: Sequence[str], rows: Rows
) -> Iterator[pa.RecordBatch]:
    groups = [file.metadata.row_group(number) for number in range(file.num_row_groups)]
    for number, (_, rows_of_group) in enumerate(_rows_by_block(groups, rows)):
        if not len(rows_of_group):
            continue
        # Row groups are bounded in bytes, so no batch may reach over two of them.
        batches = _read_group(file, number, list(columns))
        for batch, rows_of_batch in _rows_by_block(batches, rows_of_group):
            if len(rows_of_batch):
                # Copied: a filtered batch would keep the text of all its other rows in memory.
                yield batch.take(pa.array(rows_of_batch))


def _read_group(file: pq.ParquetFile, number: int, columns: list[str]) -> Iterator[pa.RecordBatch]:
    if file.metadata.row_group(number).num_rows > BATCH_ROWS:
        yield from file.iter_batches(BATCH_ROWS, row_groups=[number], columns=columns)
    else:  # the same in less time: most parts are small
        yield from file.read_row_group(number, columns, use_threads=False).to_batches()


def join_batches(batches: Iterable[pa.RecordBatch]) -> Iterator[pl.DataFrame]:
    """Join batches, of which many may have few rows, to frames of about `PIECE_BYTES`."""
    piece, size = list[pa.RecordBatch](), 0
    for batch in batches:
        piece.append(batch)
        size += batch.nbytes
        if size >= PIECE_BYTES:
            yield pl.DataFrame(pa.Table.from_batches(piece))
            piece, size = [], 0
    if piece:
        yield pl.DataFrame(pa.Table.from_batches(piece))


def _read_ahead(path: Path, columns: Sequence[str], rows: Rows) -> list[pa.RecordBatch] | None:
    """Read columns of these rows; nothing of a large file."""
    with _open(path) as file:
        groups = map(file.metadata.row_group, range(file.num_row_groups))
        if sum(group.total_byte_size for group in groups) > MAX_AHEAD_BYTES:
            return None
        return list(_read_open(file, columns, rows))


def file_size(path: Path) -> int:
    """Return the bytes of a file; 0 if it is gone, of which reading it tells."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


@contextmanager
def _open(path: Path) -> Iterator[pq.ParquetFile]:
    # The build has verified the file. But another process may remove it, or the disk break.
    try:
        # Of a path, pyarrow first finds out the file system, which takes as long as a small part.
        with (
            pa.OSFile(str(path)) as disk_file,
            pq.ParquetFile(disk_file, pre_buffer=False, page_checksum_verification=True) as file,
        ):
            yield file
    except (pa.ArrowException, OSError):
        raise TransientError(f"{path} changed or was removed during the build; run again") from None


def _rows_by_block(blocks: Iterable[Block], rows: Rows) -> Iterator[tuple[Block, Rows]]:
    """Yield each of consecutive blocks with those of the rows (ascending) that lie in it."""
    first = 0
    for block in blocks:
        start, end = rows.searchsorted([first, first + block.num_rows])
        yield block, rows[start:end].astype(np.int64) - first
        first += block.num_rows
