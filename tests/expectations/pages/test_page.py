"""The base of all pages: nothing loads, only our style and script count, all text is escaped."""

import pytest
from support.html import Page, active_nodes

from bedrock_sluice.expectations.pages.page import render_page

HOSTILE = [
    "<script>alert(1)</script>",
    "</style><script>alert(1)</script>",
    '"; } body { background: url(https://example.com) } @page { content: "',
    "</title><img src=x onerror=alert(1)>",
    "\\22 } * { color: red }",
]


@pytest.mark.parametrize("hostile", HOSTILE)
def test_a_hostile_title_stays_a_title(hostile: str) -> None:
    text = render_page("base.html.j2", title=hostile)
    page, plain = Page(text), Page(render_page("base.html.j2", title="plain"))
    assert page.tags == plain.tags
    assert page.text == plain.text.replace("plain", hostile)
    assert active_nodes(text) == []
    assert page.styles[0].count("}") == plain.styles[0].count("}")


def test_only_our_own_style_and_script_count() -> None:
    text = render_page("base.html.j2", title="plain", script="document.title = 'x < y'")
    assert Page(text).scripts == ["document.title = 'x < y'"]
    assert active_nodes(text) == []
    assert active_nodes(text.replace("x < y", "x > y")) == ["document.title = 'x > y'"]


def test_a_page_without_a_script_allows_none() -> None:
    page = Page(render_page("base.html.j2", title="plain"))
    assert "script-src" not in page.policy
    assert "script" not in page.tags


def test_what_does_not_print_is_replaced() -> None:
    page = Page(render_page("base.html.j2", title="a\u202eb\x1bc"))
    assert "a\ufffdb\ufffdc" in page.text
