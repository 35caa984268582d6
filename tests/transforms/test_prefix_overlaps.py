"""Leakage: a prompt that is the beginning of one on the other side of the split is counted."""

import polars as pl
import pytest

from bedrock_sluice.transforms.conversations import prefix_overlaps


@pytest.mark.parametrize(
    ("lines", "overlaps"),
    [
        ([], 0),
        ([("train", [1]), ("train", [1, 2])], 0),
        ([("train", [1]), ("validation", [1, 2])], 1),
        ([("validation", [1, 2]), ("train", [1, 2, 3, 4])], 1),
        ([("train", [1, 2]), ("validation", [1, 2])], 2),
        ([("train", [1]), ("train", [1]), ("validation", [1, 2]), ("validation", [1, 3])], 2),
        ([("train", [1, 2]), ("validation", [1, 3])], 0),
        ([("train", [1]), ("validation", [1, 2]), ("validation", [])], 1),
        ([("train", []), ("validation", [])], 0),
        ([("train", [1]), ("validation", [1, 2]), ("test", [1, 3])], 1),
    ],
)
def test_beginnings_on_the_other_side_are_counted(
    lines: list[tuple[str, list[int]]], overlaps: int
) -> None:
    schema = pl.Schema({"split": pl.String(), "path": pl.List(pl.UInt64)})
    assert prefix_overlaps(pl.DataFrame(lines, schema=schema, orient="row")) == overlaps
