"""Killed at any effect, or run twice at once: a re-run completes, nobody sees half a release."""

import errno
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import gettempdir
from typing import NamedTuple

import pytest
from support.builds import killed_build
from support.command_line import RECIPE, write_sums
from support.protocols import RunSluice

from bedrock_sluice.flows.context import open_context
from bedrock_sluice.flows.pipeline import build
from bedrock_sluice.flows.stages import pull
from bedrock_sluice.lake.files import TEMPORARY_PREFIX

# That the build below writes: a landed and a derived part, two compacted days, seven files, then
# the manifest, and at last what the lines are compared by.
MANIFEST, FILES = 12, 13
KILLS = [
    *(("os.link", nth) for nth in range(1, FILES + 1)),  # written, but without its name
    *(
        ("os.remove", nth) for nth in (1, 2, MANIFEST - 1, MANIFEST, FILES)
    ),  # with a temporary one too
]


def lasting_files(tree: dict[str, str]) -> dict[str, str]:
    """Leave out the temporary files that a killed process leaves behind.

    The names of compacted days are shortened: they tell when parts were written.
    """
    return {
        re.sub(r"/(\d\d)-[0-9a-f]+-([0-9a-f]+\.parquet)$", r"/\1-\2", path): digest
        for path, digest in tree.items()
        if not Path(path).name.startswith(TEMPORARY_PREFIX)
    }


class Undisturbed(NamedTuple):
    """A build that nobody kills: its logs, and the digests of its lake's files."""

    logs: Path
    lake: dict[str, str]


def write_recipe(folder: Path, logs: Path) -> Path:
    """Write a recipe; the path of the logs stands in it, for it names the files of the lake."""
    path = folder / "killed.toml"
    path.write_text(RECIPE.replace('"logs"', f'"{logs}"'))
    return path


@pytest.fixture(scope="module")
def whole_build(
    tmp_path_factory: pytest.TempPathFactory, tree_digest: Callable[[Path], dict[str, str]]
) -> Undisturbed:
    folder = tmp_path_factory.mktemp("undisturbed")
    write_sums(folder)
    with open_context(write_recipe(folder, folder / "logs")) as context:
        build(context)
    return Undisturbed(folder / "logs", lasting_files(tree_digest(folder / "lake")))


@pytest.mark.parametrize(("event", "nth"), KILLS)
def test_after_a_kill_at_any_write_a_re_run_makes_the_same_lake(
    event: str,
    nth: int,
    tmp_path: Path,
    sluice: RunSluice,
    tree_digest: Callable[[Path], dict[str, str]],
    whole_build: Undisturbed,
) -> None:
    recipe, lake = write_recipe(tmp_path, whole_build.logs), tmp_path / "lake"
    assert killed_build(recipe, event, nth) == -signal.SIGKILL
    left = lasting_files(tree_digest(lake))
    assert left.items() <= whole_build.lake.items()  # no file is half there
    is_published = any(path.endswith("/manifest.json") for path in left)
    assert is_published == (nth > MANIFEST or (event, nth) == ("os.remove", MANIFEST))
    assert sluice("build", recipe).code == 0
    assert lasting_files(tree_digest(lake)) == whole_build.lake


def test_two_builds_at_once_publish_one_release(
    sums: Path, tree_digest: Callable[[Path], dict[str, str]]
) -> None:
    command = [sys.executable, "-m", "bedrock_sluice.cli.app", "build", str(sums)]
    builds = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(2)]
    outputs = {build.communicate()[0] for build in builds}
    assert [build.returncode for build in builds] == [0, 0]
    assert len(outputs) == 1
    assert len(list(sums.parent.glob("lake/releases/*/*/manifest.json"))) == 1
    assert not [path for path in tree_digest(sums.parent / "lake") if "/.sluice-" in path]


def test_a_file_with_other_bytes_under_a_release_stops_the_build(
    sums: Path, sluice: RunSluice
) -> None:
    release = Path(sluice("build", sums).out.strip())
    (release / "manifest.json").unlink()
    (release / "train.jsonl").write_bytes(b"{}\n")
    result = sluice("build", sums)
    assert result.code == 1
    assert "already exists with different content" in result.err
    assert not (release / "manifest.json").exists()


def test_a_full_working_folder_is_named(
    sums: Path, sluice: RunSluice, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, "Error writing bytes to file")  # as pyarrow does

    monkeypatch.setattr(pull, "write_footer", refuse)
    result = sluice("build", sums)
    assert result.code == 3
    assert f"no space left in {gettempdir()}" in result.err
    assert "TMPDIR" in result.err
