"""Candidates for near duplicates: pairs of texts whose sketches say that they may be similar.

Two rows are candidates where a band of their sketches is equal, and the sketches as a whole do not
rule them out.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bedrock_sluice.transforms.dedup.shingles import mix, unique_numbers
from bedrock_sluice.transforms.dedup.sketches import EMPTY, PERMUTATIONS
from bedrock_sluice.transforms.errors import ConfigError
from bedrock_sluice.transforms.settings import MIN_THRESHOLD

MIN_RECALL = 0.995  # by the bands, of the pairs that lie on the threshold
HOPELESS_DEVIATIONS = 3  # of an estimate, below the threshold: no candidate
MAX_WHOLE_BUCKET = 16  # members; a larger bucket is a crowd, and not every pair is a candidate
SURE_DEVIATIONS = 2  # above the threshold: surely similar
LEADERS = 8  # of a crowd, to which its members are compared
NEIGHBOURS = 8  # in the order of the sketches, of a member that is surely like no leader
ESTIMATED_AT_ONCE = 2_048  # pairs, whose sketches fit the processor's cache
ROWS_AT_ONCE = 65_536  # of sketches that are read in a go

Rows = NDArray[np.int64]
Pairs = NDArray[np.int64]
_Numbers = NDArray[np.uint64]


class Bands(NamedTuple):
    """How a sketch is cut: two texts are candidates where all rows of one band are equal."""

    number: int
    rows: int


def choose_bands(threshold: float) -> Bands:
    """The most rows a band that still find `MIN_RECALL` of the pairs on the threshold.

    Raises:
        ConfigError: the threshold is not between `MIN_THRESHOLD` and 1.
    """
    if not MIN_THRESHOLD <= threshold <= 1:
        raise ConfigError(
            f"{threshold} is not a similarity of near duplicates; "
            f"give a number from {MIN_THRESHOLD} to 1"
        )
    cuts = [
        Bands(PERMUTATIONS // rows, rows)
        for rows in range(PERMUTATIONS, 0, -1)
        if PERMUTATIONS % rows == 0
    ]
    return next(b for b in cuts if 1 - (1 - threshold**b.rows) ** b.number >= MIN_RECALL)


def candidate_pairs(
    sketches: NDArray[np.uint32],
    threshold: float,
    scope: _Numbers | None = None,
    order: Rows | None = None,
) -> Pairs:
    """Unique pairs of rows, in ascending order, that may be similar; one pair a row.

    `order` has the rows by rank, as in each pair; without it, they stand so. The sketches may be a
    file that is mapped into memory: few are copied at once. In each band all pairs of a bucket are
    candidates, but where more than `MAX_WHOLE_BUCKET` rows share one. Of such a crowd the first row
    leads: each other is paired with it, those that are surely like it are done, and the first of
    the rest leads next, `LEADERS` times. Who is left is paired with its `NEIGHBOURS` in the order
    of the sketches, where the estimate reaches the threshold. So pairs grow with the rows, and not
    with their square; what may be missed are pairs of a crowd that are hardly similar enough.
    Everywhere an estimate that lies too far below the threshold rules a pair out.

    Raises:
        ConfigError: the threshold is not between `MIN_THRESHOLD` and 1.
    """
    bands = choose_bands(threshold)
    order = np.arange(len(sketches)) if order is None else order
    rows = order[_have_words(sketches)[order]]
    number = max(1, len(sketches))
    codes = np.zeros(0, np.int64)
    for band in range(bands.number):
        columns = np.arange(band * bands.rows, (band + 1) * bands.rows)
        keys = _keys(sketches, columns, scope)[rows]
        band_pairs = _pairs_of_band(sketches, *_buckets(keys, rows), int(columns[0]), threshold)
        band_codes = [p[:, 0] * number + p[:, 1] for p in band_pairs]
        codes = unique_numbers(np.concatenate([codes, *band_codes]))
    pairs = np.stack(np.divmod(codes, number), axis=1)
    return pairs if scope is None else pairs[scope[pairs[:, 0]] == scope[pairs[:, 1]]]


def estimate(sketches: NDArray[np.uint32], pairs: Pairs) -> NDArray[np.float64]:
    """The share of equal numbers in the sketches of each pair."""
    shares = np.empty(len(pairs))
    for start in range(0, len(pairs), ESTIMATED_AT_ONCE):
        left, right = pairs[start : start + ESTIMATED_AT_ONCE].T
        equal = np.take(sketches, left, axis=0) == np.take(sketches, right, axis=0)
        # Eight truths are added at once: no byte overflows, for a sketch has under 256 numbers.
        by_byte = sum(equal.view(np.uint64).T)
        counts = by_byte * np.uint64(0x0101010101010101) >> np.uint64(56)
        shares[start : start + len(left)] = counts / PERMUTATIONS
    return shares


def _have_words(sketches: NDArray[np.uint32]) -> NDArray[np.bool_]:
    have_words = np.empty(len(sketches), np.bool_)
    for start in range(0, len(sketches), ROWS_AT_ONCE):
        block = slice(start, start + ROWS_AT_ONCE)
        have_words[block] = (sketches[block] != EMPTY).any(axis=1)
    return have_words


def _keys(sketches: NDArray[np.uint32], columns: Rows, scope: _Numbers | None) -> _Numbers:
    number = len(sketches)
    keys = np.zeros(number, np.uint64) if scope is None else mix(scope.astype(np.uint64))
    for start in range(0, number, ROWS_AT_ONCE):
        block = slice(start, start + ROWS_AT_ONCE)
        for column in columns:
            keys[block] ^= sketches[block, column]
            mix(keys[block])
    return keys


def _buckets(keys: _Numbers, rows: Rows) -> tuple[Rows, Rows]:
    """The rows that share their key with another, bucket by bucket; and where each bucket starts.

    The last bits of a key give way to the row's place, so that plain numbers are sorted: two keys
    may then be taken for one, which costs a candidate and no more.
    """
    bits = np.uint64(max(1, len(rows) - 1).bit_length())
    packed_keys = keys >> bits << bits | np.arange(len(rows), dtype=np.uint64)
    packed_keys.sort()
    is_first = np.ones(len(packed_keys), np.bool_)
    is_first[1:] = packed_keys[1:] >> bits != packed_keys[:-1] >> bits
    starts = np.flatnonzero(is_first)
    sizes = np.diff(starts, append=len(packed_keys))
    is_shared = sizes > 1
    places = packed_keys[np.repeat(is_shared, sizes)] & ((np.uint64(1) << bits) - np.uint64(1))
    ends = np.cumsum(sizes[is_shared])
    return rows[places.astype(np.int64)], np.concatenate([np.zeros(1, np.int64), ends])


def _pairs_of_band(
    sketches: NDArray[np.uint32], members: Rows, starts: Rows, column: int, threshold: float
) -> Iterator[Pairs]:
    """Pairs of each bucket whose estimate does not rule them out."""
    deviation = np.sqrt(threshold * (1 - threshold) / PERMUTATIONS)
    hopeless = threshold - HOPELESS_DEVIATIONS * deviation
    sizes = np.diff(starts)
    is_large = np.repeat(sizes > MAX_WHOLE_BUCKET, sizes)
    buckets = np.repeat(np.arange(len(sizes)), sizes)
    for pairs in _close(members[~is_large], buckets[~is_large], MAX_WHOLE_BUCKET - 1):
        yield pairs[estimate(sketches, pairs) >= hopeless]
    members, buckets = members[is_large], buckets[is_large]
    for _ in range(LEADERS):
        if not len(members):
            return
        is_first = np.diff(buckets, prepend=-1) > 0
        leaders = members[is_first][np.cumsum(is_first) - 1]
        pairs = np.stack([leaders, members], axis=1)[~is_first]
        shares = estimate(sketches, pairs)
        yield pairs[shares >= hopeless]
        is_alone = shares < threshold + SURE_DEVIATIONS * deviation
        members, buckets = members[~is_first][is_alone], buckets[~is_first][is_alone]
    places = _sketch_order(sketches, members, buckets, column)
    for neighbours in _close(places, buckets[places], NEIGHBOURS):
        pairs = members[np.sort(neighbours, axis=1)]
        yield pairs[estimate(sketches, pairs) >= threshold]


def _close(members: Rows, buckets: Rows, distance: int) -> Iterator[Pairs]:
    """Pairs of members of one bucket that stand at most so far apart."""
    for step in range(1, distance + 1):
        same = np.flatnonzero(buckets[step:] == buckets[:-step])
        if not len(same):
            return
        yield np.stack([members[same], members[same + step]], axis=1)


def _sketch_order(sketches: NDArray[np.uint32], members: Rows, buckets: Rows, column: int) -> Rows:
    """Places of members by bucket, then by their numbers from the column on: like beside like."""
    rotation = np.roll(sketches[members], -column, axis=1).astype(">u4")
    by_sketch = np.argsort(rotation.view(f"V{4 * PERMUTATIONS}").ravel(), kind="stable")
    return by_sketch[np.argsort(buckets[by_sketch], kind="stable")]
