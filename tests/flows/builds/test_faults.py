"""Killed at any effect, or run twice at once: a re-run completes, nobody sees half a release."""

import errno
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import pytest
from support.protocols import RunSluice

from bedrock_sluice.flows.stages import pull
from bedrock_sluice.lake.stores.folder import FolderStore

Json = dict[str, Any]

EFFECTS = 8  # of the build below: one landed part, six files, and the manifest


class Killed(BaseException):
    """Stands for SIGKILL: nothing of ours catches it."""


@pytest.fixture(scope="module")
def golden() -> dict[str, dict[str, str]]:
    """The tree of the whole lake, as the first undisturbed build leaves it."""
    return {}


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("nth", range(EFFECTS))
def test_killed_at_the_nth_effect_a_re_run_completes(
    nth: int,
    when: str,
    sums: Path,
    sluice: RunSluice,
    tree_digest: Callable[[Path], dict[str, str]],
    golden: dict[str, dict[str, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lake = sums.parent / "lake"
    effects = 0
    put_new = FolderStore.put_new

    def dying(store: FolderStore, key: str, content: bytes | Path) -> bool:
        nonlocal effects
        effects += 1
        if effects == nth + 1 and when == "before":
            raise Killed
        is_new = put_new(store, key, content)
        if effects == nth + 1:
            raise Killed
        return is_new

    monkeypatch.setattr(FolderStore, "put_new", dying)
    with pytest.raises(Killed):
        _build(sums)
    is_whole = any(lake.glob("releases/*/*/manifest.json"))
    assert is_whole == (nth == EFFECTS - 1 and when == "after")
    monkeypatch.undo()
    assert sluice("build", sums).code == 0
    whole = {k: v for k, v in tree_digest(lake).items() if k.startswith("releases")}
    assert whole == golden.setdefault("whole", whole)


def _build(recipe: Path) -> None:
    from bedrock_sluice.cli.commands import run_build

    run_build(recipe, None, None, as_json=True)


def test_two_builds_at_once_publish_one_release(
    sums: Path, tree_digest: Callable[[Path], dict[str, str]]
) -> None:
    command = [sys.executable, "-m", "bedrock_sluice.cli.app", "build", str(sums)]
    builds = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(2)]
    told = {build.communicate()[0] for build in builds}
    assert [build.returncode for build in builds] == [0, 0]
    assert len(told) == 1
    assert len(list(sums.parent.glob("lake/releases/*/*/manifest.json"))) == 1
    assert not [path for path in tree_digest(sums.parent / "lake") if "/.sluice-" in path]


def test_a_file_with_other_bytes_under_a_release_stops_the_build(
    sums: Path, sluice: RunSluice
) -> None:
    release = Path(sluice("build", sums).out.strip())
    (release / "manifest.json").unlink()
    (release / "train.jsonl").write_bytes(b"{}\n")
    ran = sluice("build", sums)
    assert ran.code == 1
    assert "is there with other bytes" in ran.err
    assert not (release / "manifest.json").exists()


def test_a_full_working_folder_is_named(
    sums: Path, sluice: RunSluice, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, "Error writing bytes to file")  # as pyarrow does

    monkeypatch.setattr(pull, "write_footer", refuse)
    ran = sluice("build", sums)
    assert ran.code == 3
    assert f"no space left in {gettempdir()}" in ran.err
    assert "TMPDIR" in ran.err
