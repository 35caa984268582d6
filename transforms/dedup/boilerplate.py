"""What a text says of its own, where many texts repeat one long instruction.

Prompts of one application share most of their words, and differ in the question. By the words of
the whole text they are near duplicates; by the question they are not. So the words that many texts
share are boilerplate. A text that has a passage of its own, of some words on end, is compared by
its own words alone, and a word weighs the more, the fewer texts have it: "how much does … cost" may
stand in many questions. Where texts that look alike differ in a word here and there, they have no
such passages, and stay near duplicates.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import csr_array

from bedrock_sluice.transforms.dedup.shingles import (
    CHUNK_TEXTS,
    WIDTH,
    Words,
    chunks,
    grams,
    ranges,
    unique_numbers,
    words,
)

MIN_PASSAGE_WORDS = 3  # on end; fewer are an edit, and no question
MOSTLY = 0.5  # of the texts of a template have a passage of their own; and less of their words
MAX_WHOLE_GROUP = 32  # texts that share a word, all pairs of which are looked at
MAX_SAMPLED = 2_000  # texts that tell what is common
SAMPLE_RUN = 16  # of them on end: they lie in one file, and are read together

Rows = NDArray[np.int64]
Hashes = NDArray[np.uint64]
Fetch = Callable[[Rows], pl.Series]

OwnWords = dict[int, Hashes]
"""The hashes of the words that a text has for itself, in their order, by its row."""


class Common(NamedTuple):
    """What texts have in common: the shingles that many have, and how many have each word.

    `shingles` and `words` are hashes in ascending order; `texts` is how many were counted.
    """

    shingles: Hashes
    words: Hashes
    counts: NDArray[np.int64]
    texts: int

    def weights(self, hashes: Hashes) -> NDArray[np.float64]:
        """The weight of each word: the square of the logarithm of its rarity (as of tf-idf)."""
        places = np.minimum(np.searchsorted(self.words, hashes), len(self.words) - 1)
        counts = np.where(self.words[places] == hashes, self.counts[places], 1)
        weights: NDArray[np.float64] = np.log(self.texts / counts) ** 2
        return weights


def count_common(rows: Rows, fetch: Fetch, share: float, least: int = 1) -> Common:
    """Count what the texts of these (ascending) rows have in common; of many rows, a sample's.

    Shingles count as common that more than a `share` of the texts have, and `least` of them.
    `fetch` gives the texts of ascending rows, at most `CHUNK_TEXTS` at once.
    """
    sample = _sample(rows)
    shingles, spoken = [np.zeros(0, np.uint64)], [np.zeros(0, np.uint64)]
    for _, batch in _batches(sample, fetch):
        for chunk in chunks(batch):
            of = words(chunk)
            every = grams(of, WIDTH)
            shingles += _distinct(every.hashes, every.starts)
            spoken += _distinct(of.hashes, of.starts)
    hashes, counts = np.unique(np.concatenate(shingles), return_counts=True)
    is_common = (counts > share * len(sample)) & (counts >= least)
    word_hashes, holders = np.unique(np.concatenate(spoken), return_counts=True)
    return Common(hashes[is_common], word_hashes, holders, max(1, len(sample)))


def _sample(rows: Rows) -> Rows:
    if len(rows) <= MAX_SAMPLED:
        return rows
    starts = np.linspace(0, len(rows) - SAMPLE_RUN, MAX_SAMPLED // SAMPLE_RUN).astype(np.int64)
    return rows[ranges(starts, np.full(len(starts), SAMPLE_RUN))]


def _distinct(hashes: Hashes, starts: NDArray[np.int64]) -> list[Hashes]:
    return [np.unique(hashes[a:b]) for a, b in pairwise(starts.tolist())]


def own_words(groups: Sequence[Rows], fetch: Fetch, common: Common) -> OwnWords:
    """The words of each text that stand in a passage of its own, by its row.

    `groups` are rows of texts that look alike. A group is of a template, if most of its texts have
    such a passage, and most of their words are common; of other groups, no row is in the result.
    For `fetch` see `count_common`.
    """
    if not groups or not len(common.shingles):
        return {}
    own: OwnWords = {}
    lengths = dict[int, int]()
    for places, batch in _batches(np.sort(np.concatenate(groups)), fetch):
        start = 0
        for chunk in chunks(batch):
            of = words(chunk)
            here = places[start : start + len(chunk)].tolist()
            own |= {here[n]: hashes for n, hashes in _own_passages(of, common.shingles)}
            lengths |= zip(here, np.diff(of.starts).tolist(), strict=True)
            start += len(chunk)
    return {row: own[row] for group in groups for row in _of_template(group, own, lengths)}


def _of_template(group: Rows, own: OwnWords, lengths: dict[int, int]) -> list[int]:
    """The rows of a group that have a passage of their own, if the group is of a template."""
    rows = group.tolist()
    passages = [row for row in rows if row in own]
    is_common = sum(len(own[row]) for row in passages) < MOSTLY * sum(lengths[r] for r in rows)
    return passages if is_common and len(passages) > MOSTLY * len(rows) else []


def pairs_by_own_words(
    own: OwnWords, common: Common, threshold: float
) -> tuple[Rows, NDArray[np.float64]]:
    """Pairs of rows (i < j) whose own words are as similar as the threshold or more.

    The similarity is the weighted Jaccard index of the sets of words. Pairs that have their common
    words in another order are none: "12 minus 7" is not "7 minus 12". A word that many texts have
    leads each of them to the first alone, so that candidates grow with the texts and not with their
    square.
    """
    rows = np.array(sorted(own), np.int64)
    sets = [np.unique(own[row]) for row in rows.tolist()]
    values, columns = np.unique(np.concatenate(sets), return_inverse=True)
    starts = np.cumsum([0, *map(len, sets)])
    has = csr_array((np.ones(len(columns)), columns, starts), shape=(len(rows), len(values)))
    weights = common.weights(values)
    left, right = _candidates(has, own, rows)
    overlap = has[left].multiply(has[right]) @ weights
    totals = has @ weights
    union = totals[left] + totals[right] - overlap
    similarity = np.where(union > 0, overlap / np.where(union > 0, union, 1), 1.0)
    is_near = similarity >= threshold
    is_near[is_near] = [
        _in_same_order(own[i], own[j])
        for i, j in zip(rows[left[is_near]].tolist(), rows[right[is_near]].tolist(), strict=True)
    ]
    return np.stack([rows[left[is_near]], rows[right[is_near]]], axis=1), similarity[is_near]


def _candidates(has: csr_array, own: OwnWords, rows: Rows) -> tuple[Rows, Rows]:
    """Places i < j that share a word, or all of their words; each pair once."""
    by_word = has.tocsc()
    holders = np.split(by_word.indices.astype(np.int64), by_word.indptr[1:-1])
    same = dict[bytes, list[int]]()
    for place, row in enumerate(rows.tolist()):
        same.setdefault(own[row].tobytes(), []).append(place)
    groups = [*holders, *(np.array(places, np.int64) for places in same.values())]
    pairs = [np.zeros((0, 2), np.int64)]
    for group in (np.sort(group) for group in groups if len(group) > 1):
        firsts = group if len(group) <= MAX_WHOLE_GROUP else group[:1]
        left, right = np.repeat(firsts, len(group)), np.tile(group, len(firsts))
        pairs.append(np.stack([left, right], axis=1)[left < right])
    codes = unique_numbers(np.concatenate(pairs) @ np.array([len(rows), 1]))
    return np.divmod(codes, len(rows))


def _in_same_order(one: Hashes, other: Hashes) -> bool:
    """Whether the words that both have come in the same order."""
    return np.array_equal(one[np.isin(one, other)], other[np.isin(other, one)])


def as_text(hashes: Hashes) -> str:
    """Words told by their hashes alone, for what takes a text."""
    return " ".join(f"{word:016x}" for word in hashes.tolist())


def _batches(rows: Rows, fetch: Fetch) -> Iterator[tuple[Rows, pl.Series]]:
    for start in range(0, len(rows), CHUNK_TEXTS):
        places = rows[start : start + CHUNK_TEXTS]
        yield places, fetch(places)


def _own_passages(of: Words, common: Hashes) -> Iterator[tuple[int, Hashes]]:
    """The words of each text of a chunk that stand in passages of its own, with its place."""
    every = grams(of, WIDTH)
    is_shared = np.isin(every.hashes, common)
    counts = np.diff(every.starts)
    # Shingle n of a text covers its words from n on; a text of fewer words has one shingle.
    first = of.starts[:-1].repeat(counts) + ranges(np.zeros_like(counts), counts)
    first, ends = first[is_shared], of.starts[1:].repeat(counts)[is_shared]
    is_covered = np.zeros(len(of.hashes), np.bool_)
    for shift in range(WIDTH):
        is_covered[np.minimum(first + shift, ends - 1)] = True
    for place, (start, end) in enumerate(zip(of.starts[:-1], of.starts[1:], strict=True)):
        is_own = _in_passages(~is_covered[start:end])
        if is_own.any():
            yield place, of.hashes[start:end][is_own]


def _in_passages(flags: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The flags that are set, with `MIN_PASSAGE_WORDS` or more of them on end."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]])))
    begins, ends = edges[0::2], edges[1::2]
    is_long = ends - begins >= MIN_PASSAGE_WORDS
    kept = np.zeros(len(flags), np.bool_)
    kept[ranges(begins[is_long], (ends - begins)[is_long])] = True
    return kept
