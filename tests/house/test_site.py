"""The documentation site: it builds without a warning, has every page, and loads nothing."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_every_page_is_in_the_navigation() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").split("\nnav:")[1]
    pages = {page.name for page in (ROOT / "docs").glob("*.md")}
    assert set(re.findall(r"[\w-]+\.md", navigation)) == pages


def test_the_site_builds_and_loads_nothing_from_other_hosts(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs", reason="the environment was made before mkdocs was added")
    subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", tmp_path],
        cwd=ROOT,
        check=True,
    )
    files = [p for p in tmp_path.rglob("*") if p.suffix in {".html", ".css", ".js"}]
    loads = re.compile(
        r"(?:<script[^>]+src=|<link[^>]+href=|<img[^>]+src=|url\()[\"']?(?:https?:)?//"
    )
    assert len(files) > 10
    assert [p.name for p in files if loads.search(p.read_text(encoding="utf-8"))] == []
