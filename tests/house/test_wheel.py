"""The wheel holds every file of our packages, nothing else, and runs on what it declares."""

import os
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path, PurePosixPath
from zipfile import ZipFile

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
ROOMS = {"cli", "demo", "expectations", "flows", "lake", "rewards", "sql", "transforms"}
API = "api"  # the folder of the package itself
TOP = "bedrock_sluice"


WITHOUT_THE_REST = """
import sys
sys.path[:] = [{root!r}, *(each for each in sys.path if each)]
hidden = {hidden!r}

class Hide:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in hidden:
            raise ModuleNotFoundError(f"hidden: {{name}}", name=name)

sys.meta_path[:] = [
    Hide(), *(each for each in sys.meta_path if "editable" not in getattr(each, "__module__", ""))
]
import bedrock_sluice
assert bedrock_sluice.__file__.startswith({root!r})
sys.argv = ["sluice", *{arguments!r}]
from bedrock_sluice.cli.app import main
main()
"""
"""Runs a command of the wheel_folder wheel in a process that can't import what is not declared."""


def project_files() -> list[PurePosixPath]:
    """Return what a clean clone would hold, new files among them, but no ignored file."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    names = [name for name in listing.split("\0") if name and (ROOT / name).is_file()]
    return [PurePosixPath(name) for name in names]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build a wheel, without the network, from a copy of the project's files."""
    clean, out = tmp_path_factory.mktemp("clean"), tmp_path_factory.mktemp("dist")
    for name in project_files():
        (clean / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, clean / name)
    process = subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", out, clean],
        env=os.environ | {"PIP_NO_INDEX": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stdout[-2000:] + process.stderr[-2000:]
    (path,) = out.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def wheel_names(wheel: Path) -> set[PurePosixPath]:
    with ZipFile(wheel) as file:
        return {PurePosixPath(name) for name in file.namelist()}


@pytest.fixture(scope="module")
def wheel_folder(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel_folder")
    with ZipFile(wheel) as file:
        file.extractall(folder)
    return folder


def dependencies_of(folder: Path) -> set[str]:
    """Return the distributions that an unpacked wheel needs without extras, all the way down."""
    (info,) = folder.glob("*.dist-info")
    pending = [(each, "") for each in metadata.PathDistribution(info).requires or ()]
    names = set[str]()
    while pending:
        text, extra = pending.pop()
        requirement = Requirement(text)
        is_needed = not requirement.marker or requirement.marker.evaluate({"extra": extra})
        name = requirement.name.lower().replace("_", "-")
        if is_needed and (name not in names or requirement.extras):
            names.add(name)
            children = metadata.requires(name) or ()
            pending += [(child, each) for child in children for each in ("", *requirement.extras)]
    return names


def run_without_the_rest(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `sluice` from the unpacked wheel with its declared dependencies alone."""
    dependencies = dependencies_of(folder)
    other_modules = {
        module
        for module, owners in metadata.packages_distributions().items()
        if not dependencies & {owner.lower().replace("_", "-") for owner in owners}
    } - {"bedrock_sluice", "_distutils_hack", "pkg_resources", "setuptools"}
    code = WITHOUT_THE_REST.format(root=str(folder), hidden=other_modules, arguments=arguments)
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_wheel_holds_what_the_packages_hold(wheel_names: set[PurePosixPath]) -> None:
    wheel_files = {name.relative_to(TOP) for name in wheel_names if name.parts[0] == TOP}
    files = project_files()
    sources = {name for name in files if name.parts[0] in ROOMS}
    sources |= {name.relative_to(API) for name in files if name.parts[0] == API}
    assert {"missing": sources - wheel_files, "extra": wheel_files - sources} == {
        "missing": set(),
        "extra": set(),
    }


def test_the_wheel_installs_nothing_beside_the_package(wheel_names: set[PurePosixPath]) -> None:
    tops = {name.parts[0] for name in wheel_names}
    assert {top for top in tops if top != TOP and not top.endswith(".dist-info")} == set()


def test_the_demo_runs_on_the_declared_dependencies_alone(wheel_folder: Path) -> None:
    process = run_without_the_rest(wheel_folder, "demo", "--records", "600", "--out", "demo")
    assert process.returncode == 0, process.stderr[-2000:]
    assert list((wheel_folder / "demo").glob("lake/releases/*/*/manifest.json"))


def test_a_command_names_the_extra_that_it_lacks(wheel_folder: Path) -> None:
    process = run_without_the_rest(wheel_folder, "serve", ".")
    assert process.returncode == 2, process.stderr[-2000:]
    assert "pip install 'bedrock-sluice[flows]'" in process.stderr
