"""Near duplicates of prompts: one survives, and the others are counted."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock_sluice.transforms.curate.rules import drop_exact_duplicates, drop_near_duplicates
from bedrock_sluice.transforms.dedup.near_duplicates import SURVIVORS, pick_survivors

Json = dict[str, Any]
Make = Callable[[Sequence[Json]], pl.DataFrame]
Pairs = Sequence[tuple[int, int]]


def prompts(exchanges: Make, rows: Sequence[Json]) -> pl.DataFrame:
    """What `drop_exact_duplicates` keeps: no duplicates, where a row says no other."""
    counts = pl.Series([row.get("duplicates", 0) for row in rows], dtype=pl.UInt32)
    return exchanges(rows).with_columns(duplicates=counts)


def clusters(rows: int, pairs: Pairs, similarity: float = 0.9) -> pl.DataFrame:
    """What such pairs of row numbers make; the lower number survives."""
    ends = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    return pick_survivors(ends, np.full(len(ends), similarity), np.arange(rows))


def test_the_survivor_is_kept_and_named(exchanges: Make) -> None:
    result = drop_near_duplicates(prompts(exchanges, [{}] * 5), clusters(5, [(1, 2), (1, 4)]))
    assert result.kept.select("request_id", "duplicates").rows() == [
        ("r1", 0), ("r2", 2), ("r4", 0),
    ]  # fmt: skip
    rows = result.rejected.select("request_id", "reason", "survivor").rows()
    assert rows == [
        ("r3", "curate_near_duplicate", "r2"),
        ("r5", "curate_near_duplicate", "r2"),
    ]


@pytest.mark.parametrize(
    ("similarity", "percent"), [(0.8, "80 %"), (0.999, "99 %"), (1.0, "100 %"), (2 / 3, "66 %")]
)
def test_a_likeness_is_never_rounded_up(exchanges: Make, similarity: float, percent: str) -> None:
    result = drop_near_duplicates(
        prompts(exchanges, [{}] * 2), clusters(2, [(0, 1)], similarity=similarity)
    )
    assert result.rejected["detail"].to_list() == [
        f"{percent} of their 5-word shingles are the same",
    ]


def test_columns_are_as_they_were_and_those_promised(exchanges: Make) -> None:
    frame = prompts(exchanges, [{}] * 2)
    result = drop_near_duplicates(frame, clusters(2, [(0, 1)]))
    assert result.kept.schema == frame.schema
    own = [name for name in frame.columns if name != "duplicates"]
    assert result.rejected.columns == [*own, "reason", "survivor", "detail"]


@pytest.mark.parametrize("rows", [0, 3])
def test_without_near_duplicates_all_are_kept(exchanges: Make, rows: int) -> None:
    frame = prompts(exchanges, [{}] * rows)
    result = drop_near_duplicates(frame, SURVIVORS.to_frame())
    assert result.kept.equals(frame)
    assert result.rejected.is_empty()
    assert {"reason", "survivor", "detail"} <= set(result.rejected.columns)


_DIGESTS = st.sampled_from("abcdef")
_ROWS = st.lists(
    st.fixed_dictionaries({"label": st.sampled_from(["a", None]), "prompt_digest": _DIGESTS}),
    max_size=12,
)
_PAIRS = st.sets(st.tuples(_DIGESTS, _DIGESTS))


def _pair_up(frame: pl.DataFrame, alike: set[tuple[str, str]]) -> pl.DataFrame:
    """Clusters of a frame of distinct prompts, of which these are alike; survivors by their ids."""
    places = {digest: row for row, digest in enumerate(frame["prompt_digest"])}
    pairs = {
        (min(places[a], places[b]), max(places[a], places[b]))
        for a, b in alike
        if a != b and a in places and b in places
    }
    rank = frame["request_id"].rank("ordinal").to_numpy().astype(np.int64)
    ends = np.array(sorted(pairs), dtype=np.int64).reshape(-1, 2)
    return pick_survivors(ends, np.full(len(ends), 0.9), rank)


@given(rows=_ROWS, alike=_PAIRS)
def test_of_exact_and_near_duplicates_none_is_lost_from_the_count(
    exchanges: Make, rows: list[Json], alike: set[tuple[str, str]]
) -> None:
    exact = drop_exact_duplicates(exchanges(rows))
    near = drop_near_duplicates(exact.kept, _pair_up(exact.kept, alike))
    rejected = pl.concat([exact.rejected, near.rejected], how="diagonal")
    assert int(near.kept["duplicates"].sum()) + near.kept.height == len(rows)
    assert near.kept.height + rejected.height == len(rows)
    assert set(near.rejected["survivor"]) <= set(near.kept["request_id"])


@given(rows=_ROWS, alike=_PAIRS, seed=st.integers(0, 99))
def test_the_order_of_the_rows_changes_nothing(
    exchanges: Make, rows: list[Json], alike: set[tuple[str, str]], seed: int
) -> None:
    frame = drop_exact_duplicates(exchanges(rows)).kept
    shuffled_rows = frame.sample(fraction=1, shuffle=True, seed=seed)
    one = drop_near_duplicates(frame, _pair_up(frame, alike))
    other = drop_near_duplicates(shuffled_rows, _pair_up(shuffled_rows, alike))
    assert one.kept.equals(other.kept.sort("line"))
    assert one.rejected.equals(other.rejected.sort("line"))
