"""`sluice gc --keep-releases`: old releases go, and later builds are the same without them."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from support.builds import without_checks
from support.logs import make_record
from support.protocols import MakeRecords, RunSluice, WriteLogs, WriteRecipe
from support.releases import approve

from bedrock_sluice.flows.context import open_context
from bedrock_sluice.flows.pipeline import build
from bedrock_sluice.lake.releases.registry import JobRequest, reserve
from bedrock_sluice.lake.releases.release import Release, open_release
from bedrock_sluice.lake.releases.split_memory import MEMORY_FILE
from bedrock_sluice.lake.stores.opening import open_store

NIGHTS, PER_NIGHT = 6, 40
NOW = ("--older-than", "0")
SPLIT = "[split]\nvalidation = 0.3\n"


class Nights:
    """A recipe of one-day windows: what a night held out is only in its release after that."""

    def __init__(self, recipe: WriteRecipe, lake: str) -> None:
        self._write, self._swaps = recipe, {'"lake"': f'"{lake}"'}
        self.path, self.store = recipe(SPLIT, self._swaps), open_store(lake)

    def build(self, night: int) -> Release:
        """Build the window from the second night before up to a night."""
        window = (datetime(2026, 10, max(night - 1, 1), tzinfo=UTC), datetime(2026, 10, night + 1))
        since, until = (each.replace(tzinfo=UTC) for each in window)
        with open_context(self.path, since, until) as context, without_checks():
            return build(context)

    def files(self) -> dict[str, bytes]:
        """The files of all releases, but the index."""
        entries = self.store.entries("releases/")
        return {e.key: self.store.read(e) for e in entries if not e.key.endswith("index.html")}

    def remove(self, release: Release) -> None:
        """Remove a release as if it had never been built."""
        folder = f"releases/{release.name}/{release.id}/"
        self.store.delete([*self.store.entries(folder)], "releases")


@pytest.fixture(params=["folder", "s3"])
def nights(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    recipe: WriteRecipe,
    records: MakeRecords,
    write_logs: WriteLogs,
) -> Nights:
    all_records = records(NIGHTS * PER_NIGHT)
    for night in range(1, NIGHTS + 1):
        batch: list[Any] = all_records[(night - 1) * PER_NIGHT : night * PER_NIGHT]
        for record in batch:
            record["timestamp"] = record["timestamp"].replace("2026-10-01", f"2026-10-0{night}")
        write_logs(tmp_path / "logs", [batch], f"2026/10/0{night}/12")
    lake = str(tmp_path / "lake")
    if request.param == "s3":
        lake = f"s3://{request.getfixturevalue('bucket')}/lake"
    return Nights(recipe, lake)


in_a_folder = pytest.mark.parametrize("nights", ["folder"], indirect=True)


def test_the_next_build_is_the_same_with_and_without_the_old_releases(
    nights: Nights, sluice: RunSluice
) -> None:
    releases = [nights.build(night) for night in (1, 2)]
    request = JobRequest(f"sums/{releases[1].id}", "job-1", "us-east-1")
    reserve(releases[1], "sums", 1, request)
    releases += [nights.build(night) for night in range(3, NIGHTS)]
    approve(releases[2], "R. Viewer")
    next_release = nights.build(NIGHTS)
    expected = {k: v for k, v in nights.files().items() if next_release.id in k}
    assert json.loads(expected[f"releases/sums/{next_release.id}/manifest.json"])
    nights.remove(next_release)

    before = nights.files()
    plan = json.loads(sluice("gc", nights.path, *NOW, "--keep-releases", 1, "--json").out)
    assert nights.files() == before  # it only tells
    assert plan["kept_releases"] == {
        f"sums/{releases[4].id}": "newest",
        f"sums/{releases[2].id}": "approved",
        f"sums/{releases[1].id}": "job",
    }
    old = [f"sums/{releases[number].id}" for number in (3, 0)]
    assert [each["release"] for each in plan["releases"]] == old
    assert "run again with --delete" in sluice("gc", nights.path, *NOW, "--keep-releases", 1).err

    run = sluice("gc", nights.path, *NOW, "--keep-releases", 1, "--delete")
    assert run.code == 0
    assert all(f"removed: release {name}" in run.err for name in old)
    after = nights.files()
    memories = {f"releases/{name}/{MEMORY_FILE}" for name in old}
    assert after.keys() - before.keys() == memories
    assert set(before.keys() - after.keys()) == {
        key for key in before if key.split("/", 3)[1:3] in [name.split("/") for name in old]
    }
    index = nights.store.entry("releases/sums/index.html")
    assert index
    page = nights.store.read(index).decode()
    assert [release.id in page for release in releases] == [False, True, True, False, True]

    assert nights.build(NIGHTS).id == next_release.id
    assert {k: v for k, v in nights.files().items() if next_release.id in k} == expected
    # A release that stayed, built again: it was split right after one that was removed.
    assert nights.build(NIGHTS - 1).id == releases[4].id
    assert nights.build(3).id == releases[2].id
    again = json.loads(sluice("gc", nights.path, *NOW, "--keep-releases", 2, "--json").out)
    assert again["releases"] == []


@in_a_folder
@pytest.mark.parametrize("number", [1, 4])
def test_a_removal_that_was_killed_is_completed_by_the_next(
    nights: Nights, sluice: RunSluice, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    releases = [nights.build(night) for night in range(1, 4)]
    store_type, deletions = type(nights.store), list[str]()
    delete = store_type.delete

    def die(store: Any, entries: Any, area: Any = "derived") -> None:
        deletions.extend(entry.key for entry in entries if area == "releases")
        if len(deletions) == number:
            raise SystemExit(9)
        delete(store, entries, area)

    with monkeypatch.context() as patch:
        patch.setattr(store_type, "delete", die)
        assert sluice("gc", nights.path, *NOW, "--keep-releases", 1, "--delete").code == 9
    assert sluice("gc", nights.path, *NOW, "--keep-releases", 1, "--delete").code == 0
    left_keys = [key for key in nights.files() if releases[0].id in key or releases[1].id in key]
    assert {key.rpartition("/")[2] for key in left_keys} == {MEMORY_FILE}
    assert nights.build(4).manifest.earlier_releases == sorted(each.id for each in releases)


@in_a_folder
def test_young_unreadable_and_last_passed_releases_stay(nights: Nights, sluice: RunSluice) -> None:
    releases = [nights.build(night) for night in range(1, 5)]
    command = ("gc", nights.path, "--keep-releases", 1, "--json")
    assert json.loads(sluice(*command).out)["releases"] == []  # none is 7 days old
    Path(releases[0].uri, "manifest.json").write_text("{}")
    facts = json.loads(sluice(*command, *NOW).out)
    assert facts["kept_releases"][f"sums/{releases[0].id}"] == "unreadable"
    assert len(facts["releases"]) == 2


@in_a_folder
def test_a_damaged_release_is_not_removed(nights: Nights, sluice: RunSluice) -> None:
    releases = [nights.build(night) for night in range(1, 3)]
    Path(releases[0].uri, "validation.jsonl").write_text("")
    run = sluice("gc", nights.path, *NOW, "--keep-releases", 1, "--delete")
    assert run.code == 1
    assert "validation.jsonl" in run.err
    assert open_release(releases[0].uri).id == releases[0].id


@in_a_folder
def test_forgotten_records_leave_what_is_remembered(nights: Nights, sluice: RunSluice) -> None:
    release = nights.build(1)
    nights.build(2)
    lines = Path(release.uri, "validation.jsonl").read_text().splitlines()
    request_id = json.loads(lines[0])["id"]
    sluice("gc", nights.path, *NOW, "--keep-releases", 1, "--delete")
    memory = Path(release.uri, MEMORY_FILE)
    assert memory.exists()
    assert sluice("forget", nights.path, "--request-id", request_id, "--delete").code == 0
    assert not memory.exists()
    assert nights.build(3).manifest.earlier_releases is not None


def test_what_is_remembered_and_was_damaged_stops_the_build(
    nights: Nights, sluice: RunSluice
) -> None:
    release = nights.build(1)
    nights.build(2)
    sluice("gc", nights.path, *NOW, "--keep-releases", 1, "--delete")
    key = f"releases/{release.name}/{release.id}/{MEMORY_FILE}"
    entry = nights.store.entry(key)
    assert entry
    content = nights.store.read(entry)
    nights.store.delete([entry], "releases")
    nights.store.put_new(key, content[:-20])
    run = sluice("build", nights.path)
    assert run.code == 1
    assert MEMORY_FILE in run.err


def test_a_line_separator_within_a_text_ends_no_line(
    recipe: WriteRecipe, write_logs: WriteLogs, sluice: RunSluice, tmp_path: Path
) -> None:
    records = [
        make_record(
            ask=f"What is {n}\u2028plus {n}?\x85End with ####",
            reply=f"#### {2 * n}",
            request_id=f"request-{n}",
            at=datetime(2026, 10, 1, 12, tzinfo=UTC),
        )
        for n in range(240)
    ]
    write_logs(tmp_path / "logs", [records])
    first = sluice("build", recipe(SPLIT))
    second = sluice("build", recipe(SPLIT + "max_lines = 180\n"))
    assert (first.code, second.code) == (0, 0), second.err
    lines = Path(second.out.strip(), "validation.jsonl").read_bytes()
    assert "\u2028".encode() in lines
