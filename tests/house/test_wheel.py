"""The wheel holds every file of our packages, and nothing else."""

import os
import shutil
import subprocess
import sys
from pathlib import Path, PurePosixPath
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = {"cli", "demo", "expectations", "flows", "lake", "rewards", "sql", "transforms"}
API = "api"  # the folder of the package itself
TOP = "bedrock_sluice"


def project_files() -> list[PurePosixPath]:
    """What a clean clone would hold, once what is new here was added: no ignored file."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    names = [name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]
    return [PurePosixPath(name) for name in names]


@pytest.fixture(scope="module")
def wheel_names(tmp_path_factory: pytest.TempPathFactory) -> set[PurePosixPath]:
    """The names in a wheel built, without the network, from a copy of the project's files."""
    clean, out = tmp_path_factory.mktemp("clean"), tmp_path_factory.mktemp("dist")
    for name in project_files():
        (clean / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, clean / name)
    built = subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", out, clean],
        env=os.environ | {"PIP_NO_INDEX": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stdout[-2000:] + built.stderr[-2000:]
    (wheel,) = out.glob("*.whl")
    with ZipFile(wheel) as file:
        return {PurePosixPath(name) for name in file.namelist()}


def test_the_wheel_holds_what_the_packages_hold(wheel_names: set[PurePosixPath]) -> None:
    shipped = {name.relative_to(TOP) for name in wheel_names if name.parts[0] == TOP}
    files = project_files()
    written = {name for name in files if name.parts[0] in ROOMS}
    written |= {name.relative_to(API) for name in files if name.parts[0] == API}
    assert {"missing": written - shipped, "extra": shipped - written} == {
        "missing": set(),
        "extra": set(),
    }


def test_the_wheel_installs_nothing_beside_the_package(wheel_names: set[PurePosixPath]) -> None:
    tops = {name.parts[0] for name in wheel_names}
    assert {top for top in tops if top != TOP and not top.endswith(".dist-info")} == set()
