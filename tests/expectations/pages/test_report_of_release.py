"""The report of a release, as the build and `sluice report` write it."""

import webbrowser
from pathlib import Path

import pytest
from support.browser import Browser
from support.builds import without_checks
from support.command_line import write_sums
from support.protocols import RunSluice

from bedrock_sluice.flows.context import open_context
from bedrock_sluice.flows.pipeline import build

pytest_plugins = ["support.browser"]


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build a release."""
    path = write_sums(tmp_path_factory.mktemp("sums"))
    with without_checks(), open_context(path) as context:
        return Path(build(context).uri)


@pytest.fixture
def page(release: Path, sluice: RunSluice, tmp_path: Path) -> Path:
    """The page that `sluice report` writes about it."""
    path = tmp_path / "page.html"
    assert sluice("report", release, "--out", path, "--no-open").code == 0
    return path


def test_the_page_is_the_same_each_time_and_shows_decisions(
    page: Path, release: Path, sluice: RunSluice, tmp_path: Path
) -> None:
    again = tmp_path / "again.html"
    sluice("report", release, "--out", again, "--no-open")
    assert again.read_bytes() == page.read_bytes()
    first_page = (release / "report.html").read_text()
    lake_place = f"LAKE/releases/sums/{release.name}"
    assert page.read_text().replace(str(release), lake_place) == first_page
    assert "Nobody has decided about this release yet" in first_page
    sluice("approve", release, "--by", "R. Viewer")
    sluice("report", release, "--out", again, "--no-open")
    assert "Approved by R. Viewer" in again.read_text()


def test_the_page_opens_in_a_browser(
    release: Path, sluice: RunSluice, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    urls = list[str]()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(webbrowser, "open", urls.append)
    result = sluice("report", release.parents[3] / "sums.toml")
    path = Path(result.out.strip())
    assert result.code == 0
    assert urls == [path.as_uri()]
    assert release.name in path.read_text()


def test_the_title_and_the_page_number_stand_on_each_printed_page(
    browser: Browser, page: Path, release: Path
) -> None:
    with browser.open(page, is_print=True) as visit:
        assert visit.pdf("report").startswith(b"%PDF")
        style = visit.page.locator("style").first.text_content() or ""
    assert "@top-left" in style
    assert release.name.replace("-", "\\00002d") in style
