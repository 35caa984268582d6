"""The report of a release that was built from hostile logs, and `sluice report`."""

import webbrowser
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.browser import PHONE, Browser
from support.builds import without_checks
from support.command_line import RECIPE
from support.html import HOSTILE, active_nodes
from support.logs import make_record, make_records, write_logs
from support.protocols import RunSluice

from bedrock_sluice.flows.context import open_context
from bedrock_sluice.flows.pipeline import build

pytest_plugins = ["support.browser"]

NOON = datetime(2026, 10, 1, 12, tzinfo=UTC)
EMAIL, PHONE_NUMBER, KEY = "canary.bird@example.org", "+14155550132", "AKIAIOSFODNN7EXAMQLE"
CANARIES = (EMAIL, PHONE_NUMBER, KEY)
LEFT_IN_LINES = '[privacy]\nsecrets = "report"\npersonal_data = "report"\n'


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build a release whose texts, metadata, model ids and request ids are hostile or private."""
    folder = tmp_path_factory.mktemp("hostile")
    hostile = [
        make_record(
            ask=f"{payload} What is {n} plus {n}? End with #### and the number.",
            reply=f"#### {2 * n}",
            request_id=f"{payload}-{n}",
            metadata={"app": payload, payload: "x"},
            modelId=f"{payload}",
            identity={"arn": payload},
            at=NOON,
        )
        for n, payload in enumerate(HOSTILE, start=1_000)
    ]
    private = [
        make_record(
            ask=f"Mail {EMAIL}, call {PHONE_NUMBER}, key {KEY}: what is {n} plus {n}? #### number",
            reply=f"#### {2 * n}",
            request_id=f"private-{n}",
            metadata={"app": f"{EMAIL} {PHONE_NUMBER} {KEY}"},
            at=NOON,
        )
        for n in range(2_000, 2_040)
    ]
    write_logs(folder / "logs", [make_records(60, NOON), hostile, private])
    path = folder / "sums.toml"
    path.write_text(RECIPE + LEFT_IN_LINES + "[curate]\nnear_duplicates = false\n")
    with without_checks(), open_context(path) as context:
        return Path(build(context).uri)


@pytest.fixture
def page(release: Path, sluice: RunSluice, tmp_path: Path) -> Path:
    """The page that `sluice report` writes about it."""
    path = tmp_path / "page.html"
    assert sluice("report", release, "--out", path, "--no-open").code == 0
    return path


def test_nothing_in_the_logs_becomes_active(page: Path, release: Path) -> None:
    for path in (page, release / "report.html"):
        text = path.read_text()
        assert active_nodes(text) == []
        assert "alert(1)" in text


@pytest.mark.parametrize("content", ["masked", "none"])
def test_no_canary_stands_on_the_page(
    release: Path, sluice: RunSluice, tmp_path: Path, content: str
) -> None:
    path, full = tmp_path / "page.html", tmp_path / "full.html"
    sluice("report", release, "--out", path, "--no-open", "--content", content)
    sluice("report", release, "--out", full, "--no-open", "--content", "full")
    assert [each for each in CANARIES if each in path.read_text()] == []
    assert [each for each in CANARIES if each in full.read_text()] == list(CANARIES)
    assert ("plus" in path.read_text()) == (content == "masked")


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


@pytest.mark.parametrize("has_scripts", [True, False])
def test_the_page_is_whole_in_a_browser(browser: Browser, page: Path, *, has_scripts: bool) -> None:
    with browser.open(page, has_scripts=has_scripts) as visit:
        assert visit.overflow() == 0
        assert visit.console == visit.requests == []
        assert visit.active_nodes() == []
        assert visit.open_details() == visit.page.locator("details").count() > 5
        visit.screenshot(f"report-desktop-{has_scripts}")


@pytest.mark.parametrize("is_dark", [True, False])
def test_the_page_is_readable_on_a_phone(browser: Browser, page: Path, *, is_dark: bool) -> None:
    with browser.open(page, size=PHONE, is_dark=is_dark) as visit:
        assert visit.open_details() > 5
        assert visit.overflow() == 0
        assert visit.violations() == []
        background = visit.page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (background == "rgb(255, 255, 255)") != is_dark
        visit.screenshot(f"report-phone-{is_dark}")


def test_the_title_and_the_page_number_stand_on_each_printed_page(
    browser: Browser, page: Path, release: Path
) -> None:
    with browser.open(page, is_print=True) as visit:
        assert visit.pdf("report").startswith(b"%PDF")
        style = visit.page.locator("style").first.text_content() or ""
    assert "@top-left" in style
    assert release.name.replace("-", "\\00002d") in style
