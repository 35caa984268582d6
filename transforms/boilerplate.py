"""What a text says of its own, where many texts repeat one long instruction.

Prompts of one application share most of their words, and differ in the question. By the words of
the whole text they are near duplicates; by the question they are not. So where many texts look
alike (a crowd), the words that most of them share are boilerplate. A text that has a passage of its
own, of some words on end, is compared by its own words alone, and a word weighs the more, the fewer
texts of the crowd have it: "how much does … cost" may stand in many questions. A crowd whose
members differ in a word here and there has no such passages, and stays a crowd of near duplicates.
"""

from collections.abc import Callable, Iterator

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import csr_array

from bedrock_sluice.transforms.shingles import (
    CHUNK_TEXTS,
    WIDTH,
    Words,
    chunks,
    grams,
    ranges,
    unique_numbers,
    words,
)

MIN_CROWD = 8  # texts that look alike, from which on shared words may be boilerplate
MIN_PASSAGE_WORDS = 3  # on end; fewer are an edit, and no question
SHARED_BY = 0.5  # of a crowd: what more of its members have is boilerplate
PASSAGES_IN = 0.5  # of a crowd: with fewer members that have a passage, it is no template
MAX_WHOLE_GROUP = 32  # texts that share a word, all pairs of which are looked at
MAX_SAMPLED = 1_000  # members of a crowd that tell what is shared

Rows = NDArray[np.int64]
Hashes = NDArray[np.uint64]
Fetch = Callable[[Rows], pl.Series]


OwnWords = dict[int, Hashes]
"""The hashes of the words that a text has for itself, in their order, by its row."""


def own_words(rows: Rows, fetch: Fetch) -> OwnWords:
    """The words of each text of a crowd that stand in a passage of its own.

    `rows` ascend; `fetch` gives their texts, at most `CHUNK_TEXTS` at once. Rows without such a
    passage are not in the result; nor is any row, where too few have one.
    """
    if len(rows) < MIN_CROWD:
        return {}
    shared = _shared_shingles(rows, fetch)
    own: OwnWords = {}
    for places, batch in _batches(rows, fetch):
        start = 0
        for chunk in chunks(batch):
            own |= {int(places[start + n]): w for n, w in _own_passages(words(chunk), shared)}
            start += len(chunk)
    return own if len(own) > PASSAGES_IN * len(rows) else {}


def pairs_by_own_words(own: OwnWords, threshold: float) -> tuple[Rows, NDArray[np.float64]]:
    """Pairs of rows (i < j) whose own words are as similar as the threshold or more.

    The similarity is the weighted Jaccard index of the sets of words; the weight of a word is the
    logarithm of how many texts there are to each that has it. Pairs that have their common words in
    another order are none: "12 minus 7" is not "7 minus 12". A word that many texts have leads each
    of them to the first alone, so that candidates grow with the texts and not with their square.
    """
    rows = np.array(sorted(own), np.int64)
    sets = [np.unique(own[row]) for row in rows.tolist()]
    values, columns = np.unique(np.concatenate(sets), return_inverse=True)
    starts = np.cumsum([0, *map(len, sets)])
    has = csr_array((np.ones(len(columns)), columns, starts), shape=(len(rows), len(values)))
    weights = np.log(len(rows) / has.sum(axis=0))
    left, right = _candidates(has, own, rows)
    common = has[left].multiply(has[right]) @ weights
    totals = has @ weights
    union = totals[left] + totals[right] - common
    similarity = np.where(union > 0, common / np.where(union > 0, union, 1), 1.0)
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


def _shared_shingles(rows: Rows, fetch: Fetch) -> Hashes:
    """The hashes of shingles that more than `SHARED_BY` of the texts have, ascending."""
    sampled = rows[:: -(-len(rows) // MAX_SAMPLED)]
    # Each text's shingles are counted once.
    hashes = [_exact_shingles(batch) for _, batch in _batches(sampled, fetch)]
    values, counts = np.unique(np.concatenate(hashes), return_counts=True)
    shared: Hashes = values[counts > SHARED_BY * len(sampled)]
    return shared


def _exact_shingles(texts: pl.Series) -> Hashes:
    """The distinct shingles of each text, one text after the other."""
    found = [np.zeros(0, np.uint64)]
    for chunk in chunks(texts):
        every = grams(words(chunk), WIDTH)
        bounds = zip(every.starts[:-1], every.starts[1:], strict=True)
        found += [np.unique(every.hashes[start:end]) for start, end in bounds]
    return np.concatenate(found)


def _own_passages(of: Words, shared: Hashes) -> Iterator[tuple[int, Hashes]]:
    """The words of each text of a chunk that stand in passages of its own, with its place."""
    every = grams(of, WIDTH)
    is_shared = np.isin(every.hashes, shared)
    counts = np.diff(every.starts)
    # Shingle n of a text covers its words from n on; a text of fewer words has one shingle.
    first = of.starts[:-1].repeat(counts) + ranges(np.zeros_like(counts), counts)
    is_covered = np.zeros(len(of.hashes) + WIDTH, np.bool_)
    for shift in range(WIDTH):
        is_covered[first[is_shared] + shift] = True
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
