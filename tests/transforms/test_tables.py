"""Frames that hold no memory beside that of their rows."""

import gc
from typing import Any

import polars as pl
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from bedrock_sluice.transforms.tables import compact

_ROW = st.fixed_dictionaries(
    {
        "object": st.sampled_from(["a" * 40, "b" * 40, "", None]),
        "line": st.none() | st.integers(0, 2**32 - 1),
        "tags": st.none() | st.dictionaries(st.text(max_size=2), st.text(max_size=20), max_size=2),
    }
)
SCHEMA = pa.schema(
    [
        pa.field("object", pa.string()),
        pa.field("line", pa.uint32()),
        pa.field("tags", pa.map_(pa.string(), pa.string())),
    ]
)


@given(rows=st.lists(_ROW, max_size=12), start=st.integers(0, 4), end=st.integers(0, 12))
def test_a_compact_frame_is_equal(rows: list[dict[str, Any]], start: int, end: int) -> None:
    pairs = [{**row, "tags": row["tags"] and list(row["tags"].items())} for row in rows]
    chunks = [pa.Table.from_pylist(half, SCHEMA) for half in (pairs[:5], pairs[5:])]
    frame = pl.DataFrame(pa.concat_tables(chunks)).slice(start, end)
    compact_frame = compact(frame)
    assert compact_frame.equals(frame)
    assert compact_frame.schema == frame.schema


def held_bytes(column: pl.Series) -> int:
    array = column.to_arrow(compat_level=pl.CompatLevel.newest())
    return sum(each.size for each in array.buffers() if each)


def test_a_compact_frame_holds_nothing_of_the_rows_beside_its_own() -> None:
    gc.collect()
    before = pa.total_allocated_bytes()
    rows = 9_999
    columns = {
        "object": [f"{n // 9:0100}" for n in range(rows)],
        "line": range(rows),
        "tags": [[("k", f"{n:040}")] for n in range(rows)],
    }
    table = pa.table(columns, schema=SCHEMA)
    frame = pl.DataFrame(table)[:99]
    del table
    assert pa.total_allocated_bytes() > before + 4 * rows
    assert held_bytes(frame["tags"]) > 40 * rows
    few = compact(frame)
    del frame
    gc.collect()
    assert pa.total_allocated_bytes() < before + 99 * 100
    assert held_bytes(few["object"]) < 99 * 40
    assert held_bytes(few["tags"]) < 99 * 100
