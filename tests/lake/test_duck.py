"""DuckDB sees the tables that it is handed, and nothing else of this machine."""

from pathlib import Path

import duckdb
import polars as pl
import pyarrow as pa
import pytest

from bedrock_sluice.lake.duck import query

ROWS = pa.table({"n": [1, 2, 3]})


def test_tables_are_known_by_name_and_parameters_bound() -> None:
    table = query("select n from rows where n >= $least order by n", {"rows": ROWS}, {"least": 2})
    assert table["n"].to_list() == [2, 3]


def test_a_table_may_be_a_stream_of_batches() -> None:
    reader = pa.RecordBatchReader.from_batches(ROWS.schema, ROWS.to_batches(max_chunksize=1))
    assert query("select sum(n) as s from rows", {"rows": reader}, {})["s"].to_list() == [6]


@pytest.mark.parametrize("zone", ["Asia/Kolkata", "America/St_Johns", "UTC"])
def test_times_are_utc_wherever_it_runs(monkeypatch: pytest.MonkeyPatch, zone: str) -> None:
    monkeypatch.setenv("TZ", zone)
    table = query("select cast(timestamptz '2026-10-01 00:00:00+00' as varchar) as t", {}, {})
    assert table["t"].to_list() == ["2026-10-01 00:00:00+00"]


@pytest.mark.parametrize(
    "statement",
    [
        "select * from read_text('{file}')",
        "select * from '{file}'",
        "select * from read_csv('{folder}/*')",
        "select * from glob('{folder}/*')",
        "copy (select 1) to '{folder}/new.csv'",
        "attach '{folder}/new.db'",
        "install httpfs",
        "load httpfs",
        "set enable_external_access = true",
        "set lock_configuration = false",
        "select * from read_csv('https://127.0.0.1:9/x.csv')",
    ],
)
def test_no_statement_reaches_the_disk_or_the_network(tmp_path: Path, statement: str) -> None:
    file = tmp_path / "secret.csv"
    file.write_text("a\nSECRET\n")
    with pytest.raises(duckdb.Error) as refusal:
        query(statement.format(file=file, folder=tmp_path), {}, {})
    assert "SECRET" not in str(refusal.value)
    assert [path.name for path in tmp_path.iterdir()] == ["secret.csv"]


@pytest.mark.parametrize("name", ["secret", "ROWS", "table", "tables"])
def test_variables_of_python_are_no_tables(name: str) -> None:
    """Neither those of the caller, nor those of `query` itself."""
    secret = pl.DataFrame({"a": ["SECRET"]})
    with pytest.raises(duckdb.CatalogException):
        query(f'select * from "{name}"', {"n": ROWS}, {})
    assert secret.height == 1


def test_two_queries_share_nothing() -> None:
    query("select 1", {"rows": ROWS}, {})
    with pytest.raises(duckdb.CatalogException):
        query("select * from rows", {}, {})
