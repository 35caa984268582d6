"""The browser of page tests reports what a page must not do."""

from collections.abc import Callable
from html import escape
from pathlib import Path

import pytest
from support.browser import DESKTOP, PHONE, Browser
from support.hostile_texts import HOSTILE_TEXTS

PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>A page</title>
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<style>body { color: black; background: white; overflow-wrap: anywhere }
@media (prefers-color-scheme: dark) { body { color: white; background: black } }</style></head>
<body><main><h1>A page</h1>CONTENT
<details><summary>More</summary>text</details></main></body></html>"""

WritePage = Callable[[str], Path]


@pytest.fixture
def write_page(tmp_path: Path) -> WritePage:
    def write(content: str) -> Path:
        path = tmp_path / "page.html"
        path.write_text(PAGE.replace("CONTENT", content), encoding="utf-8")
        return path

    return write


def test_a_sound_page_has_nothing_to_report(browser: Browser, write_page: WritePage) -> None:
    path = write_page("<p>text</p>" + "".join(f"<p>{escape(each)}</p>" for each in HOSTILE_TEXTS))
    for size in (DESKTOP, PHONE):
        with browser.open(path, size=size) as visit:
            assert visit.overflow() == 0
            assert visit.open_details() == 1
            assert visit.active_nodes() == visit.violations() == []
            assert visit.console == visit.requests == []
    with browser.open(path, is_print=True) as visit:
        assert visit.pdf("page").startswith(b"%PDF")


def test_requests_console_messages_and_overflow_are_reported(
    browser: Browser, write_page: WritePage
) -> None:
    path = write_page('<div style="width: 700px">wide</div><img src="https://example.com/x.png">')
    with browser.open(path, size=PHONE) as visit:
        assert visit.overflow() > 200
        assert visit.requests == ["https://example.com/x.png"]
        assert "Content Security Policy" in visit.console[0]
        assert "image-alt" in visit.violations()[0]
        assert visit.active_nodes() == ["img src=https://example.com/x.png"]


@pytest.mark.parametrize("is_dark", [False, True])
def test_the_colour_scheme_reaches_the_page(
    browser: Browser, write_page: WritePage, *, is_dark: bool
) -> None:
    with browser.open(write_page(""), is_dark=is_dark) as visit:
        colour = visit.page.evaluate("getComputedStyle(document.body).color")
        assert colour == ("rgb(255, 255, 255)" if is_dark else "rgb(0, 0, 0)")


def test_what_is_not_escaped_is_active(browser: Browser, write_page: WritePage) -> None:
    starts = ("<script>", "<a href", "<object", "<base", "<link", "<video", "<div style")
    texts = [text for text in HOSTILE_TEXTS if text.startswith(starts)]
    with browser.open(write_page("\n".join(texts))) as visit:
        tags = {node.split(" ")[0] for node in visit.active_nodes()}
    assert tags == {"a", "base", "div", "embed", "link", "object", "source", "video", "1"}
