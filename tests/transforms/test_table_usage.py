"""How the rows of labels and feedback were used: each is counted once."""

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from bedrock_sluice.transforms.answers.choice import ANSWERS
from bedrock_sluice.transforms.answers.sources import Sourced, table_usage

NAMES = st.lists(st.sampled_from("abcdef"), max_size=6)
COUNT = st.integers(0, 3)


@given(
    NAMES, NAMES, st.lists(st.tuples(COUNT, st.sampled_from("abcdef"))), NAMES, COUNT, COUNT, COUNT
)
def test_each_row_of_a_table_is_counted_once(
    unmatched: list[str],
    seen: list[str],
    usable: list[tuple[int, str]],
    decided: list[str],
    late: int,
    undated: int,
    unreadable: int,
) -> None:
    pairs = pl.DataFrame(
        usable, schema={"row": pl.UInt32, "prompt_digest": pl.String}, orient="row"
    )
    rows = len(unmatched) + len({row for row, _ in usable}) + late + undated + unreadable
    sourced = Sourced(
        pl.DataFrame(schema=ANSWERS),
        rows,
        pl.Series(unmatched, dtype=pl.String),
        late,
        undated,
        unreadable,
        pairs,
    )
    usage = table_usage(
        sourced, pl.Series(seen, dtype=pl.String), pl.Series(decided, dtype=pl.String)
    )
    assert sum(usage[1:-1]) == usage.rows == rows
    assert usage.unknown == sum(key not in seen for key in unmatched)
    assert usage.used == len({row for row, digest in usable if digest in decided})
    assert usage.prompts == len({digest for _, digest in usable})
