"""What a text says of its own, where many texts repeat one long instruction.

Prompts of one application share most of their words, and differ in the question. By the words of
the whole text they are near duplicates; by the question they are not. So where many texts look
alike (a crowd), the words that most of them share are boilerplate. A text that has a passage of its
own, of some words on end, is compared by its own words alone. A crowd whose members differ in a
word here and there has no such passages, and stays a crowd of near duplicates.
"""

from collections.abc import Callable, Iterator

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bedrock_sluice.transforms.shingles import (
    CHUNK_TEXTS,
    WIDTH,
    Words,
    chunks,
    grams,
    ranges,
    words,
)

MIN_CROWD = 8  # texts that look alike, from which on shared words may be boilerplate
MIN_PASSAGE_WORDS = 3  # on end; fewer are an edit, and no question
SHARED_BY = 0.5  # of a crowd: what more of its members have is boilerplate
PASSAGES_IN = 0.5  # of a crowd: with fewer members that have a passage, it is no template
MAX_SAMPLED = 1_000  # members of a crowd that tell what is shared

Rows = NDArray[np.int64]
Fetch = Callable[[Rows], pl.Series]


def own_words(rows: Rows, fetch: Fetch) -> dict[int, str]:
    """The words that each text of a crowd does not share with most others, by its row.

    `rows` ascend; `fetch` gives their texts, at most `CHUNK_TEXTS` at once. Words are told by
    their hashes, as text: who reads the result can compare it, and nothing else. Rows without a
    passage of their own are not in it; nor is any row, where too few have one.
    """
    if len(rows) < MIN_CROWD:
        return {}
    shared = _shared_shingles(rows, fetch)
    texts = dict[int, str]()
    for places, batch in _batches(rows, fetch):
        start = 0
        for chunk in chunks(batch):
            own = _own_passages(words(chunk), shared)
            texts |= {int(places[start + n]): text for n, text in own}
            start += len(chunk)
    return texts if len(texts) > PASSAGES_IN * len(rows) else {}


def _batches(rows: Rows, fetch: Fetch) -> Iterator[tuple[Rows, pl.Series]]:
    for start in range(0, len(rows), CHUNK_TEXTS):
        places = rows[start : start + CHUNK_TEXTS]
        yield places, fetch(places)


def _shared_shingles(rows: Rows, fetch: Fetch) -> NDArray[np.uint64]:
    """The hashes of shingles that more than `SHARED_BY` of the texts have, ascending."""
    sampled = rows[:: -(-len(rows) // MAX_SAMPLED)]
    # Each text's shingles are counted once.
    hashes = [_exact_shingles(batch) for _, batch in _batches(sampled, fetch)]
    values, counts = np.unique(np.concatenate(hashes), return_counts=True)
    shared: NDArray[np.uint64] = values[counts > SHARED_BY * len(sampled)]
    return shared


def _exact_shingles(texts: pl.Series) -> NDArray[np.uint64]:
    """The distinct shingles of each text, one text after the other."""
    found = [np.zeros(0, np.uint64)]
    for chunk in chunks(texts):
        every = grams(words(chunk), WIDTH)
        bounds = zip(every.starts[:-1], every.starts[1:], strict=True)
        found += [np.unique(every.hashes[start:end]) for start, end in bounds]
    return np.concatenate(found)


def _own_passages(of: Words, shared: NDArray[np.uint64]) -> Iterator[tuple[int, str]]:
    """The own words of each text of a chunk that has a passage of them, with its place."""
    every = grams(of, WIDTH)
    is_shared = np.isin(every.hashes, shared)
    counts = np.diff(of.starts)
    # A shingle covers the words that it begins with: word n of the text, and the next.
    first = of.starts[:-1].repeat(np.diff(every.starts)) + ranges(
        np.zeros_like(counts), np.diff(every.starts)
    )
    is_covered = np.zeros(len(of.hashes) + WIDTH, np.bool_)
    for shift in range(WIDTH):
        is_covered[first[is_shared] + shift] = True
    for place, (start, end) in enumerate(zip(of.starts[:-1], of.starts[1:], strict=True)):
        is_own = ~is_covered[start:end]
        if _longest_run(is_own) >= MIN_PASSAGE_WORDS:
            yield place, " ".join(f"{word:016x}" for word in of.hashes[start:end][is_own])


def _longest_run(flags: NDArray[np.bool_]) -> int:
    """How many flags on end are set, at most."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]])))
    return int((edges[1::2] - edges[0::2]).max(initial=0))
