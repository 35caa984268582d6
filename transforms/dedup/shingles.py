"""Word n-grams of texts as 64-bit hashes: what near duplicates and overlaps are measured by.

A word is a maximal run of what is left when a text is folded (NFKC, case) and its marks are taken
for blanks: brackets, quotes, stops and control characters, but no signs of arithmetic, so that
`2 + 2` stays apart from `2 - 2`. A character of a script that is written without blanks (Han, kana,
Thai, Lao, Khmer, Burmese) is a word of its own, so texts of such scripts are told by characters.

The hashes are the same on every machine; they depend on Python's version of Unicode alone.
"""

from collections.abc import Collection, Iterator
from itertools import chain, pairwise
from typing import NamedTuple
from unicodedata import normalize

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import csr_array

WIDTH = 5  # words of a shingle
CHUNK_TEXTS = 512  # a chunk's hashes fit the processor's cache
CHUNK_BYTES = 1_000_000  # of the texts of a chunk; one text that is longer is a chunk of its own
PAIRS_AT_ONCE = 512  # whose shingles are compared in one go
TERMS_AT_ONCE = 4_000_000  # shingles that are copied for that, about

_MAX_GAP = 16  # bytes of ASCII between passages that are folded as one
_LETTER_BYTES = 8  # of a word that are hashed as one number
_FORMATS = r"\p{Cf}"  # soft hyphens and the like: no blanks, just nothing
_MARKS = r"[\p{P}\p{Z}\p{Cc}&&[^\x00-\x7f]]"
_UNSPACED = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]"
_BLANKS = bytes([*range(33), 127]) + b".,;:!?\"'`()[]{}"
_FOLD = bytes(32 if byte in _BLANKS else ord(chr(byte).lower()) for byte in range(128)) + bytes(
    range(128, 256)
)
_WORD_STEP = np.uint64(0x9E3779B97F4A7C15)
_GRAM_STEP = np.uint64(0xD6E8FEB86659FD93)
_MIXERS = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
_SHIFTS = (np.uint64(30), np.uint64(27), np.uint64(31))
_FIRST_BYTES = np.array([2 ** (8 * n) - 1 for n in range(_LETTER_BYTES + 1)], dtype=np.uint64)


class Words(NamedTuple):
    """Hashes of the words of texts, in order: text n has `hashes[starts[n]:starts[n + 1]]`."""

    hashes: NDArray[np.uint64]
    starts: NDArray[np.int64]


class Shingles(NamedTuple):
    """Hashes of the shingles of texts: text n has `hashes[starts[n]:starts[n + 1]]`."""

    hashes: NDArray[np.uint64]
    starts: NDArray[np.int64]

    @property
    def counts(self) -> NDArray[np.int64]:
        """How many shingles each text has."""
        return np.diff(self.starts)


def shingle(texts: pl.Series, width: int = WIDTH) -> Shingles:
    """The distinct shingles of each text, in ascending order; a null counts as empty.

    A text of fewer words than `width` has one shingle, all its words; one without a word has none.
    """
    parts = [distinct(grams(words(chunk), width)) for chunk in chunks(texts)]
    return join_shingles(parts)


def join_shingles(parts: list[Shingles]) -> Shingles:
    """Shingles of texts that follow each other."""
    counts = np.concatenate([np.zeros(1, np.int64), *(part.counts for part in parts)])
    hashes = np.concatenate([np.zeros(0, np.uint64), *(part.hashes for part in parts)])
    return Shingles(hashes, np.cumsum(counts))


def chunks(texts: pl.Series) -> Iterator[pl.Series]:
    """The texts in order, in pieces that are handled at once."""
    texts = texts.fill_null("")
    sums = texts.str.len_bytes().cast(pl.Int64).cum_sum().to_numpy()
    start = 0
    while start < len(texts):
        before = sums[start - 1] if start else 0
        fitting = int(np.searchsorted(sums, before + CHUNK_BYTES, side="right"))
        end = max(start + 1, min(fitting, start + CHUNK_TEXTS))
        yield texts[start:end]
        start = end


def words(texts: pl.Series) -> Words:
    """The words of a chunk of texts without nulls."""
    spelt, places = _spelt(texts)
    is_letter = spelt != ord(" ")
    edges = np.flatnonzero(is_letter[1:] != is_letter[:-1]) + 1  # a blank stands first and last
    begins, ends = edges[0::2], edges[1::2]
    starts: NDArray[np.int64] = np.searchsorted(begins, places)
    return Words(_word_hashes(spelt, begins, ends), starts)


