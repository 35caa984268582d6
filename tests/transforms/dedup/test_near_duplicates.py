"""Near duplicates: what is found is really similar, whatever the order of the rows."""

from collections.abc import Callable, Sequence
from itertools import combinations
from tempfile import TemporaryFile

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from bedrock_sluice.transforms.dedup import boilerplate, near_duplicates
from bedrock_sluice.transforms.dedup.candidate_pairs import (
    MIN_RECALL,
    candidate_pairs,
    choose_bands,
)
from bedrock_sluice.transforms.dedup.near_duplicates import (
    pick_survivors,
    similar_pairs,
    verify,
)
from bedrock_sluice.transforms.dedup.sketches import EMPTY, PERMUTATIONS, sketch
from bedrock_sluice.transforms.errors import ConfigError

Rows = NDArray[np.int64]


def fetch_from(texts: Sequence[str | None]) -> Callable[[Rows], pl.Series]:
    """Gives texts by their rows, which must ascend."""
    series = pl.Series(texts, dtype=pl.String)

    def fetch(rows: Rows) -> pl.Series:
        assert (np.diff(rows) > 0).all()
        return series.gather(rows)

    return fetch


def find(
    texts: Sequence[str | None],
    threshold: float = 0.8,
    rank: Sequence[int] | None = None,
    scope: Sequence[int] | None = None,
) -> pl.DataFrame:
    ranks = np.arange(len(texts)) if rank is None else np.array(rank)
    pairs, similarity = similar_pairs(
        sketch(pl.Series(texts, dtype=pl.String)),
        fetch_from(texts),
        ranks,
        threshold,
        None if scope is None else np.array(scope, dtype=np.uint64),
    )
    return pick_survivors(pairs, similarity, ranks)


def survivors(frame: pl.DataFrame) -> dict[int, int]:
    return dict(frame.select("row", "survivor").rows())


def jaccard(one: str, other: str) -> float:
    left, right = (
        {tuple(t.split()[n : n + 5]) for n in range(len(t.split()) - 4)} for t in (one, other)
    )
    return len(left & right) / len(left | right)


def alter(number: int, places: Sequence[int], family: str = "") -> str:
    """A text of 100 words of a family, with words of its own at some places."""
    return " ".join(
        f"{family}own{number}at{w}" if w in places else f"{family}w{w}" for w in range(100)
    )


_FAMILIES = st.lists(
    st.tuples(st.sampled_from("ab"), st.lists(st.integers(0, 99), max_size=4)), max_size=12
).map(
    lambda places_of_texts: [
        alter(n, places, family) for n, (family, places) in enumerate(places_of_texts)
    ]
)


@given(texts=_FAMILIES, data=st.data())
def test_the_order_of_the_rows_changes_nothing(texts: list[str], data: st.DataObject) -> None:
    rank = data.draw(st.permutations(range(len(texts))))
    order = np.array(data.draw(st.permutations(range(len(texts)))), dtype=np.int64)
    one = find(texts, rank=rank)
    other = find([texts[n] for n in order], rank=[rank[n] for n in order])
    renamed_rows = other.with_columns(
        pl.col("row", "survivor").map_batches(
            lambda rows: pl.Series(order[rows.to_numpy()]).cast(pl.UInt32),
            return_dtype=pl.UInt32,
        )
    )
    assert renamed_rows.sort("row").equals(one)


@given(texts=_FAMILIES, threshold=st.sampled_from([0.5, 0.7, 0.8, 0.9, 1.0]))
def test_members_are_like_their_survivor_and_survivors_unlike_each_other(
    texts: list[str], threshold: float
) -> None:
    pairs_found = find(texts, threshold)
    for row, survivor, similarity in pairs_found.rows():
        assert survivor <= row
        assert similarity == (1.0 if row == survivor else jaccard(texts[row], texts[survivor]))
        assert similarity >= threshold
    for one, other in combinations(sorted(set(survivors(pairs_found).values())), 2):
        assert jaccard(texts[one], texts[other]) < threshold


