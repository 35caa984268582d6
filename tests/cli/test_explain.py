"""`sluice explain`: an answer for every request id."""

import hashlib
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from support.protocols import MakeRecord, MakeRecords, RunSluice, WriteLogs, WriteRecipe

Json = dict[str, Any]


@pytest.fixture
def recipe_path(
    tmp_path: Path,
    recipe: WriteRecipe,
    sluice: RunSluice,
    write_logs: WriteLogs,
    records: MakeRecords,
    record: MakeRecord,
) -> Path:
    """A release in which every kind of fate occurs."""
    failed_record = record(
        request_id="failed", errorCode="ThrottlingException", input=None, output=None
    )
    odd = record(request_id="odd", bodies=({"what": 1}, {"ever": 2}))
    torn_line = b'{"requestId": "half", "timestamp": 5}'
    again = record(request_id="again", ask="What is 7 plus 7? End with #### and the number.")
    write_logs(tmp_path / "logs", [[*records(130), failed_record, odd, torn_line, again]])
    path = recipe()
    sluice("build", path)
    return path


@pytest.mark.parametrize(
    ("request_id", "fate", "reason"),
    [
        ("failed", "dropped", "curate_error"),
        ("odd", "quarantined", "decode_unknown_shape"),
        ("half", "quarantined", "decode_bad_field"),
        ("again", "dropped", "curate_exact_duplicate"),
    ],
)
def test_a_record_that_was_left_out_is_explained(
    recipe_path: Path, sluice: RunSluice, request_id: str, fate: str, reason: str
) -> None:
    result = sluice("explain", recipe_path, request_id, "--json")
    (fate_row,) = json.loads(result.out)["fates"]
    assert result.code == 0
    assert (fate_row["fate"], fate_row["reason"]) == (fate, reason)
    assert fate_row["object"].endswith(".json.gz")
    assert fate_row["line"] > 130


def test_a_duplicate_names_its_survivor(recipe_path: Path, sluice: RunSluice) -> None:
    (fate,) = json.loads(sluice("explain", recipe_path, "again", "--json").out)["fates"]
    assert fate["survivor"] == "request-7"


def test_a_kept_record_tells_its_side_and_its_answers_source(
    recipe_path: Path, sluice: RunSluice
) -> None:
    (fate,) = json.loads(sluice("explain", recipe_path, "request-7", "--json").out)["fates"]
    assert fate["fate"] in {"train", "validation"}
    assert (fate["reference_source"], fate["duplicates"]) == ("logged", 1)


def test_people_get_a_sentence(recipe_path: Path, sluice: RunSluice) -> None:
    assert "dropped: the call failed" in sluice("explain", recipe_path, "failed").err


def test_an_unknown_id_is_told_and_exits_1(recipe_path: Path, sluice: RunSluice) -> None:
    result = sluice("explain", recipe_path, "never-seen")
    assert result.code == 1
    assert "no record of that id among the 134" in result.err


def test_without_a_release_explain_says_what_to_do(sums: Path, sluice: RunSluice) -> None:
    result = sluice("explain", sums, "request-7")
    assert result.code == 2
    assert "run `sluice build" in result.err


def test_another_recipe_of_the_same_name_is_not_explained(
    recipe_path: Path,
    recipe: WriteRecipe,
    sluice: RunSluice,
    record: MakeRecord,
    write_logs: WriteLogs,
) -> None:
    tagged_record = record(request_id="tagged", metadata={"team": "x"})
    write_logs(recipe_path.parent / "logs", [[tagged_record]], "2026/10/01/13")
    other = recipe('[select]\nmetadata = { equals = { team = "x" } }\n', name="other.toml")
    sluice("build", other)
    answer = json.loads(sluice("explain", recipe_path, "request-7", "--json").out)
    (fate,) = answer["fates"]
    assert fate["fate"] in {"train", "validation"}
    (fate,) = json.loads(sluice("explain", other, "request-7", "--json").out)["fates"]
    assert (fate["reason"], fate["detail"]) == ("select_metadata", 'fails team = "x"')
    for name in (answer["release"], answer["release"].rpartition("/")[2]):
        result = sluice("explain", other, "request-7", "--release", name, "--json")
        assert json.loads(result.out)["release"] == answer["release"]


def test_a_recipe_without_a_release_of_its_own_names_one_to_look_at(
    recipe_path: Path, recipe: WriteRecipe, sluice: RunSluice
) -> None:
    (release,) = recipe_path.parent.glob("lake/releases/sums/*/")
    result = sluice("explain", recipe("[curate]\nmax_prompt_tokens = 9\n"), "request-7")
    assert result.code == 2
    assert f"--release {release.name}" in result.err


def test_the_last_days_of_a_recipe_are_those_of_its_newest_release(
    recipe_path: Path, recipe: WriteRecipe, sluice: RunSluice
) -> None:
    days = recipe(swaps={"since = 2026-10-01\nuntil = 2026-10-02": "last_days = 7"})
    sluice("build", days, "--until", "2026-10-02")
    assert sluice("explain", days, "request-7").code == 0


def test_the_first_records_of_a_reason_are_shown(recipe_path: Path, sluice: RunSluice) -> None:
    result = sluice("explain", recipe_path, "--reason", "curate_error", "--json")
    answer = json.loads(result.out)
    assert (result.code, answer["records"]) == (0, 1)
    assert [fate["request_id"] for fate in answer["fates"]] == ["failed"]
    assert (
        "request_id       failed" in sluice("explain", recipe_path, "--reason", "curate_error").err
    )


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--reason", "curate_refusal"), 1, "0 of 0 records"),
        (("--reason", "curate_eror"), 2, "unknown reason curate_eror; did you mean curate_error?"),
        ((), 2, "give either REQUEST_ID or"),
        (("request-7", "--reason", "curate_error"), 2, "give either REQUEST_ID or"),
        (("request-7", "--release", "2026-10-02-0123"), 2, "2026-10-02-0123 of sums"),
    ],
)
def test_what_can_not_be_shown_is_told(
    recipe_path: Path, sluice: RunSluice, arguments: tuple[str, ...], code: int, message: str
) -> None:
    result = sluice("explain", recipe_path, *arguments)
    assert (result.code, message in result.err) == (code, True)


def test_a_reason_of_another_version_is_shown_as_it_stands(
    recipe_path: Path, sluice: RunSluice
) -> None:
    (path,) = recipe_path.parent.glob("lake/releases/sums/*/manifest.json")
    fates = pl.read_parquet(path.with_name("fates.parquet"))
    old = fates.with_columns(pl.col("reason").replace("curate_error", "curate_old_name"))
    old.write_parquet(path.with_name("fates.parquet"))
    manifest = json.loads(path.read_text())
    content = path.with_name("fates.parquet").read_bytes()
    file = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    manifest["files"]["fates.parquet"] = file
    path.write_text(json.dumps(manifest))
    result = sluice("explain", recipe_path, "failed")
    assert result.code == 0
    assert "dropped: curate_old_name, a reason of another version of Sluice" in result.err
