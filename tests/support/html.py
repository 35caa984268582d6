"""HTML as a browser reads it: what stands in a page, and whether any of it could run or load."""

import re
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser

LOADING = {"src", "srcset", "action", "formaction", "data", "poster", "background", "xlink:href"}
RUNNING = {"iframe", "object", "embed", "base", "form", "link", "applet", "frame", "foreignobject"}


EVENTS = ("onload", "onerror", "onclick", "onmouseover", "onfocus", "ontoggle")
HOSTILE = [
    "<script>alert(1)</script>",
    "</script><script>alert(1)</script>",
    "<ScRiPt src=https://example.com/x.js></sCrIpT>",
    *(f'"><img src=x {event}=alert(1)>' for event in EVENTS),
    *(f"' {event}='alert(1)" for event in EVENTS),
    *(f"<svg {event}=alert(1)>" for event in EVENTS),
    "</td></table><svg><script>alert(1)</script></svg>",
    "</style><iframe src=javascript:alert(1)>",
    "</title><base href=https://example.com/>",
    "</pre></code></details><form action=https://example.com><input>",
    "</summary><object data=x></object>",
    "</h2></section></main><embed src=x>",
    '<meta http-equiv="refresh" content="0;url=https://example.com">',
    "<link rel=stylesheet href=https://example.com/x.css>",
    "<a href=javascript:alert(1)>approve</a>",
    "<a href=https://example.com>",
    "javascript:alert(1)",
    "data:text/html,<script>alert(1)</script>",
    "{{ 7 * 7 }}{% raw %}",
    "{% include 'page.css' %}",
    "${alert(1)}`",
    "&lt;script&gt;&#x3c;b&#62;",
    "<!--",
    "--><script>alert(1)</script>",
    "]]><script>alert(1)</script>",
    '"; } body { background: url(https://example.com) } @page { content: "',
    "<math><mtext></mtext><mglyph><style><!--</style><img src=x onerror=alert(1)>",
    "<template><script>alert(1)</script></template>",
    '<details open ontoggle=alert(1)>"',
]
"""Payloads of 40 kinds: none may become an element, an attribute, a link or a rule."""


class Page(HTMLParser):
    """The elements, attributes and texts of a page."""

    def __init__(self, text: str) -> None:
        """Read a page."""
        super().__init__()
        self.tags = list[str]()
        self.attributes = list[tuple[str, str | None]]()
        self.text = ""
        self.scripts, self.styles = list[str](), list[str]()
        self._open = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element."""
        self._open = tag
        self.tags.append(tag)
        self.attributes.extend(attrs)

    def handle_data(self, data: str) -> None:
        """Note text."""
        if self._open == "script":
            self.scripts.append(data)
        elif self._open == "style":
            self.styles.append(data)
        else:
            self.text += data

    def handle_endtag(self, tag: str) -> None:
        """Note the end of a script or a style."""
        self._open = ""

    @property
    def policy(self) -> str:
        """The Content-Security-Policy."""
        return next(value or "" for _, value in self.attributes if "default-src" in (value or ""))


def active_nodes(text: str) -> list[str]:
    """Return what of a page could run code or load something, other than our own script and style.

    Scripts and styles are ours if the policy of the page holds their digest.
    """
    page = Page(text)
    faults = [tag for tag in page.tags if tag in RUNNING]
    for code in (*page.scripts, *page.styles):
        if b64encode(sha256(code.encode()).digest()).decode() not in page.policy:
            faults.append(code[:40])
    for name, value in page.attributes:
        target = re.sub(r"\s", "", value or "").lower()
        is_outward = name in {"href", *LOADING} and not target.startswith(("#", "data:image/"))
        if name.startswith("on") or name == "style" or is_outward or "javascript:" in target:
            faults.append(f"{name}={value}")
    if "'unsafe-inline'" in page.policy or not page.policy.startswith("default-src 'none'"):
        faults.append(page.policy)
    return faults
