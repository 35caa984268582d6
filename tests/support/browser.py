"""Pages in a real browser: Debian's Chromium, driven by playwright, with scripts on or off.

    def test_the_page_is_readable_on_a_phone(browser: Browser, tmp_path: Path) -> None:
        with browser.open(tmp_path / "report.html", size=PHONE, is_dark=True) as visit:
            assert visit.overflow() == 0
            assert visit.violations() == []
            assert visit.console == visit.requests == []
            visit.screenshot("report-phone-dark")

The Content-Security-Policy of the page stays in force: axe-core, and what tests evaluate, reach the
page past it. To look at the pages, set SLUICE_SCREENSHOTS to a folder.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import Page, Playwright, Request, sync_playwright

SCREENSHOTS = "SLUICE_SCREENSHOTS"
NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic"),
    *("--no-first-run", "--disable-background-networking", "--disable-component-update"),
    "--disable-sync",
)
OWN_SCHEMES = ("data:", "blob:", "about:")

_WIDTH_BEYOND = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
_OPEN_DETAILS = """() => {
    const all = [...document.querySelectorAll('details')];
    all.forEach(each => { each.open = true; });
    return all.filter(each => each.open).length;
}"""
_ACTIVE_NODES = r"""() => {
    const active = 'iframe, frame, object, embed, applet, base, foreignObject, portal, ' +
        'meta[http-equiv=refresh], link, audio, video, animate, set, form[action], template';
    const found = [...document.querySelectorAll(active)].map(each => each.localName);
    for (const element of document.querySelectorAll('*')) {
        for (const {name, value} of element.attributes) {
            const link = ['href', 'src', 'srcset', 'action', 'formaction', 'xlink:href', 'data'];
            const is_own = /^(#|data:image\/|[\w.%-]+(\/[\w.%-]+)*(#.*)?$|\.\.?\/)/.test(value);
            const is_foreign = link.includes(name) && !is_own;
            const fetches = name === 'style' && /url|expression|import/i.test(value);
            if (name.startsWith('on') || is_foreign || fetches) {
                found.push(`${element.localName} ${name}=${value.slice(0, 40)}`);
            }
        }
    }
    if (window.hacked !== undefined) found.push(`window.hacked = ${window.hacked}`);
    return found;
}"""
_AXE_RUN = """async (rules) => {
    const options = rules.length ? {runOnly: rules} : {};
    const result = await axe.run(document, {resultTypes: ['violations'], ...options});
    return result.violations.map(({id, help, nodes}) => ({
        id, help, nodes: nodes.map(node => node.target.join(' ') + ': ' + node.failureSummary)
    }));
}"""


class Size(NamedTuple):
    """The window of a visit, in CSS pixels."""

    width: int
    height: int


DESKTOP = Size(1280, 900)
PHONE = Size(400, 800)


class Visit:
    """A page that is open: `page` drives it, `console` and `requests` hold what it said and asked.

    `requests` are URLs other than the page's own; each is one too many in an offline page.
    """

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url
        self.console = list[str]()
        self.requests = list[str]()
        page.context.on("console", lambda message: self.console.append(message.text))
        page.context.on("weberror", lambda error: self.console.append(str(error.error)))
        page.context.on("request", self._add_request)

    def _add_request(self, request: Request) -> None:
        if request.url != self.url and not request.url.startswith(OWN_SCHEMES):
            self.requests.append(request.url)

    def overflow(self) -> int:
        """Return by how many pixels the page is wider than the window."""
        return int(self.page.evaluate(_WIDTH_BEYOND))

    def open_details(self) -> int:
        """Open every `details`, and return how many are open now."""
        return int(self.page.evaluate(_OPEN_DETAILS))

    def active_nodes(self, scripts: int = 0) -> list[str]:
        """Return elements and attributes that could run or fetch something.

        `scripts` is the number of `script` elements of our own that the page has; any other number
        is reported.
        """
        nodes: list[str] = self.page.evaluate(_ACTIVE_NODES)
        number = self.page.locator("script").count()
        return nodes if number == scripts else [*nodes, f"{number} script elements"]

    def switch_scheme(self, *, is_dark: bool) -> None:
        """Show the open page as a reader who prefers dark or light pages sees it."""
        self.page.emulate_media(color_scheme="dark" if is_dark else "light")

    def background(self) -> str:
        """Return the colour behind the page as CSS."""
        return str(self.page.evaluate("getComputedStyle(document.body).backgroundColor"))

    def violations(self, *rules: str) -> list[str]:
        """Return what axe-core finds wrong, one text for each kind; only with scripts on.

        All rules are checked, or only those with these ids.
        """
        self.page.evaluate(f"{AXE_SCRIPT};0")
        kinds: list[dict[str, Any]] = self.page.evaluate(_AXE_RUN, rules)
        return [f"{each['id']}: {each['help']}: {each['nodes'][:3]}" for each in kinds]

    def screenshot(self, name: str) -> None:
        """Write the whole page to NAME.png in the folder SLUICE_SCREENSHOTS, if that is set."""
        if folder := os.environ.get(SCREENSHOTS):
            self.page.screenshot(path=Path(folder, f"{name}.png"), full_page=True)

    def pdf(self, name: str) -> bytes:
        """Return the page as it is printed on A4; a copy goes where screenshots go."""
        content = self.page.pdf(format="A4", print_background=False)
        if folder := os.environ.get(SCREENSHOTS):
            Path(folder, f"{name}.pdf").write_bytes(content)
        return content


class Browser:
    """A running Chromium, which opens files."""

    def __init__(self, chromium: Chromium) -> None:
        self._chromium = chromium

    @contextmanager
    def open(
        self,
        path: Path,
        *,
        size: Size = DESKTOP,
        is_dark: bool = False,
        is_print: bool = False,
        has_scripts: bool = True,
    ) -> Iterator[Visit]:
        """Open a file in a fresh profile without a network, and close it at the end."""
        context = self._chromium.new_context(
            viewport={"width": size.width, "height": size.height},
            color_scheme="dark" if is_dark else "light",
            java_script_enabled=has_scripts,
            offline=True,
            accept_downloads=True,
        )
        try:
            page = context.new_page()
            if is_print:
                page.emulate_media(media="print")
            visit = Visit(page, path.absolute().as_uri())
            page.goto(visit.url)
            yield visit
        finally:
            context.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Start Chromium; skip the test where there is none, but fail in CI.

    Each module has its own, which takes a second: while playwright runs, its event loop is that of
    the thread, and tests of other modules need `asyncio.run`.
    """
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        message = "no Chromium on the PATH; CONTRIBUTING.md says how to install it"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    with sync_playwright() as playwright:
        chromium = _launch(playwright, program)
        yield Browser(chromium)
        chromium.close()


def _launch(playwright: Playwright, program: str) -> Chromium:
    if folder := os.environ.get(SCREENSHOTS):
        Path(folder).mkdir(parents=True, exist_ok=True)
    return playwright.chromium.launch(executable_path=program, args=list(FLAGS))
