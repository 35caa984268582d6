"""`sluice build`: what comes out, and that it always comes out the same."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from support.protocols import MakeRecords, RunSluice, WriteLogs, WriteRecipe

Json = dict[str, Any]

FILES = {
    "train.jsonl",
    "validation.jsonl",
    "manifest.json",
    "checks.json",
    "fates.parquet",
    "provenance.parquet",
    "slices.parquet",
    "report.html",
}


def test_a_release_holds_every_file_and_a_fate_for_every_record(
    sums: Path, sluice: RunSluice
) -> None:
    result = sluice("build", sums, "--json")
    output = json.loads(result.out)
    release = Path(output["release"])
    manifest = json.loads((release / "manifest.json").read_text())
    fates = pl.read_parquet(release / "fates.parquet")
    assert result.code == 0
    assert {path.name for path in release.iterdir()} == FILES
    assert set(manifest["files"]) == FILES - {"manifest.json"}
    assert output["counts"]["records"] == fates.height == 150
    places = fates.select("object", "line").rows()
    assert places == sorted(set(places))
    assert output["counts"]["train"] + output["counts"]["validation"] == 150
    assert output["verdict"] == "passed"
    assert output["failed_checks"] == []
    assert release.name == output["id"] == f"2026-10-02-{manifest['digest'][:12]}"


def test_a_line_is_what_the_math_grader_reads(sums: Path, sluice: RunSluice) -> None:
    release = Path(sluice("build", sums).out.strip())
    lines = map(json.loads, (release / "train.jsonl").read_text(encoding="utf-8").splitlines())
    (line,) = [each for each in lines if each["id"] == "request-21"]
    assert line == {
        "id": "request-21",
        "messages": [
            {"role": "user", "content": "What is 21 plus 21? End with #### and the number."}
        ],
        "reference_answer": {"final_answer": "42", "steps": []},
    }


def test_a_second_pull_fetches_nothing(sums: Path, sluice: RunSluice) -> None:
    first, second = (json.loads(sluice("pull", sums, "--json").out) for _ in range(2))
    assert (first["objects"], second["objects"]) == (3, 0)


def test_rebuilding_changes_nothing(
    sums: Path, sluice: RunSluice, tree_digest: Callable[[Path], dict[str, str]]
) -> None:
    lake = sums.parent / "lake"
    first = sluice("build", sums).out
    before = tree_digest(lake)
    assert sluice("build", sums).out == first
    assert tree_digest(lake) == before


def test_logs_that_come_in_two_deliveries_make_the_same_release(
    tmp_path: Path,
    sums: Path,
    sluice: RunSluice,
    tree_digest: Callable[[Path], dict[str, str]],
) -> None:
    whole = Path(sluice("build", sums).out.strip())
    (tmp_path / "lake").rename(tmp_path / "first-lake")
    *early, late = sorted((tmp_path / "logs").rglob("*.gz"))
    kept = late.read_bytes()
    late.unlink()
    sluice("pull", sums)
    late.write_bytes(kept)
    early[0].unlink()  # what is landed stays usable when its source is gone
    again = Path(sluice("build", sums).out.strip())
    assert again.name == whole.name
    assert tree_digest(again) == tree_digest(tmp_path / "first-lake/releases/sums" / whole.name)


def test_what_is_delivered_too_late_is_counted_and_changes_nothing_else(
    tmp_path: Path,
    sums: Path,
    sluice: RunSluice,
    records: MakeRecords,
    write_logs: WriteLogs,
) -> None:
    """The window ends with 1 October, so that deliveries are read until the end of the 3rd."""
    before = sluice("build", sums).out
    (tmp_path / "lake").rename(tmp_path / "first-lake")
    for day in ("04", "10", "11"):
        write_logs(
            tmp_path / "logs", [records(3, datetime(2026, 10, 1, tzinfo=UTC))], f"2026/10/{day}/00"
        )
    assert sluice("build", sums).out == before
    manifest = json.loads((Path(before.strip()) / "manifest.json").read_text())
    assert manifest["delivered_later"] == 2


@pytest.mark.parametrize(("seed", "zone"), [("0", "Asia/Kolkata"), ("1", "Pacific/Kiritimati")])
def test_the_bytes_depend_neither_on_hash_seed_nor_on_time_zone(
    tmp_path: Path, sums: Path, sluice: RunSluice, seed: str, zone: str
) -> None:
    here = sluice("build", sums, "--json").out
    (tmp_path / "lake").rename(tmp_path / "first-lake")
    environment = os.environ | {"PYTHONHASHSEED": seed, "TZ": zone, "LC_ALL": "C"}
    command = [sys.executable, "-m", "bedrock_sluice.cli.app", "build", str(sums), "--json"]
    there = subprocess.run(command, env=environment, cwd="/", capture_output=True, check=True)
    assert json.loads(there.stdout) == json.loads(here)


def test_the_window_can_be_given_on_the_command_line(sums: Path, sluice: RunSluice) -> None:
    result = sluice("build", sums, "--json", "--since", "2026-10-01T12:01:00")
    counts = json.loads(result.out)["counts"]
    assert counts["dropped"] == {"select_outside_window": 60}
    assert counts["train"] + counts["validation"] == 90


def test_new_data_move_no_line_between_train_and_validation(
    tmp_path: Path,
    sums: Path,
    sluice: RunSluice,
    write_logs: WriteLogs,
    records: MakeRecords,
) -> None:
    first = _sides(Path(sluice("build", sums).out.strip()))
    more = records(300, datetime(2026, 10, 1, 13, tzinfo=UTC))[150:]
    write_logs(tmp_path / "logs", [more], hour="2026/10/01/13")
    second = _sides(Path(sluice("build", sums).out.strip()))
    assert len(second) == 300
    assert {name: second[name] for name in first} == first


def _sides(release: Path) -> dict[str, str]:
    rows = pl.read_parquet(release / "provenance.parquet").select("id", "split").iter_rows()
    return dict(rows)


def test_records_without_a_key_that_notequals_names_are_counted(
    tmp_path: Path,
    recipe: WriteRecipe,
    sluice: RunSluice,
    write_logs: WriteLogs,
    records: MakeRecords,
) -> None:
    log_records = records(120)
    for number, each in enumerate(log_records):
        each["requestMetadata"] = [{"env": "dev"}, {"env": "prod"}, {}][number % 3]
    write_logs(tmp_path / "logs", [log_records])
    path = recipe('[select]\nmetadata = { notEquals = { env = "dev" } }\n')
    result = sluice("build", path, "--json")
    output = json.loads(result.out)
    manifest = json.loads((Path(output["release"]) / "manifest.json").read_text())
    assert output["counts"]["dropped"]["select_metadata"] == 40
    assert manifest["metadata"]["matched_without_key"] == 40
