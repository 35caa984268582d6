"""Derived rows: what a build needs to know of landed rows, whatever its recipe selects of them.

They depend on nothing but the landed rows, the options, this code and its libraries, so they are
computed once and kept.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress, pairwise

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from bedrock_sluice.transforms.chat.messages import Exchange
from bedrock_sluice.transforms.chat.texts import prompt_texts
from bedrock_sluice.transforms.curate.prompt_features import (
    FEATURES,
    PROMPT_COLUMNS,
    prompt_features,
)
from bedrock_sluice.transforms.curate.rules import PROMPT_RULES
from bedrock_sluice.transforms.dedup.sketches import SKETCH_BYTES, sketch_array
from bedrock_sluice.transforms.fates import apply_rules
from bedrock_sluice.transforms.readers.normalise import READ_COLUMNS, normalise
from bedrock_sluice.transforms.tables import EXCHANGES

PIECE_BYTES = 2 << 20  # of messages: measuring them takes many times as much
SCOPES = ("turns", "last_user")  # the texts of a prompt that can be sketched

_ARROW_TYPES = {
    pl.UInt32: pa.uint32(),
    pl.Boolean: pa.bool_(),
    pl.Float64: pa.float64(),
    pl.String: pa.string(),
}

DERIVED = pa.schema(
    [
        pa.field("reason", pa.string()),  # why the row gives no exchange, else null
        pa.field("detail", pa.string()),
        *(EXCHANGES.field(name) for name in READ_COLUMNS),
        *(pa.field(name, _ARROW_TYPES[type(kind)]) for name, kind in FEATURES.items()),
        *(pa.field(f"{scope}_sketch", pa.binary(SKETCH_BYTES)) for scope in SCOPES),
    ]
)
"""One row per landed row, in the same order. Without an exchange all but the reason is null;
features and sketches also where a rule of `rules.PROMPT_RULES` holds: no recipe asks for them."""


@dataclass(frozen=True, slots=True)
class DeriveOptions:
    """The settings of a recipe that decide derived rows."""

    keep_reasoning: bool = False
    scopes: tuple[str, ...] = ("turns",)
    has_languages: bool = False


def derive_rows(landed: pa.Table, options: DeriveOptions) -> pa.Table:
    """Compute the derived rows (`DERIVED`) of landed rows (schema `tables.LANDED`)."""
    result = normalise(landed, keep_reasoning=options.keep_reasoning)
    exchanges = result.exchanges
    is_teachable = _find_teachable(exchanges)
    prompts = pl.DataFrame(exchanges.select(PROMPT_COLUMNS).filter(pa.array(is_teachable)))
    chats = list(compress(result.chats, is_teachable))
    reasons = pa.table(
        {name: result.rejected[name].to_list() for name in ("reason", "detail")},
        schema=pa.schema([DERIVED.field(name) for name in ("reason", "detail")]),
    )
    kept_rows = np.array(result.kept_rows, np.int64)
    # Each table has some of the rows; a null takes the place of the others.
    parts = [
        (reasons, np.array(result.rejected_rows, np.int64)),
        (exchanges.select(READ_COLUMNS), kept_rows),
        (_features(prompts, chats, options), kept_rows[is_teachable]),
    ]
    columns = dict[str, pa.ChunkedArray]()
    for part, rows in parts:
        table = part
        if len(rows) < landed.num_rows:
            table = table.take(_places(rows, landed.num_rows))
        columns |= dict(zip(table.column_names, table.columns, strict=True))
    return pa.table([columns[name] for name in DERIVED.names], schema=DERIVED)


def _find_teachable(exchanges: pa.Table) -> NDArray[np.bool_]:
    names = {name for _, is_broken in PROMPT_RULES for name in is_broken.meta.root_names()}
    flags = pl.DataFrame(exchanges.select(sorted(names))).with_row_index("row")
    rows = apply_rules(flags, PROMPT_RULES).kept["row"].to_numpy()
    is_teachable = np.zeros(exchanges.num_rows, bool)
    is_teachable[rows] = True
    return is_teachable


def _features(prompts: pl.DataFrame, chats: Sequence[Exchange], options: DeriveOptions) -> pa.Table:
    """Compute the columns of features and sketches, a row for each prompt."""
    # Secrets are searched in the JSON text, so that names of arguments are seen beside values.
    json_texts = prompts.select(pl.concat_str(PROMPT_COLUMNS, ignore_nulls=True)).to_series()
    sizes = prompts["messages"].str.len_bytes().cast(pl.Int64).cum_sum().to_numpy()
    starts = np.flatnonzero(np.diff(sizes // PIECE_BYTES, prepend=-1))
    names = [*FEATURES, *(f"{scope}_sketch" for scope in SCOPES)]
    schema = pa.schema([DERIVED.field(name) for name in names])
    tables = [schema.empty_table()]
    for start, end in pairwise([*starts.tolist(), len(chats)]):
        columns, sketches = prompt_features(
            json_texts[start:end],
            prompt_texts(chats[start:end]),
            scopes=options.scopes,
            has_languages=options.has_languages,
        )
        arrays = [columns[name].to_arrow().cast(schema.field(name).type) for name in FEATURES]
        nothing = pa.nulls(end - start, pa.binary(SKETCH_BYTES))
        arrays += [
            sketch_array(sketches[scope]) if scope in sketches else nothing for scope in SCOPES
        ]
        tables.append(pa.table(arrays, schema=schema))
    return pa.concat_tables(tables).combine_chunks()


def _places(rows: NDArray[np.int64], size: int) -> pa.Array:
    """Return an array of `size`: at each of `rows` the position there, elsewhere null."""
    places = np.full(size, -1)
    places[rows] = np.arange(len(rows))
    return pa.array(places, mask=places < 0)
