"""The budget: who gets how many of the lines, and that a new day changes few of them."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock_sluice.transforms.sampling import apply_line_quota, stratum
from bedrock_sluice.transforms.split import LINKS, SIDES, split

Share = Literal["even", "proportional"]

_SCHEMA = pl.Schema(
    {
        "request_id": pl.String,
        "prompt_digest": pl.String,
        "split": pl.String,
        "model_id": pl.String,
        "prompt_tokens": pl.Int64,
    }
)


def make_rows(rows: Sequence[tuple[str, str | None, int | None]], start: int = 0) -> pl.DataFrame:
    """One prompt for each side, model and count of tokens."""
    numbered_rows = [(f"r{n}", f"d{n}", *row) for n, row in enumerate(rows, start=start)]
    return pl.DataFrame(numbered_rows, schema=_SCHEMA, orient="row")


def of_models(sizes: Mapping[str | None, int], side: str = "train") -> pl.DataFrame:
    return make_rows([(side, model, 10) for model, size in sizes.items() for _ in range(size)])


def sizes(frame: pl.DataFrame, *by: str) -> dict[Any, int]:
    group_sizes = frame.group_by(by).len().rows()
    return {(value[0] if len(value) == 1 else tuple(value)): n for *value, n in group_sizes}


def test_a_model_is_one_stratum_whether_its_id_or_an_arn_was_logged() -> None:
    arn = "arn:aws:bedrock:us-east-1:111122223333:inference-profile/us.amazon.nova-lite-v1:0"
    names = of_models({"us.amazon.nova-lite-v1:0": 1, arn: 1, None: 1}).select(stratum("model_id"))
    assert names.to_series().to_list() == ["us.amazon.nova-lite-v1:0"] * 2 + [None]


_ROW = st.tuples(
    st.sampled_from(["train", "train", "validation"]),
    st.sampled_from(["a", "b", "c", None]),
    st.sampled_from([10, 300, 9_999, None]),
)
_ROWS = st.lists(_ROW, max_size=30)
_STRATA = st.sampled_from([(), ("model_id",), ("length",), ("model_id", "length")])
_SHARE = st.sampled_from(["even", "proportional"])
_LIMIT = st.integers(1, 25)


@given(rows=_ROWS, new=st.lists(_ROW, max_size=4), most=_LIMIT, strata=_STRATA, share=_SHARE)
def test_a_new_row_puts_out_few_others(
    rows: list[Any], new: list[Any], most: int, strata: Sequence[str], share: Share
) -> None:
    old, new_rows = make_rows(rows), make_rows(new, start=len(rows))
    before, after = (
        apply_line_quota(each, max_lines=most, salt="s", strata=strata, share=share).kept
        for each in (old, pl.concat([new_rows, old]))
    )
    evictions = set(before["request_id"]) - set(after["request_id"])
    # One for its place among its like, and one where a side or a stratum gets a line more.
    assert len(evictions) <= len(new) * (2 if strata else 1)


@given(rows=_ROWS, most=_LIMIT, strata=_STRATA, share=_SHARE, seed=st.integers(0, 99))
def test_nothing_is_lost_and_the_order_of_the_rows_changes_nothing(
    rows: list[Any], most: int, strata: Sequence[str], share: Share, seed: int
) -> None:
    frame = make_rows(rows)
    shuffled_rows = frame.sample(fraction=1, shuffle=True, seed=seed)
    one, other = (
        apply_line_quota(each, max_lines=most, salt="s", strata=strata, share=share)
        for each in (frame, shuffled_rows)
    )
    assert one.kept.equals(other.kept)
    assert one.rejected.equals(other.rejected)
    assert one.kept.height == min(most, frame.height)
    assert one.kept.height + one.rejected.height == frame.height
    assert one.kept.columns == frame.columns
    assert set(one.rejected["reason"]) <= {"split_over_max_lines"}


@pytest.mark.parametrize(
    ("had", "share", "expected"),
    [
        ({"a": 90, "b": 6, "c": 60}, "even", {"a": 17, "b": 6, "c": 17}),
        ({"a": 90, "b": 6, None: 60}, "even", {"a": 17, "b": 6, None: 17}),
        ({"a": 90, "b": 10, "c": 100}, "proportional", {"a": 18, "b": 2, "c": 20}),
        ({"a": 397, "b": 1, "c": 2}, "proportional", {"a": 38, "b": 1, "c": 1}),
        ({"a": 20, "b": 20}, "even", {"a": 20, "b": 20}),
    ],
)
def test_strata_share_forty_lines(
    had: dict[str | None, int], share: Share, expected: dict[str | None, int]
) -> None:
    kept = apply_line_quota(
        of_models(had), max_lines=40, salt="", strata=["model_id"], share=share
    ).kept
    assert sizes(kept, "model_id") == expected


def test_inside_a_stratum_the_next_one_shares_what_it_got() -> None:
    cells = {("a", 10): 50, ("a", 300): 50, ("b", 10): 50, ("c", 10): 4}
    frame = make_rows([("train", m, tokens) for (m, tokens), n in cells.items() for _ in range(n)])
    kept = apply_line_quota(frame, max_lines=44, salt="", strata=["model_id", "length"]).kept
    assert sizes(kept, "model_id", "prompt_tokens") == {
        ("a", 10): 10,
        ("a", 300): 10,
        ("b", 10): 20,
        ("c", 10): 4,
    }


@pytest.mark.parametrize("strata", [(), ("model_id",)])
@pytest.mark.parametrize(
    ("had", "most", "expected"),
    [
        ({"train": 90, "validation": 10}, 50, {"train": 45, "validation": 5}),
        ({"train": 99, "validation": 1}, 10, {"train": 9, "validation": 1}),
        ({"train": 9, "validation": 1}, 10, {"train": 9, "validation": 1}),
        ({"train": 9}, 4, {"train": 4}),
        ({"validation": 9}, 4, {"validation": 4}),
        ({"train": 5, "validation": 5}, 1, {"train": 1}),
        ({}, 5, {}),
    ],
)
def test_both_sides_are_cut_in_proportion(
    strata: Sequence[str], had: dict[str, int], most: int, expected: dict[str, int]
) -> None:
    frame = make_rows([(side, "m", 10) for side, size in had.items() for _ in range(size)])
    kept = apply_line_quota(frame, max_lines=most, salt="", strata=strata).kept
    assert sizes(kept, "split") == expected


def test_what_is_kept_stands_in_the_order_of_the_split() -> None:
    ids = [f"r{n}" for n in range(200)]
    frame = pl.DataFrame({"request_id": ids, "prompt_digest": ids, "root": ids, "model_id": "m"})
    none = LINKS.to_frame(), SIDES.to_frame()
    whole = split(frame, *none, validation=0.3, salt="s")
    some = apply_line_quota(whole, max_lines=80, salt="s", strata=["model_id"]).kept
    assert some.equals(whole.join(some, on="request_id", how="semi", maintain_order="left"))
    one_side = whole.filter(split="train")
    assert apply_line_quota(one_side, max_lines=80, salt="s").kept.equals(one_side.head(80))


@pytest.mark.parametrize(
    ("name", "value"),
    [("model_id", "m"), ("team", "t"), ("user", None)],
)
def test_a_stratum_is_the_model_or_a_metadata_value(name: str, value: str | None) -> None:
    frame = pl.DataFrame(
        {"model_id": ["m"], "request_metadata": [[{"key": "team", "value": "t"}]]},
        schema={"model_id": pl.String, "request_metadata": pl.Map(pl.String, pl.String)},
    )
    assert frame.select(stratum(name)).to_dict(as_series=False) == {name: [value]}


@pytest.mark.parametrize(
    ("tokens", "band"),
    [
        (0, "short"),
        (255, "short"),
        (256, "medium"),
        (1_024, "long"),
        (4_096, "huge"),
        (10**9, "huge"),
        (None, None),
    ],
)
def test_lengths_fall_into_named_bands(tokens: int | None, band: str | None) -> None:
    frame = pl.DataFrame({"prompt_tokens": [tokens]}, schema={"prompt_tokens": pl.Int64})
    assert frame.select(stratum("length")).item() == band
