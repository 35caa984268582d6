"""Folders of logs, recipes over them, and the command line run as a user would."""

import hashlib
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bedrock_sluice.cli import app
from support.logs import make_records
from support.logs import write_logs as write_log_objects
from support.protocols import Ran, RunSluice, WriteLogs, WriteRecipe

RECIPE = """\
name = "sums"
lake = "lake"
[source]
uri = "logs"
since = 2026-10-01
until = 2026-10-02
[template]
name = "math"
"""
TRAIN = """\
[grader]
lambda_arn = "arn:aws:lambda:us-east-1:111122223333:function:grade"
[train]
model = "amazon.nova-2-lite-v1:0:256k"
role_arn = "arn:aws:iam::111122223333:role/rft"
output_uri = "s3://models/rft"
data_uri = "s3://data/rft"
"""


@pytest.fixture
def sluice(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> RunSluice:
    """Run the command line in this process."""
    monkeypatch.setattr("signal.signal", lambda *_: None)

    def run(*arguments: object) -> Ran:
        capfd.readouterr()
        monkeypatch.setattr(sys, "argv", ["sluice", *map(str, arguments)])
        with pytest.raises(SystemExit) as failure:
            app.main()
        sys.stdout.flush()
        code = failure.value.code
        return Ran(code if isinstance(code, int) else int(code is not None), *capfd.readouterr())

    return run


@pytest.fixture(scope="session")
def write_logs() -> WriteLogs:
    """`support.logs.write_logs`."""
    return write_log_objects


@pytest.fixture
def recipe(tmp_path: Path) -> WriteRecipe:
    """Write a recipe over `logs` and `lake` in the test's folder; `more` is added, `swaps` made."""

    def write(more: str = "", swaps: dict[str, str] | None = None, name: str = "sums.toml") -> Path:
        text = RECIPE
        for old, new in (swaps or {}).items():
            assert old in text
            text = text.replace(old, new)
        path = tmp_path / name
        path.write_text(text + more)
        return path

    return write


def write_sums(folder: Path) -> Path:
    """Write a recipe over 150 good records in three log objects."""
    good = make_records(150, datetime(2026, 10, 1, 12, tzinfo=UTC))
    write_log_objects(folder / "logs", [good[:50], good[50:100], good[100:]])
    path = folder / "sums.toml"
    path.write_text(RECIPE)
    return path


@pytest.fixture
def sums(tmp_path: Path) -> Path:
    """`write_sums`, in the folder of the test."""
    return write_sums(tmp_path)


@pytest.fixture(scope="session")
def tree_digest() -> Callable[[Path], dict[str, str]]:
    """SHA-256 of every file below a folder, by its path."""

    def digest(folder: Path) -> dict[str, str]:
        return {
            path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }

    return digest
