"""Every statement of sql/: its form, and folders of cases `<statement>/<case>/` that it must meet.

A case is `landed.jsonl` (rows of `tables.LANDED`; what is absent is null), `params.json` (absent:
null or empty) and `expect.jsonl` (the rows that come out, without nulls and falsehoods).
"""

import json
import re
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bedrock_sluice import sql
from bedrock_sluice.lake.duck import query
from bedrock_sluice.transforms.tables import BODY_COLUMNS, landed_table

Json = dict[str, Any]

HERE = Path(__file__).parent
STATEMENTS = sorted(
    each.name.removesuffix(".sql") for each in files(sql).iterdir() if each.name.endswith(".sql")
)
CASES = sorted(folder.parent for folder in HERE.glob("*/*/params.json"))
NOTHING_ASKED: Json = {"since": None, "until": None, "operations": [], "models": [], "clauses": []}


def test_every_statement_has_cases() -> None:
    assert {case.parent.name for case in CASES} == set(STATEMENTS)


@pytest.mark.parametrize("name", STATEMENTS)
def test_a_file_holds_one_select(name: str) -> None:
    (only,) = duckdb.extract_statements(sql.statement(name))
    assert only.type == duckdb.StatementType.SELECT


@pytest.mark.parametrize("name", STATEMENTS)
def test_a_file_declares_the_parameters_that_it_uses(name: str) -> None:
    text = sql.statement(name)
    header = "".join(line for line in text.splitlines() if line.startswith("--"))
    parameters = set(re.findall(r"\$(\w+)", header))
    assert parameters == set(duckdb.extract_statements(text)[0].named_parameters)


@pytest.mark.parametrize("name", STATEMENTS)
def test_a_file_says_its_grain_and_its_order(name: str) -> None:
    text = sql.statement(name)
    assert all(f"-- {word}:" in text for word in ("Grain", "Input", "Params", "Order"))
    order_comments = re.findall(r"^-- Order:(.*) \(total\)", text, re.MULTILINE)
    order_clauses = re.findall(r"^order by (.*)$", text, re.MULTILINE)
    assert _columns(*order_comments) == _columns(*order_clauses)


def _columns(order: str) -> list[str]:
    return [each.split()[0] for each in order.split(",")]


def _rows(path: Path) -> list[Json]:
    rows: list[Json] = [json.loads(line) for line in path.read_text("utf-8").split("\n") if line]
    for row in rows:
        if "timestamp" in row:
            row["timestamp"] = datetime.fromisoformat(row["timestamp"])
        if "request_metadata" in row:
            row["request_metadata"] = list(row["request_metadata"].items())
    return rows


def _parameters(path: Path, statement: str) -> Json:
    values = NOTHING_ASKED | json.loads(path.read_text("utf-8"))
    for name in ("since", "until"):
        values[name] = values[name] and datetime.fromisoformat(values[name])
    parameter_names = duckdb.extract_statements(statement)[0].named_parameters
    return {name: values[name] for name in parameter_names}


def _run_case(case: Path, rows: list[Json]) -> list[Json]:
    landed = landed_table(rows).drop_columns(list(BODY_COLUMNS))
    statement = sql.statement(case.parent.name)
    parameters = _parameters(case / "params.json", statement)
    frame = query(statement, {"landed": landed}, parameters)
    return [_brief(row) for row in frame.to_dicts()]


def _brief(row: Json) -> Json:
    return {k: v for k, v in row.items() if v is not None and v is not False}


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.parent.name}-{case.name}")
def test_a_case_comes_out_as_expected(case: Path) -> None:
    assert _run_case(case, _rows(case / "landed.jsonl")) == _rows(case / "expect.jsonl")


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.parent.name}-{case.name}")
def test_the_order_of_the_input_changes_nothing(case: Path) -> None:
    rows = _rows(case / "landed.jsonl")
    assert _run_case(case, rows[::-1]) == _run_case(case, rows)


@settings(max_examples=20)
@given(
    bound_texts=st.lists(st.text(), min_size=1, max_size=3),
    logged_texts=st.lists(st.text(), max_size=4),
)
def test_any_text_is_bound_as_data(bound_texts: list[str], logged_texts: list[str]) -> None:
    texts = sorted({*bound_texts, *logged_texts, "' or 1=1 --", "$since", "*"})
    rows = [
        {
            "object": "a.json.gz",
            "line": n,
            "request_id": text,
            "operation": text,
            "request_metadata": [(text, text)],
        }
        for n, text in enumerate(texts)
    ]
    clauses = [[{"key": each, "vals": [each], "negated": False} for each in bound_texts]]
    for parameters in ({"operations": bound_texts}, {"clauses": clauses}):
        table = landed_table(rows).drop_columns(list(BODY_COLUMNS))
        frame = query(sql.statement("select_v1"), {"landed": table}, NOTHING_ASKED | parameters)
        kept = frame.filter(pl.col("reason").is_null())
        assert sorted(kept["request_id"]) == sorted(set(bound_texts))