def grams(of: Words, width: int) -> Shingles:
    """The shingles of a chunk in the order of the words, repeated ones too."""
    counts = np.diff(of.starts)
    texts = len(counts)
    # After each text stand zeros, so that a short one is hashed alone.
    positions = of.starts[:-1] + np.arange(texts) * (width - 1)
    spread = np.zeros(len(of.hashes) + (texts + 1) * (width - 1), np.uint64)
    spread[ranges(positions, counts)] = of.hashes
    hashes = spread[: len(spread) - width + 1].copy()
    for shift in range(1, width):
        hashes *= _GRAM_STEP
        hashes += spread[shift : len(spread) - width + 1 + shift]
    kept = np.where(counts > 0, np.maximum(counts - width + 1, 1), 0)
    return Shingles(mix(hashes[ranges(positions, kept)]), offsets(kept))


def distinct(of: Shingles) -> Shingles:
    """Each text's shingles once, in ascending order; `of` has at most 2 ** 20 texts."""
    text_bits = max(1, len(of.counts) - 1).bit_length()
    owners = np.repeat(np.arange(len(of.counts), dtype=np.uint64), of.counts)
    # One number tells the text and, but for its last bits, the hash: faster than two keys.
    keys = owners << np.uint64(64 - text_bits) | of.hashes >> np.uint64(text_bits)
    order = np.argsort(keys)
    hashes, owners = of.hashes[order], owners[order]
    is_new = np.ones(len(hashes), np.bool_)
    is_new[1:] = (hashes[1:] != hashes[:-1]) | (owners[1:] != owners[:-1])
    counts = np.bincount(owners[is_new].astype(np.int64), minlength=len(of.counts))
    return Shingles(hashes[is_new], offsets(counts))


def incidence(of: Shingles) -> csr_array:
    """One row a text, true at each of its hashes: without the last bit, as columns are signed."""
    columns = (of.hashes >> np.uint64(1)).view(np.int64)
    data = np.ones(len(columns), np.bool_)
    return csr_array((data, columns, of.starts), shape=(len(of.counts), np.iinfo(np.int64).max))