@given(
    pairs=st.sets(st.tuples(st.integers(0, 9), st.integers(0, 9)).filter(lambda p: p[0] < p[1])),
    rank=st.permutations(range(10)),
)
def test_no_two_survivors_are_a_verified_pair(pairs: set[tuple[int, int]], rank: list[int]) -> None:
    verified_pairs = np.array(sorted(pairs), dtype=np.int64).reshape(-1, 2)
    picks = pick_survivors(verified_pairs, np.full(len(pairs), 0.9), np.array(rank))
    survivor_of = survivors(picks)
    assert set(survivor_of) == {row for pair in pairs for row in pair}
    for i, j in pairs:
        assert not (survivor_of[i] == i and survivor_of[j] == j)
    for row, survivor in survivor_of.items():
        assert row == survivor or tuple(sorted((row, survivor))) in pairs
        assert rank[survivor] <= rank[row]
        assert survivor_of[survivor] == survivor


def test_a_chain_does_not_collapse_into_one() -> None:
    chain = np.array([[0, 1], [1, 2], [2, 3], [5, 6]])
    picks = pick_survivors(chain, np.array([0.9, 0.85, 0.8, 1.0]), np.arange(8))
    assert picks.rows() == [
        (0, 0, 1.0), (1, 0, 0.9), (2, 2, 1.0), (3, 2, 0.8), (5, 5, 1.0), (6, 5, 1.0),
    ]  # fmt: skip


def test_the_better_rank_survives() -> None:
    chain = np.array([[0, 1], [1, 2]])
    picks = pick_survivors(chain, np.array([0.9, 0.8]), np.array([7, 3, 5]))
    assert picks.rows() == [(0, 1, 0.9), (1, 1, 1.0), (2, 1, 0.8)]


@pytest.mark.parametrize("threshold", [0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 1.0])
def test_pairs_over_the_threshold_are_found_and_others_are_not(threshold: float) -> None:
    pairs = 500
    rng = np.random.default_rng(1)
    texts = [alter(0, [], f"f{n}") for n in range(pairs)]
    texts += [
        alter(1, rng.choice(100, n % 8, replace=False).tolist(), f"f{n}") for n in range(pairs)
    ]
    similar = {n for n in range(pairs) if jaccard(texts[n], texts[pairs + n]) >= threshold}
    survivor_of = survivors(find(texts, threshold))
    assert all(survivor_of[pairs + n] == n for n in survivor_of if n < pairs)
    assert {row for row in survivor_of if row < pairs} <= similar
    assert len(survivor_of) / 2 >= 0.99 * len(similar)


@pytest.mark.parametrize("threshold", [0.5, 0.8, 0.9])
def test_one_template_gives_pairs_that_grow_with_its_texts(threshold: float) -> None:
    texts = [alter(n, [50]) for n in range(5_000)]  # each two share 91 of 101 shingles
    candidates = candidate_pairs(sketch(pl.Series(texts)), threshold)
    assert len(candidates) < 60 * len(texts)
    duplicates = find(texts, threshold)
    assert duplicates.height == len(texts)
    assert duplicates["survivor"].unique().to_list() == [0]


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.5, 0.8, 0.95]), st.booleans())
def test_candidates_by_rank_are_those_of_sketches_that_stand_by_rank(
    seed: int, threshold: float, is_scoped: bool
) -> None:
    """From a mapped file, too: sketches of crowds, of pairs, and of texts without words."""
    dice = np.random.default_rng(seed)
    number, limit = int(dice.integers(1, 600)), 2**32
    crowds = dice.integers(0, limit, (int(dice.integers(1, 20)), PERMUTATIONS), dtype=np.uint32)
    sketches = crowds[dice.integers(0, len(crowds), number)]
    is_altered = dice.random(sketches.shape) < dice.choice([0.02, 0.1, 0.2])
    sketches[is_altered] = dice.integers(0, limit, int(is_altered.sum()), dtype=np.uint32)
    sketches[dice.random(number) < 0.02] = EMPTY
    order = dice.permutation(number)
    scope = dice.integers(0, 3, number).astype(np.uint64) if is_scoped else None
    by_rank = candidate_pairs(sketches[order], threshold, None if scope is None else scope[order])
    with TemporaryFile() as file:
        mapped_sketches = np.memmap(file, np.uint32, "w+", shape=sketches.shape)
        mapped_sketches[:] = sketches
        pairs = candidate_pairs(np.asarray(mapped_sketches), threshold, scope, order)
    standing = np.argsort(order)
    assert (standing[pairs[:, 0]] < standing[pairs[:, 1]]).all()
    assert len(pairs) == len(by_rank)
    assert {*map(tuple, pairs.tolist())} == {*map(tuple, order[by_rank].tolist())}


