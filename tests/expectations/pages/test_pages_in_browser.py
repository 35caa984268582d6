"""Every page, of releases that were built of hostile and private logs, in a real browser."""

from pathlib import Path

import polars as pl
import pytest
from support.browser import DESKTOP, PHONE, Browser, Size
from support.hostile_releases import (
    PRIVATE,
    WORDS,
    HostileReleases,
    build_hostile_releases,
    write_pages,
)
from support.hostile_texts import HOSTILE_TEXTS
from support.html import active_nodes

NAMES = ("report-full", "rejected", "index", "diff", "explain", "sheet")
VARIANTS = ("report-masked", "report-none")
SCRIPTS = {"sheet": 1}
CHECKED_ELSEWHERE = {("report-full", PHONE), ("rejected", DESKTOP)}
"""Axe-core takes its time for a report; the two have the same parts."""
WHITE, CONTRAST = "rgb(255, 255, 255)", "color-contrast"
DATASET_FILES = ("train.jsonl", "validation.jsonl")


@pytest.fixture(scope="session")
def releases(tmp_path_factory: pytest.TempPathFactory) -> HostileReleases:
    """Build the releases once for all tests."""
    return build_hostile_releases(tmp_path_factory.mktemp("hostile"))


@pytest.fixture(scope="session")
def pages(releases: HostileReleases, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Write the pages once for all tests."""
    return write_pages(releases, tmp_path_factory.mktemp("pages"))


def test_the_payloads_and_canaries_are_in_the_release(
    releases: HostileReleases, pages: dict[str, Path]
) -> None:
    """Else the other tests would prove nothing."""
    folder = Path(releases.newest.uri)
    dataset = "".join((folder / name).read_text() for name in DATASET_FILES)
    assert len(PRIVATE) == len(HOSTILE_TEXTS) == 40
    assert [canary for canary in PRIVATE if canary not in dataset] == []
    assert "window.hacked=1" in dataset
    full = pages["report-full"].read_text() + pages["sheet"].read_text()
    assert sum(canary in full for canary in PRIVATE) >= 25


@pytest.mark.parametrize("name", [*NAMES[:-1], *VARIANTS])
def test_the_policy_of_a_page_allows_only_what_is_ours(pages: dict[str, Path], name: str) -> None:
    faults = active_nodes(pages[name].read_text())
    links = [each for each in faults if each.startswith("href=") and each.endswith("/report.html")]
    assert faults == (links if name == "index" else [])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("size", "is_dark"), [(DESKTOP, False), (PHONE, True)])
def test_a_page_is_readable_and_safe(
    browser: Browser, pages: dict[str, Path], name: str, size: Size, *, is_dark: bool
) -> None:
    with browser.open(pages[name], size=size, is_dark=is_dark) as visit:
        assert visit.overflow() == 0
        assert visit.open_details() == visit.page.locator("details").count()
        assert visit.overflow() == 0
        assert visit.active_nodes(scripts=SCRIPTS.get(name, 0)) == []
        is_checked = (name, size) not in CHECKED_ELSEWHERE
        assert not is_checked or visit.violations() == []
        assert visit.console == visit.requests == []
        assert (visit.background() == WHITE) != is_dark
        visit.screenshot(f"{name}-{size.width}-{'dark' if is_dark else 'light'}")
        visit.switch_scheme(is_dark=not is_dark)  # which changes colours alone
        assert (visit.background() == WHITE) == is_dark
        assert not is_checked or visit.violations(CONTRAST) == []
        visit.screenshot(f"{name}-{size.width}-{'light' if is_dark else 'dark'}")


@pytest.mark.parametrize("name", [*NAMES, *VARIANTS])
def test_a_page_is_whole_without_scripts_and_prints(
    browser: Browser, pages: dict[str, Path], name: str
) -> None:
    with browser.open(pages[name], has_scripts=False, is_print=True) as visit:
        text = visit.page.inner_text("main")
        assert not {"\x1b", "\x9b", "\u202e", "\u200b", "\x00"} & set(text)
        assert visit.active_nodes(scripts=SCRIPTS.get(name, 0)) == []
        assert visit.console == visit.requests == []
        assert visit.pdf(name).startswith(b"%PDF")


def test_the_sheet_shows_every_line_without_scripts(
    browser: Browser, pages: dict[str, Path]
) -> None:
    with browser.open(pages["sheet"], has_scripts=False) as visit:
        lines = visit.page.locator("article")
        assert lines.count() > 50
        assert all(lines.nth(k).is_visible() for k in range(lines.count()))


def test_no_canary_leaves_the_dataset(releases: HostileReleases, pages: dict[str, Path]) -> None:
    folder, texts = Path(releases.newest.uri), dict[str, str]()
    texts |= {name: pages[name].read_text() for name in ("report-masked", "report-none")}
    texts |= {name: pages[name].read_text() for name in ("index", "diff", "explain", "rejected")}
    texts |= {path.name: path.read_text() for path in folder.glob("*.json")}
    texts |= {path.name: as_text(path) for path in folder.glob("*.parquet")}
    texts |= {"first report": (folder / "report.html").read_text(), "log": releases.log}
    assert {"manifest.json", "checks.json", "failures.json", "slices.parquet"} < texts.keys()
    leaks = [(name, each) for name, text in texts.items() for each in PRIVATE if each in text]
    assert leaks == []
    with_text = {"report-masked", "rejected", "first report"}  # masked, as the recipe says
    without_text = [name for name in texts if name not in with_text]
    assert "plus" not in texts["report-none"]
    words = [(name, each) for name in without_text for each in WORDS if each in texts[name]]
    assert words == []


def as_text(path: Path) -> str:
    """All values of a table."""
    return "\n".join(str(each) for row in pl.read_parquet(path).iter_rows() for each in row)
