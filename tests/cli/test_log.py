"""Global options: the versions, and the log as text or JSON lines, free of record content."""

import json
import re
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import pytest
from support.protocols import MakeRecords, RunSluice, WriteLogs, WriteRecipe

STAGES = ["pull", "select", "normalise", "curate", "answer", "split", "render"]


@pytest.mark.parametrize("option", ["--version", "-V"])
def test_the_versions_are_on_stdout(sluice: RunSluice, option: str) -> None:
    result = sluice(option)
    assert result.code == 0
    assert result.out.splitlines()[0] == f"sluice {version('bedrock-sluice')}"
    assert f"polars {version('polars')}" in result.out.splitlines()


def test_a_line_for_each_stage_where_stderr_is_not_a_terminal(
    sluice: RunSluice, sums: Path
) -> None:
    lines = sluice("build", sums).err.splitlines()
    assert lines[0] == f"build: {sums}"
    stages = [match[1] for line in lines if (match := re.match(r"(\w+): [\d,]+ in, ", line))]
    assert stages == STAGES


def test_json_lines_are_all_that_stderr_holds_and_add_up(sluice: RunSluice, sums: Path) -> None:
    result = sluice("--log-format", "json", "build", sums)
    lines = [json.loads(line) for line in result.err.splitlines()]
    stages = [line for line in lines if "stage" in line]
    assert [line["stage"] for line in stages] == STAGES
    assert all(line["input"] == line["kept"] + line["dropped"] for line in stages)
    assert lines[-1]["verdict"] == "passed"
    assert lines[-1]["train"] + lines[-1]["validation"] == stages[-1]["kept"]


def test_an_error_is_a_json_line_too(sluice: RunSluice, recipe: WriteRecipe) -> None:
    result = sluice("--log-format", "json", "build", recipe(swaps={"[template]": "[templates]"}))
    last = json.loads(result.err.splitlines()[-1])
    assert (result.code, last["level"], last["kind"]) == (2, "error", "recipe")


def test_a_level_silences_what_is_below_it(sluice: RunSluice, sums: Path) -> None:
    assert " 150 in, " not in sluice("--log-level", "error", "build", sums).err


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_no_content_of_a_record_is_logged(
    sums: Path, write_logs: WriteLogs, records: MakeRecords, log_format: str, tmp_path: Path
) -> None:
    canary = "canary-7f3a"
    readable = records(151, datetime(2026, 10, 1, 12, tzinfo=UTC))[150]
    readable["requestMetadata"] = {canary: canary}
    strange = {"requestId": "r-1", "input": {"inputBodyJson": {canary: canary}}, canary: canary}
    broken_line = f'{{"{canary}": '.encode()
    write_logs(tmp_path / "logs", [[readable, strange, broken_line]], hour="2026/10/01/13")
    result = subprocess.run(
        [
            *(sys.executable, "-m", "bedrock_sluice"),
            *("--log-level", "debug", "--log-format", log_format, "build", str(sums)),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert "2 dropped" in result.stderr or '"dropped": 2' in result.stderr
    assert canary not in result.stderr + result.stdout
