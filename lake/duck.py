"""DuckDB, shut off from the disk and the network: it sees the tables that it is handed."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Any

import polars as pl
import pyarrow as pa

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_INTERRUPT_SECONDS = 0.05  # between attempts


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
    # At the end of a process, DuckDB complains if a module that is still in use refers to it.
    import duckdb  # noqa: PLC0415

    with (
        ThreadPoolExecutor(1) as thread,
        duckdb.connect(config={"python_enable_replacements": False}) as connection,
    ):
        connection.execute("set timezone = 'UTC'")
        connection.execute("set enable_external_access = false")
        connection.execute("set lock_configuration = true")
        for name, table in tables.items():
            connection.register(name, table)
        running = thread.submit(_run, connection, statement, parameters)
        try:
            return running.result()
        except duckdb.Error:
            if problems:
                raise problems[0] from None
            raise
        finally:
            while not running.done():  # a signal came, perhaps before the query began
                connection.interrupt()
                wait([running], _INTERRUPT_SECONDS)


def _run(
    connection: "DuckDBPyConnection", statement: str, parameters: Mapping[str, Any]
) -> pl.DataFrame:
    """Run it in a thread of its own: a signal that comes while DuckDB is at work can hang it."""
    frame: pl.DataFrame = connection.sql(statement, params=dict(parameters)).pl()
    return frame
