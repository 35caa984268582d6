"""Texts on local disk, in Arrow files that are mapped into memory and read at random."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

_SCHEMA = pa.schema([pa.field("text", pa.large_string())])


@dataclass(frozen=True)
class Texts:
    """The texts of some files, numbered from 0 through all of them."""

    chunks: tuple[pa.Array, ...] = ()  # one for each file, mapped into memory
    starts: tuple[int, ...] = (0,)  # the number of each chunk's first text; last, that of all texts

    def extend(self, texts: pl.Series, path: Path) -> "Texts":
        """Write more texts to a new file; return these texts, followed by them."""
        with pa.ipc.new_file(path, _SCHEMA) as file:
            file.write(pa.record_batch([texts.to_arrow()], schema=_SCHEMA))
        chunk = pa.ipc.open_file(pa.memory_map(str(path))).get_batch(0).column(0)
        return Texts((*self.chunks, chunk), (*self.starts, self.starts[-1] + len(chunk)))

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


class LazyTexts:
    """Numbered texts that are read when they are first fetched, and then kept on disk.

    `read` reads the texts with some numbers (ascending), in one or more pieces.
    """

    def __init__(
        self, folder: Path, size: int, read: Callable[[NDArray[np.int64]], Iterable[pl.Series]]
    ) -> None:
        self._folder, self._read = folder, read
        self._texts = Texts()
        self._places = np.full(size, -1)  # among the texts that were read; -1: not yet

    def fetch(self, rows: NDArray[np.int64]) -> pl.Series:
        """Return the texts with these numbers, in the order of the numbers."""
        missing = np.unique(rows[self._places[rows] < 0])
        if len(missing):
            start, path = self._texts.starts[-1], self._folder / f"{len(self._texts.chunks)}"
            self._texts = self._texts.extend(pl.concat(self._read(missing)), path)
            self._places[missing] = start + np.arange(len(missing))
        return self._texts.fetch(self._places[rows])
