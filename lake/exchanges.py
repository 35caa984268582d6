"""The exchanges of one build, on local disk: Parquet files with the schema `tables.EXCHANGES`.

There is one file for each landed part. The exchanges are numbered from 0 through all the files, and
frames carry these numbers (column `exchange`) in place of the texts.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from bedrock_sluice.transforms.tables import EXCHANGES, TEXT_COLUMNS

BATCH_ROWS = 2_048  # of exchanges with their texts, in memory at once

Rows = NDArray[np.int64]


class _Block(Protocol):
    @property
    def num_rows(self) -> int: ...


Block = TypeVar("Block", bound=_Block)


@dataclass(frozen=True, slots=True)
class ExchangeFiles:
    """The files of exchanges in a folder, one for each of `parts` landed parts."""

    folder: Path
    parts: int

    def path(self, part: int) -> Path:
        """Return the path of the file for the part with this number."""
        return self.folder / f"exchanges-{part:06}.parquet"

    def read_narrow(self) -> pl.DataFrame:
        """Read all exchanges without their texts, with their numbers as `exchange`."""
        columns = [name for name in EXCHANGES.names if name not in TEXT_COLUMNS]
        tables = [pq.read_table(self.path(part), columns=columns) for part in range(self.parts)]
        return pl.DataFrame(pa.concat_tables(tables)).with_row_index("exchange")

    def read(self, columns: Sequence[str], exchanges: pl.Series) -> Iterator[pl.DataFrame]:
        """Read columns of the exchanges with these numbers, by number, in bounded pieces.

        Each piece has `exchange` beside the columns. The first one is empty, so that the pieces can
        be concatenated even if there are no numbers.
        """
        numbers = exchanges.sort()
        none = pa.schema([EXCHANGES.field(name) for name in columns]).empty_table()
        pieces = (read_rows(path, columns, rows) for path, rows in self.rows_by_file(exchanges))
        start = 0
        for piece in chain([none], chain.from_iterable(pieces)):
            here = numbers.slice(start, piece.num_rows)
            yield pl.DataFrame(piece).with_columns(exchange=here)
            start += piece.num_rows

    def rows_by_file(self, exchanges: pl.Series) -> Iterator[tuple[Path, Rows]]:
        """Yield each file that has some of these exchanges, with their rows there, ascending."""
        paths = [self.path(part) for part in range(self.parts)]
        files = _rows_by_block(map(pq.read_metadata, paths), exchanges.sort().to_numpy())
        yield from ((path, rows) for path, (_, rows) in zip(paths, files, strict=True) if len(rows))


@contextmanager
def write_exchanges(path: Path) -> Iterator[pq.ParquetWriter]:
    """Open a new file of exchanges; each table written becomes row groups of its own."""
    with pq.ParquetWriter(path, EXCHANGES, compression="zstd") as writer:
        yield writer


def read_rows(path: Path, columns: Sequence[str], rows: Rows) -> Iterator[pa.RecordBatch]:
    """Read columns of these rows (ascending) of a file, in batches of at most `BATCH_ROWS`."""
    with pq.ParquetFile(path) as file:
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


def _rows_by_block(blocks: Iterable[Block], rows: Rows) -> Iterator[tuple[Block, Rows]]:
    """Yield each of consecutive blocks with those of the rows (ascending) that lie in it."""
    first = 0
    for block in blocks:
        start, end = rows.searchsorted([first, first + block.num_rows])
        yield block, rows[start:end].astype(np.int64) - first
        first += block.num_rows
