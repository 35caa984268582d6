"""The queries of docs/release.md run on a release of the demo, and its tables hold every field."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import duckdb
import msgspec
import polars as pl
import pytest

from bedrock_sluice.demo.logs import demo_files
from bedrock_sluice.expectations.checks import SCHEMA_VERSION as CHECKS_VERSION
from bedrock_sluice.expectations.checks import Check
from bedrock_sluice.flows.context import open_context
from bedrock_sluice.flows.pipeline import build
from bedrock_sluice.lake.releases.manifest import SCHEMA_VERSION, Manifest

PAGE = (Path(__file__).parents[2] / "docs" / "release.md").read_text(encoding="utf-8")
QUERIES = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)
SCRIPTS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build a release of the demo and return its folder."""
    folder = tmp_path_factory.mktemp("demo")
    for name, content in demo_files(600):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    with open_context(folder / "recipe.toml") as context:
        return Path(build(context, lambda _name, work: work(lambda *_: None)).uri)


def section(title: str) -> set[str]:
    """Return the names in the first column of the tables below a heading."""
    (text,) = re.findall(rf"^## {re.escape(title)}.*?\n(.*?)(?=^## |\Z)", PAGE, re.M | re.S)
    cells = re.findall(r"^\| (`[^|]+) \|", text, re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}


@pytest.mark.parametrize("query", QUERIES, ids=range(len(QUERIES)))
def test_each_query_gives_rows(query: str, release: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(release)
    rows = duckdb.execute(query).fetchall()
    assert rows or "NOT c.passed" in query


@pytest.mark.parametrize("script", SCRIPTS, ids=range(len(SCRIPTS)))
def test_each_script_gives_a_result(
    script: str, release: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(release)
    *statements, last = script.strip().splitlines()
    names: dict[str, Any] = {}
    exec("\n".join(statements), names)
    result = eval(last, names)
    assert len(result)


@pytest.mark.parametrize("name", ["fates", "provenance", "slices"])
def test_the_page_names_the_columns_of_each_table(name: str, release: Path) -> None:
    columns = set(pl.read_parquet_schema(release / f"{name}.parquet"))
    assert section(f"`{name}.parquet`") == columns


def test_the_page_names_the_fields_of_a_check() -> None:
    assert section("`checks.json`") == set(Check.__struct_fields__) - {"suite"}


def fields(kind: object) -> Iterator[str]:
    """Yield the names of the fields of a struct, and of all structs within it."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        for field in msgspec.structs.fields(kind):
            yield field.name
            yield from fields(field.type)
    for part in get_args(kind):
        yield from fields(part)


def test_the_page_names_all_fields_of_the_manifest_and_no_others(release: Path) -> None:
    assert set(json.loads((release / "manifest.json").read_bytes())) <= set(fields(Manifest))
    (text,) = re.findall(r"^## `manifest\.json`.*?\n(.*?)^### Schema versions", PAGE, re.M | re.S)
    names = set(fields(Manifest))
    only_in_slices = {"slices", "slice", "value", "scored"}  # of `grade --json`, not of a manifest
    assert names - only_in_slices - set(re.findall(r"`(\w+)`", text)) == set()
    cells = re.findall(r"^\| (`[^|]+) \|", text, re.MULTILINE)
    assert {name for cell in cells for name in re.findall(r"`(\w+)`", cell)} - names == set()


def test_the_page_names_the_schema_versions() -> None:
    assert f"the version of this schema: {SCHEMA_VERSION} |" in PAGE
    assert f"| {SCHEMA_VERSION} | " in PAGE
    assert f'`{{"schema_version": {CHECKS_VERSION}, "checks": [...]}}`' in PAGE


def test_the_page_names_the_files(release: Path) -> None:
    assert {path.name for path in release.iterdir()} == set(
        re.findall(r"[\w]+\.(?:jsonl|json|parquet|html)", PAGE.split("```")[1])
    )
