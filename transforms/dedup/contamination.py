"""Overlap of prompts with evaluation sets: what a model must not be trained on.

An item is looked for in three ways. It is `exact` where the text has the same words in the same
order; `near` where the shingles of 5 words are as similar as the threshold (Jaccard); `contained`
where at least `CONTAINED_SHARE` of the item's shingles of 8 words are found in the text, wherever
they stand, and however long the text. An item of fewer words than a shingle is one shingle; one of
fewer than `MIN_WORDS` (`yes`, `true or false`) says little, and counts only as exact.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import csr_array

from bedrock_sluice.transforms.dedup.shingles import (
    WIDTH,
    Shingles,
    Words,
    chunks,
    distinct,
    grams,
    incidence,
    ranges,
    shared_counts,
    shingle,
    unique_numbers,
    whole_hashes,
    words,
)
from bedrock_sluice.transforms.errors import ConfigError
from bedrock_sluice.transforms.settings import MIN_THRESHOLD

MIN_WORDS = 6  # of an item that is looked for inside texts, or in a changed form
CONTAINED_WIDTH = 8  # words of a shingle
CONTAINED_SHARE = 0.8  # of an item's shingles
SIMILARITY = 0.8  # Jaccard, where nobody names another for `near`
MAX_SHARING = 64  # items that one shingle leads to: of more, the first ones
MAX_FILTER_BITS = 24  # so a filter has at most 16 MB
FILTER_CELLS_A_TERM = 16

EXACT, NEAR, CONTAINED = "exact", "near", "contained"

OVERLAPS = pl.Schema(
    {"row": pl.UInt32, "item": pl.UInt32, "kind": pl.String, "similarity": pl.Float64}
)

_Rows = NDArray[np.int64]
_Numbers = NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class _Probe:
    """One way of looking for items: which of their shingles lead to them, and all that they have.

    An item that has enough in common with a text shares one of its rarest shingles with it, so only
    those lead to it: `terms`, ascending, each with the place of its item in `items`.
    """

    kind: str
    width: int
    items: _Rows
    shingles: csr_array
    terms: _Numbers
    places: _Rows
    filter: NDArray[np.bool_]  # by the first bits of a hash: whether it may be a term


@dataclass(frozen=True, slots=True)
class EvaluationIndex:
    """Evaluation items, ready to be looked for: made by `index_evaluation`."""

    wholes: _Numbers  # ascending
    items: _Rows  # the number of each
    probes: tuple[_Probe, ...]


def index_evaluation(items: pl.Series) -> EvaluationIndex:
    """Index the texts of evaluation items; of equal ones the first is told, and null is empty."""
    item_hashes = [(whole_hashes(w), np.diff(w.starts)) for w in map(words, chunks(items))]
    hashes = np.concatenate([np.zeros(0, np.uint64), *(whole for whole, _ in item_hashes)])
    lengths = np.concatenate([np.zeros(0, np.int64), *(length for _, length in item_hashes)])
    wholes, first = np.unique(hashes, return_index=True)
    has_words = lengths[first] > 0
    wholes, first = wholes[has_words], first[has_words]
    telling = np.sort(first[lengths[first] >= MIN_WORDS])
    widths = np.minimum(lengths[telling], CONTAINED_WIDTH)
    ways = [(CONTAINED, int(width), telling[widths == width]) for width in np.unique(widths)]
    ways = [(NEAR, WIDTH, telling), *ways] if len(telling) else []
    return EvaluationIndex(wholes, first, tuple(_probe(items, *way) for way in ways))


def overlaps(texts: pl.Series, index: EvaluationIndex, threshold: float) -> pl.DataFrame:
    """The best item for each text that overlaps one: `OVERLAPS`, in ascending order of `row`.

    `similarity` is 1 for `exact`, Jaccard for `near`, and the share of the item that was found for
    `contained`. The best is exact rather than near rather than contained, then the most similar,
    then the first of the items. Where a shingle leads to over `MAX_SHARING` items, some of these
    may be overlooked.

    Raises:
        ConfigError: the threshold is not between `MIN_THRESHOLD` and 1.
    """
    if not MIN_THRESHOLD <= threshold <= 1:
        raise ConfigError(
            f"{threshold} is not a similarity to an evaluation set; "
            f"give a number from {MIN_THRESHOLD} to 1"
        )
    matches = [OVERLAPS.to_frame()]
    start = 0
    for chunk in chunks(texts):
        text_words = words(chunk)
        for one in _matches(text_words, index, threshold):
            matches.append(one.with_columns(row=(pl.col("row") + start).cast(pl.UInt32)))
        start += len(chunk)
    return _best(pl.concat(matches))


def prompt_overlaps(parts: pl.DataFrame, index: EvaluationIndex, threshold: float) -> pl.DataFrame:
    """The best item for each prompt that has one anywhere, as `overlaps` does for texts.

    `parts` are the `turns`, the `system` message and the texts of `tools`. Compared are the turns,
    the system message, and all together; a text that many prompts share is read once.
    """
    whole = pl.concat_str("system", "turns", "tools", separator="\n")
    texts = parts.select("turns", "system", whole=whole).with_row_index("row").unpivot(index="row")
    texts = texts.group_by(pl.col("value").str.strip_chars(), maintain_order=True).agg("row")
    matches = overlaps(texts["value"], index, threshold)
    rows = matches.with_columns(row=texts["row"].gather(matches["row"]))
    return _best(rows.explode("row"))


def _best(matches: pl.DataFrame) -> pl.DataFrame:
    order = pl.col("kind").cast(pl.Enum([EXACT, NEAR, CONTAINED]))
    best = matches.sort("row", order, -pl.col("similarity"), "item")
    return best.unique("row", keep="first", maintain_order=True)


# --- The index


def _probe(texts: pl.Series, kind: str, width: int, items: _Rows) -> _Probe:
    of = shingle(texts.gather(items), width)
    share = CONTAINED_SHARE if kind == CONTAINED else MIN_THRESHOLD
    terms, places = _rarest(of, share)
    order = np.argsort(terms, kind="stable")
    terms, places = terms[order], places[order]
    bits = min(MAX_FILTER_BITS, (FILTER_CELLS_A_TERM * len(terms)).bit_length())
    may_be = np.zeros(2**bits, np.bool_)
    may_be[_cells(terms, may_be)] = True
    return _Probe(kind, width, items, incidence(of), terms, places, may_be)


def _rarest(of: Shingles, share: float) -> tuple[_Numbers, _Rows]:
    """So many of each item's shingles that who has its `share` of all has one of these."""
    _, inverse, frequency = np.unique(of.hashes, return_inverse=True, return_counts=True)
    owners = np.repeat(np.arange(len(of.counts)), of.counts)
    order = np.lexsort((of.hashes, frequency[inverse], owners))
    # Less a little, since 0.55 × 100 is a bit over 55 in floats.
    required_matches = np.ceil(share * of.counts - 1e-9).astype(np.int64)
    kept = ranges(of.starts[:-1], of.counts - required_matches + 1)
    return of.hashes[order[kept]], owners[kept]


