"""Releases by name on the command line: `NAME@latest`, `RECIPE@approved`, `NAME@ID`."""

import json
import os
from pathlib import Path

import pytest
from support.decisions import publish_small
from support.protocols import Ran, RunSluice
from support.releases import approve

from bedrock_sluice.lake.releases.release import Release

RECIPE = """\
name = "math"
lake = "lake"
source = { uri = "logs" }
template = { name = "math" }
"""


@pytest.fixture
def releases(tmp_path: Path) -> list[Release]:
    """Three releases of `math`: the second is approved, the last one rejected by the gate."""
    releases = [
        publish_small(tmp_path, "rejected" if line == "c" else "passed", line=line)
        for line in "abc"
    ]
    for hour, release in enumerate(releases):
        os.utime(Path(release.uri, "manifest.json"), (hour, hour))
    approve(releases[1], "R. Viewer")
    (tmp_path / "math.toml").write_text(RECIPE)
    return releases


def first_line(run: Ran) -> str:
    """The release that `verify` opened."""
    return run.err.splitlines()[0]


def test_a_release_is_opened_by_its_name_and_a_lake(
    releases: list[Release], sluice: RunSluice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake, path = tmp_path / "lake", tmp_path / "math.toml"
    expected = {"latest": releases[2], "approved": releases[1], releases[0].id: releases[0]}
    for selector, release in expected.items():
        by_lake = sluice("verify", f"math@{selector}", "--lake", lake)
        by_recipe = sluice("verify", f"{path}@{selector}")
        assert first_line(by_lake) == first_line(by_recipe) == release.uri, selector
    assert first_line(sluice("verify", "math@latest", "--lake", path)) == releases[2].uri
    monkeypatch.chdir(tmp_path)
    assert first_line(sluice("verify", "math.toml@approved")) == releases[1].uri
    assert sluice("decline", "math@latest", "--by", "K", "--lake", "lake").code == 0


def test_a_name_that_is_not_there_lists_what_is(
    releases: list[Release], sluice: RunSluice, tmp_path: Path
) -> None:
    lake = tmp_path / "lake"
    unknown = sluice("verify", "maths@latest", "--lake", lake)
    assert (unknown.code, "it has releases of math" in unknown.err) == (2, True)
    wrong_id = sluice("verify", "math@2026-11-02", "--lake", lake)
    assert wrong_id.code == 2
    assert all(release.id in wrong_id.err for release in releases)
    assert "latest and approved" in wrong_id.err
    nowhere = sluice("verify", "math@latest")
    assert (nowhere.code, "--lake LAKE" in nowhere.err) == (2, True)
    (tmp_path / "other").mkdir()
    assert "sluice build" in sluice("verify", "math@latest", "--lake", tmp_path / "other").err


def test_without_an_approval_the_message_says_so(sluice: RunSluice, tmp_path: Path) -> None:
    release = publish_small(tmp_path)
    run = sluice("verify", "math@approved", "--lake", tmp_path / "lake")
    assert run.code == 2
    assert "is approved" in run.err
    assert release.id in run.err


def test_status_lists_the_releases_of_a_whole_lake(
    releases: list[Release], sluice: RunSluice, tmp_path: Path
) -> None:
    rows = json.loads(sluice("status", tmp_path / "lake", "--json").out)["releases"]
    assert [(row["name"], row["id"]) for row in rows] == [
        ("math", release.id) for release in reversed(releases)
    ]
    assert [row["verdict"] for row in rows] == ["rejected", "passed", "passed"]
    assert "approved by R. Viewer" in rows[1]["decisions"][0]
    assert rows[1]["uri"] == releases[1].uri
    assert releases[0].id in sluice("status", tmp_path / "math.toml").err
