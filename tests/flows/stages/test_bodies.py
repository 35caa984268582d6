"""Large bodies: followed where they may lie, missed until they come, refused anywhere else."""

import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.protocols import MakeRecords, RunSluice, WriteLogs, WriteRecipe

from bedrock_sluice.flows.context import open_context
from bedrock_sluice.flows.stages.pull import pull
from bedrock_sluice.lake.stores.s3 import S3Store

Json = dict[str, Any]

BUCKET = "s3://logs/bedrock"
DATA = "AWSLogs/111122223333/BedrockModelInvocationLogs/us-east-1/2026/10/01/12/data"


@pytest.fixture
def apart(
    tmp_path: Path,
    recipe: WriteRecipe,
    records: MakeRecords,
    write_logs: WriteLogs,
) -> Callable[[str], Path]:
    """Logs in which the first record's request is stored apart, at a URI; returns their recipe."""

    def write(uri: str) -> Path:
        log_records = records(120)
        body = json.dumps(log_records[0]["input"].pop("inputBodyJson"))
        log_records[0]["input"]["inputBodyS3Path"] = uri
        write_logs(tmp_path / "logs", [log_records])
        (tmp_path / "body.json.gz").write_bytes(gzip.compress(body.encode()))
        return recipe()

    return write


def _counts(result: Any) -> Json:
    counts: Json = json.loads(result.out)["counts"]
    return counts


def _landed(recipe: Path) -> list[tuple[str | None, str | None]]:
    """What a build of the recipe would read: the digest of each record's bodies, or its reason."""
    problems = list[Exception]()
    with open_context(recipe) as context:
        pull(context.source, context.lake, context.recipe.window, lambda _steps, _total: None)
        rows = context.landed.stream(
            ("object", "line", "body_digest", "reason"), problems
        ).read_all()
    sorted_rows = rows.sort_by([("object", "ascending"), ("line", "ascending")])
    return list(
        zip(sorted_rows["body_digest"].to_pylist(), sorted_rows["reason"].to_pylist(), strict=True)
    )


def test_a_lake_gives_each_recipe_what_a_fresh_one_would(
    tmp_path: Path, apart: Callable[[str], Path], recipe: WriteRecipe, bucket: str
) -> None:
    """Whatever another recipe, which may follow other bodies, has landed in it before."""
    refusing_recipe = apart(f"s3://{bucket}/large/request-0_input.json.gz")
    S3Store(f"s3://{bucket}").put_new("large/request-0_input.json.gz", tmp_path / "body.json.gz")
    source = {'uri = "logs"': f'uri = "logs"\nbodies = ["s3://{bucket}/large"]'}
    allowing_recipe = recipe(swaps=source, name="allowed.toml")
    shared_lake_rows = [
        _landed(each)
        for each in (refusing_recipe, allowing_recipe, refusing_recipe, allowing_recipe)
    ]
    fresh = []
    for each in (refusing_recipe, allowing_recipe):
        shutil.rmtree(tmp_path / "lake")
        fresh.append(_landed(each))
    assert shared_lake_rows == fresh * 2
    assert [{reason for _, reason in rows} for rows in fresh] == [
        {"pull_body_refused", None},
        {None},
    ]


@pytest.mark.parametrize("has_first", [False, True])
def test_every_place_that_may_hold_a_body_is_searched(
    tmp_path: Path, apart: Callable[[str], Path], recipe: WriteRecipe, bucket: str,
    has_first: bool,
) -> None:  # fmt: skip
    """A folder in `bodies`, and a place on S3, beside a folder of logs."""
    apart(f"s3://{bucket}/{DATA}/request-0_input.json.gz")
    places = [tmp_path / "large", tmp_path / "empty"]
    bodies = [str(place) for place in (places if has_first else places[::-1])]
    swaps = {'uri = "logs"': f'uri = "logs"\nbodies = {[*bodies, f"s3://{bucket}"]}'}
    path = recipe(swaps=swaps)
    assert {reason for _, reason in _landed(path)} == {"pull_body_missing", None}
    if has_first:
        target = tmp_path / "large" / DATA / "request-0_input.json.gz"
        target.parent.mkdir(parents=True)
        (tmp_path / "body.json.gz").rename(target)
    else:
        S3Store(f"s3://{bucket}").put_new(
            f"{DATA}/request-0_input.json.gz", tmp_path / "body.json.gz"
        )
    assert {reason for _, reason in _landed(path)} == {None}


