"""MinHash sketches: the share of equal numbers in two of them estimates the Jaccard similarity."""

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from bedrock_sluice.transforms.dedup.shingles import WIDTH, Shingles, chunks, grams, mix, words

PERMUTATIONS = 48  # numbers of a sketch, of 4 bytes each
SKETCH_BYTES = np.dtype(np.uint32).itemsize * PERMUTATIONS
EMPTY = np.uint32(0xFFFFFFFF)  # each number of the sketch of a text without words

_SEEDS = mix(np.arange(1, 2 * PERMUTATIONS + 1, dtype=np.uint64))
_FACTORS = (_SEEDS[:PERMUTATIONS] >> np.uint64(32)).astype(np.uint32) | np.uint32(1)
_SHIFTS = (_SEEDS[PERMUTATIONS:] >> np.uint64(32)).astype(np.uint32)


def sketch(texts: pl.Series) -> NDArray[np.uint32]:
    """One row of `PERMUTATIONS` numbers for each text; a null counts as empty."""
    sketches = np.full((len(texts), PERMUTATIONS), EMPTY)
    start = 0
    for chunk in chunks(texts):
        rows = sketches[start : start + len(chunk)]
        _sketch_into(rows, grams(words(chunk), WIDTH))
        start += len(chunk)
    return sketches


def _sketch_into(rows: NDArray[np.uint32], of: Shingles) -> None:
    """Set each row to the least number that any of the text's shingles has, by permutation."""
    nonempty = np.flatnonzero(of.counts)
    if not len(nonempty):
        return
    starts = of.starts[nonempty]
    low = of.hashes.astype(np.uint32)
    permutation, least = np.empty_like(low), np.empty((PERMUTATIONS, len(nonempty)), np.uint32)
    for factor, shift, row in zip(_FACTORS, _SHIFTS, least, strict=True):
        np.multiply(low, factor, out=permutation)
        np.add(permutation, shift, out=permutation)
        np.minimum.reduceat(permutation, starts, out=row)
    rows[nonempty] = least.T


def sketch_array(sketches: NDArray[np.uint32]) -> pa.Array:
    """Return sketches as bytes, `SKETCH_BYTES` each; every machine writes the same."""
    numbers = pa.py_buffer(sketches.astype("<u4").tobytes())
    kind = pa.binary(SKETCH_BYTES)
    return pa.FixedSizeBinaryArray.from_buffers(kind, len(sketches), [None, numbers])


def read_sketches(column: pl.Series) -> NDArray[np.uint32]:
    """Return the sketches of a column of `sketch_array` without nulls, a row each."""
    values = b"".join(column)
    return np.frombuffer(values, "<u4").astype(np.uint32).reshape(-1, PERMUTATIONS)
