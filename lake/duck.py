"""DuckDB, shut off from the disk and the network: it sees the tables that it is handed."""

from collections.abc import Mapping, Sequence
from typing import Any

import duckdb
import polars as pl
import pyarrow as pa


def query(
    statement: str,
    tables: Mapping[str, pa.Table | pa.RecordBatchReader],
    parameters: Mapping[str, Any],
    problems: Sequence[Exception] = (),
) -> pl.DataFrame:
    """Run one statement over named Arrow tables, its parameters bound by name.

    Files are read by Arrow and handed over, not named to DuckDB, which takes paths for patterns.
    What goes wrong in a reader while it is read belongs into `problems`, and is raised from here:
    DuckDB would make an error of its own of it.
    """
    with duckdb.connect(config={"python_enable_replacements": False}) as connection:
        connection.execute("set timezone = 'UTC'")
        connection.execute("set enable_external_access = false")
        connection.execute("set lock_configuration = true")
        for name, table in tables.items():
            connection.register(name, table)
        try:
            frame: pl.DataFrame = connection.sql(statement, params=dict(parameters)).pl()
        except duckdb.Error:
            if problems:
                raise problems[0] from None
            raise
    return frame
