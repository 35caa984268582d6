"""Shingles: the Jaccard similarity of their hashes is that of the sets of words."""

from unicodedata import normalize

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock_sluice.transforms.dedup import shingles
from bedrock_sluice.transforms.dedup.shingles import (
    chunks,
    incidence,
    shared_counts,
    shingle,
    words,
)
from bedrock_sluice.transforms.dedup.sketches import EMPTY, PERMUTATIONS, sketch

_WORD = st.sampled_from(["a", "b", "c", "+", "sixty-four", "sixty-four-thousand-and-one", "ü"])
GOLDEN = [
    6028885679402661540,
    10282523621944706166,
    13010033451666702879,
    2935599242693187431,
    15474194955380517358,
]
_TEXT = st.lists(_WORD, max_size=40).map(" ".join)


def hashes(text: str | None, width: int = 5) -> set[int]:
    return set(shingle(pl.Series([text], dtype=pl.String), width).hashes.tolist())


def tuples(text: str, width: int) -> set[tuple[str, ...]]:
    """The definition: runs of `width` words, or all words where there are fewer."""
    words = text.split()
    runs = {tuple(words[n : n + width]) for n in range(max(1, len(words) - width + 1))}
    return runs - {()}


@given(texts=st.lists(_TEXT, min_size=2, max_size=12), width=st.integers(2, 8))
def test_jaccard_is_that_of_sets_of_words(texts: list[str], width: int) -> None:
    shingles = shingle(pl.Series(texts), width)
    sets = [tuples(text, width) for text in texts]
    assert shingles.counts.tolist() == [len(each) for each in sets]
    left, right = np.divmod(np.arange(len(texts) ** 2), len(texts))
    every = incidence(shingles)
    common = shared_counts(every, left, every, right)
    expected = [len(sets[i] & sets[j]) for i, j in zip(left, right, strict=True)]
    assert common.tolist() == expected


@given(texts=st.lists(st.text(max_size=60), max_size=8))
def test_a_text_is_cut_the_same_in_any_company(texts: list[str]) -> None:
    together = shingle(pl.Series(texts, dtype=pl.String))
    for text, start, end in zip(texts, together.starts, together.starts[1:], strict=False):
        assert together.hashes[start:end].tolist() == sorted(hashes(text))
    assert len(together.starts) == len(texts) + 1


_CHARACTER = st.sampled_from(
    [*"aE ='.1é\u0301\u0338ßİſΣ…’“①ﬁＡ漢かไ한\u1100\u1161\u00ad\u200b\u3000\x85😀"]
)


@given(texts=st.lists(st.text(_CHARACTER, max_size=80), min_size=1, max_size=4))
def test_texts_are_folded_as_unicode_says_whatever_stands_beside(texts: list[str]) -> None:
    """Passages that are not ASCII are folded apart; the definition is of the whole text."""
    forms = [normalize("NFKC", normalize("NFKC", text).casefold()) for text in texts]
    for one, other in zip(words(pl.Series(texts)), words(pl.Series(forms)), strict=True):
        assert one.tolist() == other.tolist()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("What is 2 + 2?", "what IS\t2  +\n2"),
        ("“Don’t”, she said…", "don't she said"),
        ("ﬁnd the ①st ｗｏｒｄ， please", "find the 1st word please"),
        ("Straße der Nacht", "STRASSE DER NACHT"),
        ("Cafe\u0301 au lait", "café au lait"),
        ("co\u00adoperate\ufeff now", "cooperate now"),
        ("今日は、良い天気です。", "今日は 良い天気です"),
        ("a\0b\x7fc", "a b c"),
    ],
)
def test_what_is_spelt_otherwise_is_the_same(one: str, other: str) -> None:
    assert hashes(one) == hashes(other) != set()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("2 + 2", "2 - 2"),
        ("x < 5", "x > 5"),
        ("one two", "two one"),
        ("onetwo", "one two"),
        ("a b c d", "a b c d e"),
        ("abcdefgh", "abcdefghi"),
        ("abcdefghABCDEFGHijklmnop", "abcdefghijklmnopABCDEFGH"),
        ("a" * 1_000, "a" * 1_001),
    ],
)
def test_what_differs_has_other_shingles(one: str, other: str) -> None:
    assert hashes(one).isdisjoint(hashes(other))


@pytest.mark.parametrize("text", ["", None, " \t\n", "?!… 。", "\u00a0\u3000", "\u200b"])
def test_a_text_without_words_has_no_shingle(text: str | None) -> None:
    assert hashes(text) == set()
    assert (sketch(pl.Series([text], dtype=pl.String)) == EMPTY).all()


def test_a_script_without_blanks_is_told_by_its_characters() -> None:
    text = "東京都の人口は何人ですか。教えてください。"
    other_text = text.replace("東京", "京都")
    assert len(hashes(text)) == 15
    assert len(hashes(text) & hashes(other_text)) == 13
    assert len(hashes("ฉันรักภาษาไทยมาก")) > 5


def test_these_very_shingles_never_change() -> None:
    """A golden: sketches of one machine are compared with those of another."""
    shingles = shingle(
        pl.Series(["The quick brown fox jumps over it", "internationalisation", "空は青い"])
    )
    assert shingles.starts.tolist() == [0, 3, 4, 5]
    assert shingles.hashes.tolist() == GOLDEN


def test_a_long_text_is_cut_whole() -> None:
    numbers = [str(n) for n in range(700_000)]
    shingles = shingle(pl.Series(["x", " ".join(numbers), "日" * 100_000, "y" * 5_000_000]))
    assert shingles.counts.tolist() == [1, 699_996, 1, 1]


def test_chunks_are_bounded_and_lose_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shingles, "CHUNK_TEXTS", 3)
    monkeypatch.setattr(shingles, "CHUNK_BYTES", 10)
    texts = pl.Series(["a", None, "b", "c", "d" * 11, "e" * 6, "f" * 6, ""])
    pieces = [piece.to_list() for piece in chunks(texts)]
    assert pieces == [["a", "", "b"], ["c"], ["d" * 11], ["e" * 6], ["f" * 6, ""]]


@given(texts=st.lists(_TEXT, min_size=1, max_size=12), seed=st.integers(0, 99))
def test_the_order_of_texts_changes_no_sketch(texts: list[str], seed: int) -> None:
    order = np.random.default_rng(seed).permutation(len(texts))
    series = pl.Series(texts)
    assert (sketch(series.gather(order)) == sketch(series)[order]).all()


@pytest.mark.parametrize("share", [0.5, 0.8, 0.95])
def test_sketches_estimate_jaccard(share: float) -> None:
    """Over many pairs the mean is right: permutations are as good as random ones."""
    pairs = 400
    same = round(200 * share)  # of 200 shingles in all that two texts have
    texts = [
        " ".join(f"p{n}w{w}" if w < same + 4 else f"p{n}w{w}s{side}" for w in range(same + ends))
        for n in range(pairs)
        for side, ends in ((0, 4 + (200 - same) // 2), (1, 4 + (200 - same) // 2))
    ]
    sketches = sketch(pl.Series(texts))
    equal = (sketches[0::2] == sketches[1::2]).mean()
    assert equal == pytest.approx(
        share, abs=4 * (share * (1 - share) / pairs / PERMUTATIONS) ** 0.5
    )
