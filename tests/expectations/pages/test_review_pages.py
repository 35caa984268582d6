"""The pages of releases, of changes and of one record, in a browser, with hostile texts in them."""

from pathlib import Path

import pytest
from support.browser import DESKTOP, PHONE, Browser, Size
from support.hostile_texts import HOSTILE_TEXTS

from bedrock_sluice.expectations.pages.review_pages import (
    RecordState,
    ReleaseState,
    render_diff,
    render_index,
    render_record,
)
from bedrock_sluice.transforms.review.comparison import (
    CHANGES,
    Comparison,
    LinesChanged,
    Shift,
    WordShift,
)

TEXTS = list(HOSTILE_TEXTS)
RELEASES = [
    ReleaseState(
        id=f"2026-11-{k + 1:02}-527776e00615",
        verdict="passed" if k % 2 else "rejected",
        records=2_000,
        train=1_000 - k,
        validation=100,
        decisions=[f"approved by {text}, 2026-11-28"],
        jobs=[f"job {text}: Completed"],
    )
    for k, text in enumerate(TEXTS)
] + [ReleaseState(id="2026-10-31-9d0c41f5be27", verdict="unreadable")]
COMPARISON = Comparison(
    lines_before=900,
    lines_after=1_000,
    equal_lines=800,
    changes={name: LinesChanged(7, []) for name in CHANGES}
    | {"added": LinesChanged(7, TEXTS, dict.fromkeys(TEXTS, 3))},
    shifts=[Shift(text, 0.3, 0.1, "shifted far", text, 12.5) for text in TEXTS],
    words=[WordShift(text, 0.1, 0.2, 5.0) for text in TEXTS],
)
FATES = [
    {
        **{"object": text, "line": 3, "request_id": text, "fate": "dropped", "stage": "curate"},
        **{"reason": text, "survivor": text, "detail": text, "message": text},
    }
    for text in TEXTS
]
RECORDS = [
    RecordState(recipe="tutor", release=RELEASES[0], fates=FATES),
    RecordState(recipe="tutor", release=RELEASES[1]),
]


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    texts = {
        "index": render_index(TEXTS[0], RELEASES),
        "diff": render_diff(TEXTS[6], TEXTS[10], COMPARISON),
        "record": render_record(TEXTS[35], RECORDS),
    }
    for name, text in texts.items():
        (folder / f"{name}.html").write_text(text, encoding="utf-8")
    return {name: folder / f"{name}.html" for name in texts}


@pytest.mark.parametrize("name", ["index", "diff", "record"])
@pytest.mark.parametrize(("size", "is_dark"), [(DESKTOP, False), (PHONE, True)])
def test_a_page_is_safe_and_readable(
    browser: Browser, pages: dict[str, Path], name: str, size: Size, *, is_dark: bool
) -> None:
    with browser.open(pages[name], size=size, is_dark=is_dark) as visit:
        assert visit.page.title()
        assert visit.open_details() == visit.page.locator("details").count()
        assert visit.overflow() == 0
        assert visit.active_nodes() == []
        assert visit.violations() == []
        assert visit.console == visit.requests == []
        visit.screenshot(f"{name}-{size.width}-{'dark' if is_dark else 'light'}")


@pytest.mark.parametrize("name", ["index", "diff", "record"])
def test_a_page_is_whole_without_scripts_and_prints(
    browser: Browser, pages: dict[str, Path], name: str
) -> None:
    with browser.open(pages[name], has_scripts=False, is_print=True) as visit:
        text = visit.page.inner_text("main")
        assert "<script>window.hacked=1</script>" in text
        assert "\x1b" not in text
        assert "\u202e" not in text
        assert visit.active_nodes() == visit.console == visit.requests == []
        assert visit.pdf(name).startswith(b"%PDF")


def test_the_index_links_each_report_and_shows_what_is_damaged(
    browser: Browser, pages: dict[str, Path]
) -> None:
    with browser.open(pages["index"]) as visit:
        links = visit.page.locator("main td a, main th a")
        assert links.count() == len(TEXTS)
        assert links.first.get_attribute("href") == f"{RELEASES[0].id}/report.html"
        last = visit.page.locator("tr", has_text=RELEASES[-1].id).first.inner_text()
        assert "unreadable" in last
