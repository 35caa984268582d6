"""Exports for other trainers, and the comparison with Bedrock's own reading of the logs."""

import json
from hashlib import sha256
from pathlib import Path

import msgspec
import polars as pl
import pytest
from support.protocols import RunSluice, WriteRecipe
from support.rft.state import ControlPlane
from support.training import MakeRelease

from bedrock_sluice.flows.training.native import compare_with_bedrock
from bedrock_sluice.lake.releases.release import Release, open_release
from bedrock_sluice.transforms.facts.release_facts import Counts

FORMATS = ("verl", "trl", "openai-rft", "bedrock")


@pytest.fixture
def release(training_release: MakeRelease, control_plane: ControlPlane) -> str:
    """A release that nobody has approved."""
    return training_release(lines=120, approved_by=None).uri


def read_rows(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def export(sluice: RunSluice, release: str, name: str, out: Path) -> dict[str, str]:
    """Export, and return the SHA-256 of each file, which `export.json` must state."""
    result = sluice("export", release, "--to", name, "--out", out)
    assert (result.code, result.out.strip()) == (0, str(out)), result.err
    digests = {p.name: sha256(p.read_bytes()).hexdigest() for p in out.iterdir()}
    manifest = json.loads((out / "export.json").read_text())
    facts = {name: facts["sha256"] for name, facts in manifest["files"].items()}
    assert facts == {name: each for name, each in digests.items() if name != "export.json"}
    return digests


def test_each_format_has_its_files_and_the_same_bytes_each_time(
    release: str, sluice: RunSluice, tmp_path: Path
) -> None:
    for name in FORMATS:
        first = export(sluice, release, name, tmp_path / f"{name}-1")
        assert export(sluice, release, name, tmp_path / f"{name}-2") == first
        assert export(sluice, release, name, tmp_path / f"{name}-1") == first  # again, in place
        suffixes = {".jsonl", ".json", *([".parquet"] if name in ("verl", "trl") else [])}
        assert {Path(file).suffix for file in first} == suffixes


def test_the_rows_of_each_format(release: str, sluice: RunSluice, tmp_path: Path) -> None:
    lines = read_rows(Path(release, "train.jsonl"))
    for name in FORMATS:
        export(sluice, release, name, tmp_path / name)
    assert (tmp_path / "bedrock" / "train.jsonl").read_bytes() == Path(
        release, "train.jsonl"
    ).read_bytes()
    line, answer = lines[7], '{"final_answer":"14"}'
    assert read_rows(tmp_path / "verl" / "train.jsonl")[7] == {
        "data_source": "math",
        "prompt": line["messages"],
        "ability": "sums",
        "reward_model": {"ground_truth": answer, "style": "rule"},
        "extra_info": {"id": line["id"], "split": "train", "index": 7},
    }
    assert read_rows(tmp_path / "trl" / "train.jsonl")[7] == {
        "prompt": line["messages"],
        "ground_truth": answer,
        "id": line["id"],
        "domain": "sums",
    }
    assert read_rows(tmp_path / "openai-rft" / "train.jsonl")[7] == line
    for name in ("verl", "trl"):
        frame = pl.read_parquet(tmp_path / name / "train.parquet")
        assert frame.to_dicts() == read_rows(tmp_path / name / "train.jsonl")
    validation = pl.read_parquet(tmp_path / "verl" / "validation.parquet")
    assert validation["extra_info"].struct.field("split").unique().to_list() == ["validation"]


def test_other_files_in_the_way_and_changed_releases_stop_an_export(
    release: str, sluice: RunSluice, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    export(sluice, release, "trl", out)
    result = sluice("export", release, "--to", "verl", "--out", out)
    assert (result.code, "already exists with different content" in result.err) == (1, True)
    assert sluice("export", release, "--to", "csv", "--out", tmp_path / "x").code == 2
    path = Path(release, "train.jsonl")
    path.write_text(path.read_text().replace("alles", "anders"))
    result = sluice("export", release, "--to", "verl", "--out", tmp_path / "other")
    assert (result.code, "content differs" in result.err) == (1, True)
    assert not (tmp_path / "other" / "export.json").exists()


def test_an_export_can_go_to_s3(release: str, sluice: RunSluice, bucket: str) -> None:
    uri = f"s3://{bucket}/verl"
    assert sluice("export", release, "--to", "verl", "--out", uri).out.strip() == uri


# --- Native mode


@pytest.mark.parametrize(
    ("uri", "metadata", "why"),
    [
        ("s3://logs/prefix", '{ equals = { team = "math" } }', ""),
        ("s3://logs/prefix", '{ in = { team = ["math", "art"] } }', "Bedrock has no 'in'"),
        ("s3://logs/dt=1", '{ equals = { team = "math" } }', "invocationLogSource.s3Uri: must"),
        ("logs", '{ equals = { team = "math" } }', "is not on S3"),
    ],
)
def test_the_native_configuration_or_why_there_is_none(
    recipe: WriteRecipe, sluice: RunSluice, bucket: str, uri: str, metadata: str, why: str
) -> None:
    swaps = {'uri = "logs"': f'uri = "{uri}"'}
    path = recipe(f"[select]\nmetadata = {metadata}\n", swaps)
    result = sluice("native", path)
    assert (result.code, why in result.err) == (bool(why), True), result.err
    if not why:
        config = json.loads(result.out)["invocationLogsConfig"]
        assert config == {
            "invocationLogSource": {"s3Uri": uri},
            "usePromptResponse": False,
            "requestMetadataFilters": {"equals": {"team": "math"}},
        }
        assert "no filter by time" in result.err
    else:
        assert result.out == ""


def test_the_comparison_accounts_for_every_record(sums: Path, sluice: RunSluice) -> None:
    assert sluice("build", sums).code == 0
    result = sluice("native", sums, "--json")
    facts = json.loads(result.out)
    comparison = facts["comparison"]
    assert (result.code, facts["config"]) == (1, None)  # the logs are in a folder
    numbers = {each["bedrock"]: 0 for each in comparison["differences"]}
    for each in comparison["differences"]:
        numbers[each["bedrock"]] += each["records"]
    assert comparison["records"] == comparison["kept"] + sum(numbers.values()) == 150
    low = comparison["kept"] + numbers.get("takes", 0)
    assert comparison["bedrock_low"] == low
    assert comparison["bedrock_high"] == low + numbers.get("may take", 0)
    assert f"the release keeps {comparison['kept']}" in result.err


@pytest.mark.parametrize(("is_filtered", "low", "high"), [(True, 4, 5), (False, 6, 7)])
def test_what_bedrock_would_take_follows_from_the_fates(
    release: str, is_filtered: bool, low: int, high: int
) -> None:
    source = open_release(release)
    drops = {"select_metadata": 2, "curate_media": 1, "curate_burst": 1, "curate_error": 1}
    counts = Counts(
        records=10, train=2, validation=1, dropped=drops, quarantined={"decode_bad_json": 2}
    )
    manifest = msgspec.structs.replace(source.manifest, counts=counts)
    comparison = compare_with_bedrock(Release(source.lake, manifest, ""), is_filtered)
    assert (comparison.bedrock_low, comparison.bedrock_high, comparison.kept) == (low, high, 3)