def test_a_body_that_comes_late_is_picked_up_by_a_later_build(
    tmp_path: Path, apart: Callable[[str], Path], sluice: RunSluice
) -> None:
    path = apart(f"{BUCKET}/{DATA}/request-0_input.json.gz")
    before = _counts(sluice("build", path, "--json"))
    idle = json.loads(sluice("pull", path, "--json").out)
    target = tmp_path / "logs" / DATA / "request-0_input.json.gz"
    target.parent.mkdir()
    (tmp_path / "body.json.gz").rename(target)
    after = _counts(sluice("build", path, "--json"))
    again = json.loads(sluice("pull", path, "--json").out)
    assert before["quarantined"] == {"pull_body_missing": 1}
    assert after["quarantined"] == {}
    assert after["train"] + after["validation"] == 120
    assert (idle["objects"], again["objects"]) == (0, 0)


@pytest.mark.parametrize(
    "uri",
    [
        "s3://another/bucket/data/request-0_input.json.gz",
        f"{BUCKET}/AWSLogs/../../secrets.json",
        f"{BUCKET}/AWSLogs//etc/passwd",
        "/etc/passwd",
        "file:///etc/passwd",
        "",
    ],
)
def test_a_path_that_leads_elsewhere_is_refused(
    apart: Callable[[str], Path], sluice: RunSluice, uri: str
) -> None:
    counts = _counts(sluice("build", apart(uri), "--json"))
    assert counts["quarantined"] == {"pull_body_refused": 1}


@pytest.mark.parametrize("content", [b"\x1f\x8bnonsense", gzip.compress(b"\xff\xfe", mtime=0)])
def test_a_damaged_body_costs_its_record_alone(
    tmp_path: Path, apart: Callable[[str], Path], sluice: RunSluice, content: bytes
) -> None:
    path = apart(f"{BUCKET}/{DATA}/request-0_input.json.gz")
    target = tmp_path / "logs" / DATA / "request-0_input.json.gz"
    target.parent.mkdir()
    target.write_bytes(content)
    counts = _counts(sluice("build", path, "--json"))
    assert counts["quarantined"] == {"pull_body_damaged": 1}
    assert counts["train"] + counts["validation"] == 119


def test_convert_follows_bodies_from_any_level(
    tmp_path: Path,
    apart: Callable[[str], Path],
    sluice: RunSluice,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    apart(f"{BUCKET}/{DATA}/request-0_input.json.gz")
    target = tmp_path / "logs" / DATA / "request-0_input.json.gz"
    target.parent.mkdir()
    (tmp_path / "body.json.gz").rename(target)
    (log,) = target.parent.parent.glob("*.json.gz")
    shutil.rmtree(tmp_path / "lake", ignore_errors=True)
    for place in (tmp_path / "logs", tmp_path, tmp_path / "logs/AWSLogs", log.parent, log):
        result = sluice("convert", place)
        assert len(result.out.splitlines()) == 120, place
    monkeypatch.chdir(log.parent)
    for name in (".", log.name):
        assert len(sluice("convert", name).out.splitlines()) == 120


def test_a_hostile_path_costs_its_record_alone(
    tmp_path: Path, apart: Callable[[str], Path], sluice: RunSluice
) -> None:
    (tmp_path / "logs").mkdir()
    for uri in (
        f"{BUCKET}/AWSLogs/a\0b",
        f"{BUCKET}/AWSLogs/{'x' * 5_000}",
        f"{BUCKET}/AWSLogs/" + "/".join(["x" * 100] * 60),
        f"{BUCKET}/AWSLogs/111122223333/file/below",
    ):
        (tmp_path / "logs" / "AWSLogs" / "111122223333").mkdir(parents=True, exist_ok=True)
        (tmp_path / "logs" / "AWSLogs" / "111122223333" / "file").write_bytes(b"")
        counts = _counts(sluice("build", apart(uri), "--json"))
        assert sum(counts["quarantined"].values()) == 1
        shutil.rmtree(tmp_path / "lake")
