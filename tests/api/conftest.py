"""A folder with the demo in it, as the examples of the documentation expect it."""

from pathlib import Path

import pytest

from bedrock_sluice import Release, build
from bedrock_sluice.demo.logs import demo_files

RECORDS = 600


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder that holds `sluice-demo`, and `records.jsonl` with two records of it."""
    folder = tmp_path_factory.mktemp("api")
    for name, content in demo_files(RECORDS):
        path = folder / "sluice-demo" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


@pytest.fixture(scope="session")
def release(demo: Path) -> Release:
    """Return a release of the demo."""
    return build(demo / "sluice-demo" / "recipe.toml")


@pytest.fixture
def in_demo(demo: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in the folder of the demo."""
    monkeypatch.chdir(demo)
    return demo
