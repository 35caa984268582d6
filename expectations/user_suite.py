"""Suites that users write: which expectations and columns they may name, checked on load."""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any

import msgspec
import polars as pl

from bedrock_sluice.expectations.build_measures import EXCHANGE_MEASURES, LANDED_MEASURES
from bedrock_sluice.expectations.measures import LINE_MEASURES
from bedrock_sluice.expectations.suite import LIMIT, Expectation, Suite, known_checks
from bedrock_sluice.transforms.errors import ConfigError

PROVENANCE_COLUMNS = {
    "split": pl.String,
    "model_id": pl.String,
    "reference_source": pl.String,
    "duplicates": pl.UInt32,
}
TABLES: Mapping[str, Mapping[str, Any]] = {
    "landed": LANDED_MEASURES,
    "exchanges": EXCHANGE_MEASURES,
    "lines": {**LINE_MEASURES, **PROVENANCE_COLUMNS},
}
"""The tables that a suite may read, with their columns."""

_BOUNDS = ("min_value", "max_value")
_ROWS = ("column", "mostly")
EXPECTATIONS: Mapping[str, tuple[str, ...]] = {
    "expect_column_values_to_be_between": (*_ROWS, *_BOUNDS),
    "expect_column_values_to_be_in_set": (*_ROWS, "value_set"),
    "expect_column_values_to_not_be_in_set": (*_ROWS, "value_set"),
    "expect_column_values_to_be_unique": _ROWS,
    "expect_column_mean_to_be_between": ("column", *_BOUNDS),
    "expect_column_median_to_be_between": ("column", *_BOUNDS),
    "expect_column_sum_to_be_between": ("column", *_BOUNDS),
    "expect_table_row_count_to_be_between": _BOUNDS,
}
"""The expectations that a suite may use, with their arguments."""


def parse_suite(content: bytes, place: str) -> Suite:
    """Read a suite whose `meta.table` is one of `TABLES`; `place` names the file in errors.

    Raises:
        ConfigError: it is not such a suite, or names an expectation, an argument or a column that
            does not exist. The message lists everything that is wrong.
    """
    try:
        suite = msgspec.json.decode(content, type=Suite)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"not a suite of Great Expectations: {error}", place=place) from None
    faults = list(_faults(suite))
    if faults:
        raise ConfigError("\n".join(faults), place=place)
    return suite


def _faults(suite: Suite) -> Iterator[str]:
    table = suite.meta.get("table")
    if not isinstance(table, str) or table not in TABLES:
        yield f"`meta.table` of the suite must be one of {', '.join(TABLES)}"
        return
    names = set(known_checks())
    for number, entry in enumerate(suite.expectations):
        where = f"expectations[{number}]"
        for fault in _entry_faults(entry, table):
            yield f"{where}: {fault}"
        if entry.meta.name in names:
            yield f"{where}: another check is named `{entry.meta.name}`, too; rename this one"
        names.add(entry.meta.name)


def _entry_faults(entry: Expectation, table: str) -> Iterator[str]:
    arguments = EXPECTATIONS.get(entry.type)
    if arguments is None:
        yield f"unknown expectation `{entry.type}`; {_hint(entry.type, EXPECTATIONS)}"
        return
    for name in entry.kwargs.keys() - {*arguments}:
        yield f"unknown argument `{name}`; {_hint(name, arguments)}"
    if "column" in arguments:
        yield from _column_faults(entry, table)
    yield from _value_faults(entry, arguments)
    try:
        limits = {} if entry.meta.limit is None else {"limit": entry.meta.limit}
        (entry.meta.message + entry.meta.hint).format_map(limits)
    except (ValueError, LookupError, AttributeError, TypeError):
        yield "`message` and `hint` may hold {limit}, if `meta.limit` is set; write { as {{"


def _column_faults(entry: Expectation, table: str) -> Iterator[str]:
    column, columns = str(entry.kwargs.get("column")), TABLES[table]
    if column not in columns:
        yield f"unknown column `{column}` of the table {table}; {_hint(column, columns)}"
    elif "min_value" in EXPECTATIONS[entry.type] and not columns[column].is_numeric():
        yield f"the column `{column}` has no numbers; use an expectation of sets"


def _value_faults(entry: Expectation, arguments: tuple[str, ...]) -> Iterator[str]:
    bounds = [entry.kwargs[key] for key in _BOUNDS if entry.kwargs.get(key) is not None]
    if "min_value" in arguments and not bounds:
        yield "needs `min_value`, `max_value` or both"
    if LIMIT in bounds and entry.meta.limit is None:
        yield '{"$PARAMETER": "limit"} needs `meta.limit`'
    if not all(_is_number(value) for value in bounds if value != LIMIT):
        yield '`min_value` and `max_value` must be numbers, or {"$PARAMETER": "limit"}'
    if "value_set" in arguments and not isinstance(entry.kwargs.get("value_set"), list):
        yield "needs `value_set`, a list"
    mostly = entry.kwargs.get("mostly", 1)
    if not (_is_number(mostly) and 0 <= mostly <= 1):
        yield "`mostly` must be a number from 0 to 1"


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _hint(value: str, names: Mapping[str, object] | tuple[str, ...]) -> str:
    near = get_close_matches(value, list(names), n=1)
    return f"did you mean `{near[0]}`?" if near else f"known: {', '.join(sorted(names))}"
