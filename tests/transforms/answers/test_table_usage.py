"""How the rows of labels and feedback were used: each is counted once."""

import polars as pl
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import astuple

from bedrock_sluice.transforms.answers.choice import ANSWERS
from bedrock_sluice.transforms.answers.sources import SourceResult
from bedrock_sluice.transforms.answers.table_usage import table_usage

NAMES = st.lists(st.sampled_from("abcdef"), max_size=6)
COUNT = st.integers(0, 3)


@given(
    NAMES, NAMES, st.lists(st.tuples(COUNT, st.sampled_from("abcdef"))), NAMES, COUNT, COUNT, COUNT
)
def test_each_row_of_a_table_is_counted_once(
    unmatched_keys: list[str],
    logged_keys: list[str],
    usable: list[tuple[int, str]],
    decided_digests: list[str],
    late: int,
    no_time: int,
    unreadable: int,
) -> None:
    pairs = pl.DataFrame(
        usable, schema={"row": pl.UInt32, "prompt_digest": pl.String}, orient="row"
    )
    rows = len(unmatched_keys) + len({row for row, _ in usable}) + late + no_time + unreadable
    result = SourceResult(
        pl.DataFrame(schema=ANSWERS),
        rows,
        pl.Series(unmatched_keys, dtype=pl.String),
        late,
        no_time,
        unreadable,
        pairs,
    )
    usage = table_usage(
        result, pl.Series(logged_keys, dtype=pl.String), pl.Series(decided_digests, dtype=pl.String)
    )
    assert usage.table is not None
    total, *parts = astuple(usage.table)
    assert sum(parts) == total == rows
    assert usage.table.unknown == sum(key not in logged_keys for key in unmatched_keys)
    assert usage.table.with_effect == len(
        {row for row, digest in usable if digest in decided_digests}
    )
    assert usage.prompts == len({digest for _, digest in usable})
