"""`sluice trace`: from a model to the records, and the name of the link that is broken."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from support.demo_releases import JOB, MODEL, build_demo, train
from support.protocols import Ran, RunSluice

from bedrock_sluice.lake.releases.release import Release

LINKS = ["model", "job", "prompts", "decisions", "files", "recipe", "lines", "logs", "records"]


@pytest.fixture
def release(tmp_path: Path) -> Release:
    """A release that an approved job was trained on."""
    release = build_demo(tmp_path / "demo")
    train(release)
    return release


def facts_of(result: Ran) -> dict[str, Any]:
    return dict(json.loads(result.out.splitlines()[0]))


def broken_links(result: Ran) -> list[str]:
    return [link["name"] for link in facts_of(result)["links"] if not link["ok"]]


def test_a_model_leads_to_its_records(release: Release, sluice: RunSluice) -> None:
    lake = release.lake.uri
    result = sluice("trace", MODEL, "--lake", lake, "--json", "--records")
    assert result.code == 0, result.err
    facts = facts_of(result)
    assert [link["name"] for link in facts["links"]] == LINKS
    assert (facts["job"], facts["model"], facts["release"]) == (JOB, MODEL, release.uri)
    assert facts["approved_by"] == ["Dana"]
    lines = pl.read_ndjson(release.file("train.jsonl"), schema={"id": pl.String})["id"]
    ids = {each["request_id"] for each in facts["records"] if each["fate"] == "train"}
    assert ids == set(lines)
    digests = {each.object: each.sha256 for each in release.manifest.inputs.objects}
    assert all(digests[each["object"]] == each["object_sha256"] for each in facts["records"])
    for target in (JOB, release.uri):
        other_result = sluice("trace", target, "--lake", lake, "--json")
        assert facts_of(other_result) == facts | {"records": []}


def test_a_request_id_tells_what_became_of_the_record(release: Release, sluice: RunSluice) -> None:
    fates = pl.read_parquet(release.file("fates.parquet"))
    line = fates.filter(fate="train").row(0, named=True)
    duplicate = fates.filter(reason="curate_exact_duplicate").row(0, named=True)
    ids = [line["request_id"], duplicate["request_id"]]
    options = [option for each in ids for option in ("--request-id", each)]
    result = sluice("trace", MODEL, "--lake", release.lake.uri, *options)
    assert result.code == 0
    assert sorted(result.out.splitlines()) == sorted(
        [
            f"{ids[0]}  train  {line['object']}:{line['line']}",
            f"{ids[1]}  dropped (curate_exact_duplicate); {duplicate['survivor']} stands for it  "
            f"{duplicate['object']}:{duplicate['line']}",
        ]
    )
    result = sluice("trace", release.uri, "--request-id", "absent")
    assert result.code == 1
    assert "absent: no record of the release has this id" in result.err


def test_each_broken_link_is_named(release: Release, sluice: RunSluice) -> None:
    root, lake = Path(release.uri), Path(release.lake.uri)
    (approval,) = (lake / "decisions").rglob("*.json")
    (job,) = (lake / "registry").rglob("*.job-1.json")
    part = next((lake / "landed").rglob("*.parquet"))
    damages: list[tuple[Path, Callable[[bytes], bytes] | None, list[str]]] = [
        (approval, lambda content: content.replace(b"Dana", b"Dora"), ["decisions"]),
        (approval, None, ["decisions"]),
        (root / "train.jsonl", lambda content: content + b"\n", ["files"]),
        (root / "report.html", None, ["files"]),
        (root / "manifest.json", _other_recipe, ["decisions", "recipe", "logs", "records"]),
        (job, lambda content: content.replace(b'"value":"', b'"value":"0'), ["job"]),
        (part, None, ["logs", "records"]),
    ]
    for path, edit, links in damages:
        original = path.read_bytes()
        path.unlink()
        if edit:
            path.write_bytes(edit(original))
        result = sluice("trace", MODEL, "--lake", lake, "--json")
        assert (result.code, broken_links(result)) == (1, links), path
        path.unlink(missing_ok=True)
        path.write_bytes(original)
    assert sluice("trace", MODEL, "--lake", lake).code == 0


def _other_recipe(manifest: bytes) -> bytes:
    assert b'"near_duplicates": 0.8' in manifest
    return manifest.replace(b'"near_duplicates": 0.8', b'"near_duplicates": 0.9')


def test_a_job_without_an_approval_is_a_broken_link(tmp_path: Path, sluice: RunSluice) -> None:
    release = build_demo(tmp_path / "demo")
    train(release, has_approval=False)
    result = sluice("trace", MODEL, "--lake", release.lake.uri, "--json")
    assert (result.code, broken_links(result)) == (1, ["decisions"])


def test_an_arn_needs_a_lake_that_knows_it(release: Release, sluice: RunSluice) -> None:
    result = sluice("trace", MODEL)
    assert (result.code, "name it with --lake" in result.err) == (2, True)
    result = sluice("trace", f"{MODEL}0", "--lake", release.lake.uri)
    assert (result.code, "no job in the registry" in result.err) == (1, True)
