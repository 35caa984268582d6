"""The exchanges of one build: rows of derived parts, in local files.

The exchanges are numbered from 0 through all the parts, and frames carry these numbers (column
`exchange`) in place of the texts.
"""

from collections.abc import Iterable, Iterator, Sequence
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

BATCH_ROWS = 2_048  # of exchanges with their texts, in memory at once

Rows = NDArray[np.int64]


class _Block(Protocol):
    @property
    def num_rows(self) -> int: ...


Block = TypeVar("Block", bound=_Block)


class ExchangeFile(NamedTuple):
    """A derived part in a local file, and the rows there that are exchanges of this build."""

    path: Path
    rows: Rows  # ascending


@dataclass(slots=True)
class ExchangeFiles:
    """The files of exchanges of a build, in the order of the numbers."""

    files: list[ExchangeFile] = field(default_factory=list)

    def read(self, columns: Sequence[str], exchanges: pl.Series) -> Iterator[pl.DataFrame]:
        """Read columns (`DERIVED`) of the exchanges with these numbers, by number, in pieces.

        Each piece is bounded in bytes and has `exchange` beside the columns. The first one is
        empty, so that the pieces can be concatenated even if there are no numbers.
        """
        numbers = exchanges.sort()
        none = pa.schema([DERIVED.field(name) for name in columns]).empty_table()
        pieces = (read_rows(path, columns, rows) for path, rows in self.rows_by_file(exchanges))
        start = 0
        for piece in chain([none], chain.from_iterable(pieces)):
            here = numbers.slice(start, piece.num_rows)
            yield pl.DataFrame(piece).with_columns(exchange=here)
            start += piece.num_rows

    def rows_by_file(self, exchanges: pl.Series) -> Iterator[ExchangeFile]:
        """Yield each file that has some of these exchanges, with their rows there."""
        numbers, first = exchanges.sort().to_numpy(), 0
        for file in self.files:
            start, end = numbers.searchsorted([first, first + len(file.rows)])
            if end > start:
                yield ExchangeFile(file.path, file.rows[numbers[start:end] - first])
            first += len(file.rows)


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
        groups = [file.metadata.row_group(number) for number in range(file.num_row_groups)]
        for number, (_, rows_of_group) in enumerate(_rows_by_block(groups, rows)):
            if not len(rows_of_group):
                continue
            # Row groups are bounded in bytes, so no batch may reach over two of them.
            batches = file.iter_batches(BATCH_ROWS, row_groups=[number], columns=list(columns))
            for batch, rows_of_batch in _rows_by_block(batches, rows_of_group):
                if len(rows_of_batch):
                    # Copied: a filtered batch would keep the text of all its other rows in memory.
                    yield batch.take(pa.array(rows_of_batch))


@contextmanager
def _open(path: Path) -> Iterator[pq.ParquetFile]:
    # The build has verified the file. But another process may remove it, or the disk break.
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
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