def shared_counts(
    left: csr_array, left_rows: NDArray[np.int64], right: csr_array, right_rows: NDArray[np.int64]
) -> NDArray[np.int64]:
    """How many distinct shingles `left_rows[n]` of `left` shares with `right_rows[n]` of `right`.

    Both are made by `incidence`, of distinct shingles.
    """
    sums = np.cumsum(np.diff(left.indptr)[left_rows] + np.diff(right.indptr)[right_rows])
    block = np.maximum(np.arange(len(sums)) // PAIRS_AT_ONCE, sums // TERMS_AT_ONCE)
    bounds = [*np.flatnonzero(np.diff(block, prepend=-1)), len(sums)]
    counts_by_chunk = [
        np.diff(left[left_rows[a:b]].multiply(right[right_rows[a:b]]).indptr)
        for a, b in pairwise(bounds)
    ]
    common: NDArray[np.int64] = np.concatenate([np.zeros(0, np.int64), *counts_by_chunk]).astype(
        np.int64
    )
    return common


def whole_hashes(of: Words) -> NDArray[np.uint64]:
    """One hash of all words of each text and their order; 0 for a text without words."""
    counts = np.diff(of.starts)
    places = ranges(np.zeros_like(counts), counts).astype(np.uint64)
    hashes = np.zeros(len(counts), np.uint64)
    nonempty = np.flatnonzero(counts)
    if len(nonempty):
        mixes = mix(of.hashes + places * _WORD_STEP)
        hashes[nonempty] = mix(np.add.reduceat(mixes, of.starts[nonempty]))
    return hashes


def ranges(starts: NDArray[np.int64], counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """`counts[n]` numbers from `starts[n]` on, one run after the other."""
    shift = starts - (np.cumsum(counts) - counts)
    places: NDArray[np.int64] = np.arange(counts.sum()) + np.repeat(shift, counts)
    return places


def offsets(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where each run begins, and where the last one ends."""
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])


def unique_numbers(numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """Each number (0 or more) once, ascending; `np.unique` hashes, and is slow on many of ours."""
    sorted_numbers = np.sort(numbers)
    return sorted_numbers[np.diff(sorted_numbers, prepend=-1) > 0]


def mix(numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Spread every bit over all 64 (the last step of splitmix64), in place."""
    for shift, factor in zip(_SHIFTS, _MIXERS, strict=False):
        numbers ^= numbers >> shift
        numbers *= factor
    numbers ^= numbers >> _SHIFTS[-1]
    return numbers


def _spelt(texts: pl.Series) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The folded texts, with blanks between, before and after them; and where each begins."""
    byte_texts = texts.cast(pl.Binary).to_list()
    lengths = np.fromiter(map(len, byte_texts), np.int64, len(byte_texts))
    text_bytes = b" ".join([b"", *byte_texts, bytes(_LETTER_BYTES)])
    text_bytes, places = _fold_wide(text_bytes, offsets(lengths + 1) + 1)
    return np.frombuffer(text_bytes.translate(_FOLD), np.uint8), places


def _fold_wide(text: bytes, places: NDArray[np.int64]) -> tuple[bytes, NDArray[np.int64]]:
    """Fold what is not ASCII; return the text, and where the `places` are in it.

    Whatever is done to it, no character acts on an ASCII character that follows. So passages are
    folded alone, each with the one character before it, and the same passage only once.
    """
    is_wide = np.frombuffer(text, np.int8) < 0
    edges = np.flatnonzero(is_wide[1:] != is_wide[:-1]) + 1
    if not len(edges):
        return text, places
    begins, ends = edges[0::2] - 1, edges[1::2]
    owners = np.searchsorted(places, edges[0::2], side="right")
    is_far = (begins[1:] - ends[:-1] > _MAX_GAP) | (owners[1:] != owners[:-1])
    begins, ends = begins[np.r_[True, is_far]], ends[np.r_[is_far, True]]
    passages = [text[begin:end] for begin, end in zip(begins.tolist(), ends.tolist(), strict=True)]
    fold = _fold_passages(dict.fromkeys(passages))
    forms = [fold[passage] for passage in passages]
    gaps = zip([0, *ends.tolist()], [*begins.tolist(), len(text)], strict=True)
    plain = [text[begin:end] for begin, end in gaps]
    pieces = chain.from_iterable(zip(plain, [*forms, b""], strict=True))
    growth = np.fromiter(map(len, forms), np.int64, len(forms)) - (ends - begins)
    return b"".join(pieces), places + offsets(growth)[np.searchsorted(ends, places, side="right")]


def _fold_passages(passages: Collection[bytes]) -> dict[bytes, bytes]:
    """Each passage with only ASCII marks as blanks."""
    plain_texts = [
        normalize("NFKC", normalize("NFKC", each.decode()).casefold()) for each in passages
    ]
    without_formats = pl.col("text").str.replace_all(_FORMATS, "")
    without_marks = without_formats.str.replace_all(_MARKS, " ")
    result = without_marks.str.replace_all(_UNSPACED, " $0 ").cast(pl.Binary)
    frame = pl.DataFrame({"text": plain_texts}, schema={"text": pl.String})
    return dict(zip(passages, frame.select(result).to_series(), strict=True))


def _word_hashes(
    spelt: NDArray[np.uint8], begins: NDArray[np.int64], ends: NDArray[np.int64]
) -> NDArray[np.uint64]:
    """A word's first 8 bytes as a number, mixed; plus the same of each further 8 and their place.

    No byte of a word is 0, so shorter words differ from longer ones.
    """
    lengths = ends - begins
    hashes = mix(_letters(spelt, begins, lengths))
    long = np.flatnonzero(lengths > _LETTER_BYTES)
    if len(long):
        blocks = (lengths[long] - 1) // _LETTER_BYTES
        place = ranges(np.ones_like(blocks), blocks)
        at = np.repeat(begins[long], blocks) + place * _LETTER_BYTES
        more = _letters(spelt, at, np.repeat(ends[long], blocks) - at)
        more += place.astype(np.uint64) * _WORD_STEP
        hashes[long] += np.add.reduceat(mix(more), offsets(blocks)[:-1])
    return hashes


def _letters(
    spelt: NDArray[np.uint8], at: NDArray[np.int64], lengths: NDArray[np.int64]
) -> NDArray[np.uint64]:
    """Up to 8 bytes from each place on, as a little-endian number."""
    every = np.ndarray(len(spelt) - _LETTER_BYTES + 1, "<u8", spelt, strides=(1,))
    return every[at] & _FIRST_BYTES[np.minimum(lengths, _LETTER_BYTES)]