def _cells(hashes: _Numbers, may_be: NDArray[np.bool_]) -> _Numbers:
    return hashes >> np.uint64(64 - (len(may_be) - 1).bit_length())


# --- Looking


def _matches(text_words: Words, index: EvaluationIndex, threshold: float) -> Iterator[pl.DataFrame]:
    """What each way of looking finds in a chunk of texts."""
    yield _exact(text_words, index)
    for probe in index.probes:
        text_grams = grams(text_words, probe.width)
        rows, places = _led_to(text_grams, probe)
        if len(rows):
            similarity = _similarity(distinct(text_grams), rows, probe, places)
            limit = threshold if probe.kind == NEAR else CONTAINED_SHARE
            over = similarity >= limit
            items = probe.items[places[over]]
            yield _frame(rows[over], items, probe.kind, similarity[over])


def _exact(text_words: Words, index: EvaluationIndex) -> pl.DataFrame:
    hashes = whole_hashes(text_words)
    if not len(index.wholes):
        return OVERLAPS.to_frame()
    places = np.minimum(np.searchsorted(index.wholes, hashes), len(index.wholes) - 1)
    rows = np.flatnonzero((index.wholes[places] == hashes) & (np.diff(text_words.starts) > 0))
    return _frame(rows, index.items[places[rows]], EXACT, np.ones(len(rows)))


def _led_to(text_grams: Shingles, probe: _Probe) -> tuple[_Rows, _Rows]:
    """Texts, and the places of items that one of their shingles leads to: each pair once."""
    hits = np.flatnonzero(probe.filter[_cells(text_grams.hashes, probe.filter)])
    hashes = text_grams.hashes[hits]
    starts = np.searchsorted(probe.terms, hashes, side="left")
    counts = np.searchsorted(probe.terms, hashes, side="right") - starts
    counts = np.minimum(counts, MAX_SHARING)
    rows = np.searchsorted(text_grams.starts, hits, side="right") - 1
    codes = np.repeat(rows, counts) * len(probe.items) + probe.places[ranges(starts, counts)]
    matches, places = np.divmod(unique_numbers(codes), len(probe.items))
    return matches, places


def _similarity(of: Shingles, rows: _Rows, probe: _Probe, places: _Rows) -> NDArray[np.float64]:
    """Of each text and item: the share of the item that was found, or Jaccard."""
    common = shared_counts(incidence(of), rows, probe.shingles, places)
    whole = np.diff(probe.shingles.indptr)[places]
    if probe.kind == NEAR:
        whole = whole + of.counts[rows] - common
    similarity: NDArray[np.float64] = common / whole
    return similarity


def _frame(rows: _Rows, items: _Rows, kind: str, similarity: NDArray[np.float64]) -> pl.DataFrame:
    columns = {"row": rows, "item": items, "similarity": similarity}
    return pl.DataFrame(columns).select(
        pl.lit(kind).alias(name) if name == "kind" else pl.col(name).cast(kind_of)
        for name, kind_of in OVERLAPS.items()
    )
