"""Folders of logs, recipes over them, and the command line run as a user would."""

import hashlib
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from bedrock_sluice.cli import app

Json = dict[str, Any]

REGION = "AWSLogs/111122223333/BedrockModelInvocationLogs/us-east-1"
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


class Ran(NamedTuple):
    """What a command came to."""

    code: int
    out: str
    err: str


@pytest.fixture
def sluice(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., Ran]:
    """Run the command line in this process."""
    monkeypatch.setattr("signal.signal", lambda *_: None)

    def run(*arguments: object) -> Ran:
        capfd.readouterr()
        monkeypatch.setattr(sys, "argv", ["sluice", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            app.main()
        sys.stdout.flush()
        code = ended.value.code
        return Ran(code if isinstance(code, int) else int(code is not None), *capfd.readouterr())

    return run


@pytest.fixture(scope="session")
def write_logs(
    log_object: Callable[[Sequence[Json | bytes]], bytes],
) -> Callable[..., None]:
    """Write records, or the bytes of whole objects, as log objects in Bedrock's layout."""

    def write(
        folder: Path, objects: Sequence[Sequence[Json | bytes] | bytes], hour: str = "2026/10/01/12"
    ) -> None:
        for number, content in enumerate(objects):
            raw = content if isinstance(content, bytes) else log_object(content)
            stamp = hour.replace("/", "")
            name = f"{stamp[:8]}T{stamp[8:]}0000000Z_{number:016x}.json.gz"
            path = folder / REGION / hour / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(raw)

    return write


@pytest.fixture
def recipe(tmp_path: Path) -> Callable[..., Path]:
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


@pytest.fixture
def sums(
    tmp_path: Path,
    write_logs: Callable[..., None],
    records: Callable[..., list[Json]],
    recipe: Callable[..., Path],
) -> Path:
    """A recipe over 150 good records in three log objects."""
    good = records(150, datetime(2026, 10, 1, 12, tzinfo=UTC))
    write_logs(tmp_path / "logs", [good[:50], good[50:100], good[100:]])
    return recipe()


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
