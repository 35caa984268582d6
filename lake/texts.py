"""Texts on local disk, in Arrow files that are mapped into memory and read at random."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

_SCHEMA = pa.schema([pa.field("text", pa.large_string())])


@dataclass(frozen=True, slots=True)
class TextWriter:
    """Appends texts to a file."""

    file: pa.ipc.RecordBatchFileWriter

    def write(self, texts: pl.Series) -> None:
        """Append these texts."""
        self.file.write(pa.record_batch([texts.to_arrow()], schema=_SCHEMA))


@contextmanager
def write_texts(path: Path) -> Iterator[TextWriter]:
    """Open a new file for texts."""
    with pa.ipc.new_file(path, _SCHEMA) as file:
        yield TextWriter(file)


@dataclass(frozen=True)
class Texts:
    """The texts of some files, numbered from 0 through all of them."""

    chunks: list[pa.Array]
    starts: NDArray[np.int64]  # the number of each chunk's first text; last, that of all texts

    def fetch(self, rows: NDArray[np.int64]) -> pl.Series:
        """Return the texts with these numbers, in the order of the numbers."""
        # A chunk is gone through once, from first to last: its pages come from disk in order.
        order = np.argsort(rows, kind="stable")
        ascending = rows[order]
        bounds = ascending.searchsorted(self.starts)
        pieces = [
            chunk.take(pa.array(ascending[low:high] - start))
            for chunk, start, low, high in zip(
                self.chunks, self.starts[:-1], bounds[:-1], bounds[1:], strict=True
            )
            if high > low
        ]
        back = np.empty_like(order)
        back[order] = np.arange(len(order))
        return pl.Series(pa.chunked_array(pieces, pa.large_string())).gather(back)


def open_texts(paths: Sequence[Path]) -> Texts:
    """Map files that `write_texts` wrote into memory."""
    chunks = list[pa.Array]()
    for path in paths:
        file = pa.ipc.open_file(pa.memory_map(str(path)))
        for number in range(file.num_record_batches):
            chunks += file.get_batch(number).columns
    return Texts(chunks, np.cumsum([0, *map(len, chunks)]))


class LazyTexts:
    """Numbered texts that are read when they are first fetched, and then kept on disk.

    `read` reads the texts with some numbers (ascending), in pieces.
    """

    def __init__(
        self, folder: Path, size: int, read: Callable[[NDArray[np.int64]], Iterable[pl.Series]]
    ) -> None:
        self._folder, self._read = folder, read
        self._paths = list[Path]()
        self._texts = open_texts([])
        self._places = np.full(size, -1)  # among the texts that were read; -1: not yet

    def fetch(self, rows: NDArray[np.int64]) -> pl.Series:
        """Return the texts with these numbers, in the order of the numbers."""
        missing = np.unique(rows[self._places[rows] < 0])
        if len(missing):
            self._paths.append(self._folder / f"{len(self._paths)}")
            with write_texts(self._paths[-1]) as writer:
                for texts in self._read(missing):
                    writer.write(texts)
            self._places[missing] = self._texts.starts[-1] + np.arange(len(missing))
            self._texts = open_texts(self._paths)
        return self._texts.fetch(self._places[rows])
