"""Markdown that no value can break out of: keys and model ids are as hostile as their logs."""

import re
from collections.abc import Iterable
from importlib.resources import files

import msgspec
from jinja2 import Environment, StrictUndefined

from bedrock_sluice.transforms.printable import printable

MAX_VALUE_CHARS = 200  # of a value from outside; the rest is cut off
MAX_ITEMS = 20  # of a list of such values
PLACEHOLDER = "TO COMPLETE"

_SYNTAX = re.compile(r"([\\`*_\[\]<>#|~&$]|:(?=//)|(?<=www)\.)")
_BLOCK_START = re.compile(r"^((?:\d+(?=[.)]))?)([-+=.)])")


class Markdown(str):
    """Text that is Markdown already, and is written as it is."""

    __slots__ = ()


def plain(value: object) -> Markdown:
    """Return a value as text without markup, on one line."""
    text = _SYNTAX.sub(r"\\\1", _one_line(str(value)))
    return Markdown(_BLOCK_START.sub(r"\1\\\2", text))


def code(value: object) -> Markdown:
    """Return a value from outside as a code span: no markup, HTML or link in it is active."""
    text = _one_line(str(value)) or "(empty)"
    longest = max(map(len, re.findall("`+", text)), default=0)
    space = " " if longest else ""
    return Markdown(f"{'`' * (longest + 1)}{space}{text}{space}{'`' * (longest + 1)}")


def prose(text: str) -> Markdown:
    """Return text on one line: what stands between backticks is code, the rest without markup."""
    words = []
    for number, part in enumerate(text.split("`")):
        start, end = (" " if part[at:][:1].isspace() else "" for at in (0, -1))
        words.append(code(part) if number % 2 else f"{start}{plain(part)}{end}")
    return Markdown("".join(words).strip())


def cell(value: object) -> Markdown:
    """Return a value from outside as a code span in a table, where pipes are escaped."""
    return Markdown(code(value).replace("|", r"\|"))


def codes(values: Iterable[object]) -> Markdown:
    """Return values as code spans, the first `MAX_ITEMS` of them."""
    items = list(values)
    more = [f"{len(items) - MAX_ITEMS:,} more"] if len(items) > MAX_ITEMS else []
    return Markdown(", ".join([*map(code, items[:MAX_ITEMS]), *more]))


def as_json(value: object) -> Markdown:
    """Return a value as one line of JSON, which is a scalar of YAML too."""
    text = printable(value) if isinstance(value, str) else value
    return Markdown(msgspec.json.encode(text, order="deterministic").decode())


def to_complete(what: str) -> Markdown:
    """Return the mark of what a person has to write: a sentence of ours."""
    return Markdown(f"**{PLACEHOLDER}:** {what}")


def render(name: str, **values: object) -> bytes:
    """Fill in a template of this package; every value is escaped unless it is `Markdown`.

    `name` comes from code, never from data.
    """
    page = Environment(  # noqa: S701 - of Markdown, where `_finalize` escapes
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=_finalize,
    )
    page.filters |= {"code": code, "cell": cell, "codes": codes, "json": as_json}
    page.globals["to_complete"] = to_complete
    text = (files(__package__) / "templates" / name).read_text(encoding="utf-8")
    return page.from_string(text).render(**values).encode()


def _finalize(value: object) -> str:
    if isinstance(value, Markdown):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return plain(value)


def _one_line(text: str) -> str:
    line = " ".join(printable(text).split())
    return line if len(line) <= MAX_VALUE_CHARS else f"{line[:MAX_VALUE_CHARS]} …"