def test_pairs_inside_a_crowd_of_one_template_are_found() -> None:
    """All share half of their words, which fills the buckets; yet only each two are alike."""
    texts = [alter(n // 2, [*range(40, 70), 90 + n % 2], "") for n in range(2_000)]
    survivor_of = survivors(find(texts))
    assert all(row // 2 == survivor // 2 for row, survivor in survivor_of.items())
    assert len(survivor_of) >= 0.9 * len(texts)


def test_rows_pair_within_their_scope_alone() -> None:
    texts = [alter(n, [n]) for n in range(6)]
    assert survivors(find(texts, scope=[1, 2, 1, 2, 2**63, 1])) == {0: 0, 2: 0, 5: 0, 1: 1, 3: 1}


@pytest.mark.parametrize("blank", ["", " \n", "…", None])
def test_texts_without_words_are_near_nothing(blank: str | None) -> None:
    assert find([blank, blank, "one", "ONE"]).rows() == [(2, 2, 1.0), (3, 2, 1.0)]


@pytest.mark.parametrize("texts", [[], ["alone"], ["one", "two", "three"]])
def test_without_near_duplicates_the_frame_is_empty(texts: list[str]) -> None:
    duplicates = find(texts)
    assert duplicates.is_empty()
    assert duplicates.schema == near_duplicates.SURVIVORS


def test_texts_of_a_script_without_blanks_are_compared() -> None:
    text = "図書館で本を借りるには、まず利用者カードを作る必要があります。身分証明書を忘れずに。"
    assert survivors(find([text, text.replace("図書", "資料"), text[::-1]])) == {0: 0, 1: 0}


def test_long_texts_are_compared_in_halves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(near_duplicates, "MAX_SHINGLES", 250)
    monkeypatch.setattr(near_duplicates, "VERIFIED_AT_ONCE", 7)
    texts = [alter(n, [n], f"f{n // 3}") for n in range(18)]
    assert survivors(find(texts)) == {n: n - n % 3 for n in range(18)}


def test_a_very_long_text_is_compared() -> None:
    long = " ".join(str(n) for n in range(700_000))
    assert survivors(find([long, "short", long + " and more"])) == {0: 0, 2: 0}


def test_only_texts_of_candidates_are_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    """And a sample of all, which tells what many have in common: rows that lie together."""
    monkeypatch.setattr(boilerplate, "MAX_SAMPLED", 4)
    monkeypatch.setattr(boilerplate, "SAMPLE_RUN", 2)
    texts = [alter(n, [n], "same" if n in {3, 8} else f"f{n}") for n in range(12)]
    fetched_rows: list[int] = []

    def fetch(rows: Rows) -> pl.Series:
        fetched_rows.extend(rows.tolist())
        return pl.Series(texts).gather(rows)

    similar_pairs(sketch(pl.Series(texts)), fetch, np.arange(12), 0.8)
    assert fetched_rows == [3, 8, 0, 1, 10, 11]


def test_verification_is_exact_at_the_threshold() -> None:
    texts = ["a b c d e f g h i", "a b c d e f g h z"]  # 4 of 6 shingles
    pairs = np.array([[0, 1]])
    assert verify(pairs, fetch_from(texts), 4 / 6)[1].tolist() == [4 / 6]
    assert verify(pairs, fetch_from(texts), 0.67)[0].tolist() == []


@pytest.mark.parametrize("threshold", [0.0, 0.49, 1.01, float("nan")])
def test_a_threshold_out_of_range_is_refused(threshold: float) -> None:
    with pytest.raises(ConfigError, match=r"give a number from 0\.5 to 1"):
        find(["a", "b"], threshold)


@pytest.mark.parametrize("threshold", [0.5, 0.55, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.99, 1.0])
def test_bands_find_nearly_all_on_the_threshold(threshold: float) -> None:
    number, rows = choose_bands(threshold)
    assert 1 - (1 - threshold**rows) ** number >= MIN_RECALL
