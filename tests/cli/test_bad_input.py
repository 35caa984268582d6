"""Bad input: a clear error or a counted reject, the exit code that was promised, nothing lost."""

import gzip
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from support.protocols import MakeRecords, RunSluice, WriteLogs, WriteRecipe

from bedrock_sluice.flows.running.faults import find_place

Json = dict[str, Any]


@pytest.mark.parametrize(
    ("more", "swaps", "message"),
    [
        ("", {"logs": "nowhere"}, "nowhere: no logs there"),
        ("", {"since = 2026-10-01": "since = 2025-01-01", "2026-10-02": "2025-01-02"}, "no log"),
        ("[split]\nvalidaton = 0.2\n", {}, "sums.toml:10: unknown key `split.validaton`"),
        ("[split]\nvalidaton = 0.2\n", {}, "did you mean `validation`?"),
        ('[split]\nmax_lines = "all"\n', {}, "sums.toml:10: split.max_lines: must be an integer"),
        (
            "",
            {'"math"': '"maths"'},
            "sums.toml:8: template.name: unknown value `maths`; did you mean `math`?",
        ),
        ("[select]\nmetadata = { is = 1 }\n", {}, "metadata has the unknown word 'is'"),
        ('[answer]\nfrom = ["labels"]\nlabels = "none.csv"\n', {}, "none.csv: no such file"),
        ("[split\n", {}, "sums.toml:9: invalid TOML"),
    ],
)
def test_a_wrong_recipe_is_told_in_one_message_and_nothing_is_written(
    sums: Path,
    recipe: WriteRecipe,
    sluice: RunSluice,
    more: str,
    swaps: dict[str, str],
    message: str,
) -> None:
    result = sluice("build", recipe(more, swaps))
    assert result.code == 2
    assert message in result.err
    assert "Traceback" not in result.err
    assert not (sums.parent / "lake" / "releases").exists()


def test_a_recipe_that_is_not_there_is_told(tmp_path: Path, sluice: RunSluice) -> None:
    result = sluice("build", tmp_path / "none.toml")
    assert (result.code, result.out) == (2, "")
    assert "none.toml: No such file" in result.err


def test_damaged_objects_and_lines_are_counted_and_cost_only_themselves(
    tmp_path: Path,
    recipe: WriteRecipe,
    sluice: RunSluice,
    write_logs: WriteLogs,
    records: MakeRecords,
    log_object: Callable[..., bytes],
) -> None:
    good = records(130)
    whole = log_object(good[:100])
    torn_object = gzip.compress(json.dumps(good[100]).encode() + b'\n{"requestId": "torn", "times')
    mixed_object = log_object([b"no json", *good[101:], b'{"some": "json"}'])
    write_logs(tmp_path / "logs", [whole, torn_object, mixed_object, whole[:-9], b""])
    output = json.loads(sluice("build", recipe(), "--json").out)
    assert output["counts"]["quarantined"] == {
        "decode_bad_json": 1,
        "decode_not_a_record": 1,
        "decode_torn_line": 1,
        "pull_corrupt_gzip": 1,
        "pull_empty_object": 1,
    }
    assert output["counts"]["train"] + output["counts"]["validation"] == 130
    assert output["counts"]["records"] == 135
    fates = pl.read_parquet(Path(output["release"]) / "fates.parquet")
    damaged_objects = fates.filter(pl.col("reason") == "pull_corrupt_gzip")
    assert damaged_objects["line"].to_list() == [0]


def test_too_few_lines_are_released_but_rejected(
    tmp_path: Path,
    recipe: WriteRecipe,
    sluice: RunSluice,
    write_logs: WriteLogs,
    records: MakeRecords,
) -> None:
    write_logs(tmp_path / "logs", [records(99)])
    result = sluice("build", recipe(), "--json")
    output = json.loads(result.out)
    assert result.code == 1
    assert output["verdict"] == "rejected"
    assert output["failed_checks"] == ["train_count"]
    (check,) = (each for each in output["checks"] if each["name"] == "train_count")
    assert (check["limit"], check["unit"]) == ({"min": 100, "max": 20_000}, "lines")
    assert check["measured"] == output["counts"]["train"]
    assert check["hint"]
    assert f"  to fix: {check['hint']}\n" in sluice("build", recipe()).err
    manifest = json.loads((Path(output["release"]) / "manifest.json").read_text())
    assert manifest["verdict"] == "rejected"


def test_a_bug_of_ours_is_told_by_its_place_without_content(
    sums: Path, sluice: RunSluice, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ValueError("the secret is 123-45-6789")

    monkeypatch.setattr("bedrock_sluice.flows.pipeline.curate", fail)
    result = sluice("build", sums)
    assert result.code == 70
    assert "ValueError at flows/pipeline.py" in result.err
    assert "123-45" not in result.err


@pytest.mark.parametrize(
    ("swaps", "kind", "code", "where"),
    [
        ({"uri =": "url ="}, "recipe", 2, "sums.toml:3"),
        ({'"logs"': '"nowhere"'}, "config", 2, None),
    ],
)
def test_with_json_an_error_is_one_object_on_stdout(
    sums: Path,
    recipe: WriteRecipe,
    sluice: RunSluice,
    swaps: dict[str, str],
    kind: str,
    code: int,
    where: str | None,
) -> None:
    result = sluice("build", recipe(swaps=swaps), "--json")
    error = json.loads(result.out)["error"]
    assert (result.code, error["kind"]) == (code, kind)
    assert error["where"] == (where and str(sums.with_name(where)))
    assert result.err.endswith(f"sluice: {error['message']}\n")


def test_a_bug_in_a_nested_package_is_told_by_its_own_place(
    sums: Path, sluice: RunSluice, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bedrock_sluice.transforms.readers.chat_dialects import converse

    with pytest.raises((TypeError, AttributeError)) as error:
        converse.read(None, None)  # type: ignore[arg-type]
    assert re.search(
        r"at transforms/readers/chat_dialects/converse\.py:\d+$", find_place(error.value)
    )


def test_without_docstrings_a_build_is_refused_in_one_line(sums: Path) -> None:
    command = [sys.executable, "-OO", "-m", "bedrock_sluice.cli.app", "build", str(sums)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    first_line, message = result.stderr.splitlines()
    assert first_line == f"build: {sums}"
    assert message.startswith("sluice: Python runs without docstrings (-OO, PYTHONOPTIMIZE=2)")
