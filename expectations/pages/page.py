"""Render one page: self-contained, escaped, and the same bytes for the same values.

A page is a template that extends `base.html.j2`. Its style, and its script if it has one, stand in
the page; the Content-Security-Policy names their digests, so a browser runs and loads nothing else.
"""

import re
from base64 import b64encode
from collections.abc import Iterable
from functools import cache
from hashlib import sha256
from importlib.resources import files

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup, escape

from bedrock_sluice.transforms.printable import printable

STYLE = "page.css"
TITLE_CHARACTERS = 120  # in the margin of a printed page
SMALLEST_SHARE = 0.0005  # less would be rounded to 0.0%
_CODE = re.compile(r"`([^`]+)`")


def render_page(
    template: str, *, title: str, script: str = "", style: str = "", **values: object
) -> str:
    """Return the HTML of a template beside this file, which extends `base.html.j2`.

    `title` is the title of the window, and stands on each printed page. `script` is JavaScript of
    ours, or nothing; the page must be complete without it. `style` is CSS of ours that follows that
    of all pages. `values` are the template's variables.
    All text in them is escaped; only `markupsafe.Markup` is taken as HTML.
    """
    css = f"{page_resource(STYLE)}\n{style}{_running_title(title)}\n"
    return (
        _environment()
        .get_template(template)
        .render(
            title=title,
            policy=_policy(css, script),
            style=Markup(css),  # noqa: S704 - ours; the title in it is escaped for CSS
            script=Markup(script),  # noqa: S704 - ours
            **values,
        )
    )


def _policy(style: str, script: str) -> str:
    """Return the Content-Security-Policy of a page with this style and this script."""
    parts = ["default-src 'none'", f"style-src '{_source(style)}'", "img-src data:"]
    if script:
        parts.append(f"script-src '{_source(script)}'")
    return "; ".join([*parts, "base-uri 'none'", "form-action 'none'"])


def _source(text: str) -> str:
    return f"sha256-{b64encode(sha256(text.encode()).digest()).decode()}"


def _running_title(title: str) -> str:
    """Return the CSS that prints the title and the page number on each page."""
    text = printable(title)[:TITLE_CHARACTERS]
    content = "".join(c if c.isascii() and c.isalnum() else f"\\{ord(c):06x}" for c in text)
    return (
        f'@page {{ @top-left {{ content: "{content}" }} '
        '@top-right { content: counter(page) " / " counter(pages) } }'
    )


@cache
def _environment() -> Environment:
    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_make_printable,
        loader=FunctionLoader(page_resource),
    )
    # jinja's own `join` returns escaped text, which `finalize` would leave as it is.
    environment.filters["join"] = _join
    environment.filters["number"] = format_number
    environment.filters["percent"] = format_percent
    environment.filters["code"] = _mark_code
    environment.filters["sentence"] = _as_sentence
    return environment


def page_resource(name: str) -> str:
    """Return the text of a file beside this one; `name` comes from code, never from data."""
    return (files(__package__) / name).read_text(encoding="utf-8")


def _make_printable(value: object) -> object:
    """Replace control and bidirectional characters, which no browser should get."""
    return printable(value) if type(value) is str else value


def _join(values: Iterable[object], separator: str = ", ") -> str:
    return separator.join(str(value) for value in values)


def _mark_code(text: str) -> Markup:
    """Return a text in which `code` between backticks is an element; the rest is escaped."""
    parts = _CODE.split(printable(text))
    pieces = [escape(each) for each in parts]
    pieces[1::2] = [Markup("<code>{}</code>").format(each) for each in parts[1::2]]
    return Markup("").join(pieces)


def _as_sentence(text: str) -> str:
    """Return a text that begins with a capital letter."""
    return text[:1].upper() + text[1:]


def format_number(number: float | None) -> str:
    """Return a number with separators of thousands, four digits of a fraction; – for none."""
    if number is None:
        return "–"
    return f"{number:,}" if isinstance(number, int) else f"{number:,.4g}"


def format_percent(share: float | None) -> str:
    """Return a share from 0 to 1 in percent, with one decimal; – for none."""
    if share is None:
        return "–"
    return "<0.1%" if 0 < share < SMALLEST_SHARE else f"{share:.1%}"
