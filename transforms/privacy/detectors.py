r"""Detectors: how values of a kind are found, cheaply in a column of texts and exactly in one text.

A prefilter is a pattern of Rust's regex, which reads a column at hundreds of megabytes a second. It
must match each text in which the exact code finds a value, and may match others: it leaves out
lookarounds, check digits and upper bounds. It reads texts as they are, where the exact code sees
`detection.plain_view`, or a string that was decoded from JSON; the fragments below allow for that:

- a quote, a slash or a blank of the exact pattern may be escaped (`\"`, `\/`, `\t`);
- a line end may be `\n`, and a control character `\u001c`, so a letter may stand before a value;
- backslashes double with each level of JSON in JSON, so a repeat of them has no upper bound;
- a number in JSON stands without the quotes that the exact code sees around it.
"""

import re
from collections.abc import Callable, Iterable
from typing import NamedTuple


class Finding(NamedTuple):
    """A value of one kind, at `text[start:end]`."""

    kind: str
    start: int
    end: int


class Detector(NamedTuple):
    """Find values exactly with `find`, in texts that the `prefilter` matches.

    `find` takes a text without escapes, and returns findings in any order, which may overlap.
    """

    find: Callable[[str], Iterable[Finding]]
    prefilter: str

    @property
    def name(self) -> str:
        """The name of the exact function, such as `find_emails`."""
        return self.find.__name__


# --- fragments of prefilters ---------------------------------------------------------------------

QUOTES = r"""["'`\\]*"""
BLANKS = r"""(?:\\t|[ \t"'`\]\\])*"""
"""Blanks and quotes, and a bracket that closes an index."""
ASSIGNED = (
    rf"""(?:{BLANKS}[:=>][=>*]*|{BLANKS}\{{[^{{}}]*default{BLANKS}="""
    r"""|(?:\\[nrtbf]|\\u[0-9a-fA-F]{4}|[\s\x1c-\x1f,"'`\\])*"""
    rf"""value{BLANKS}[:=]){BLANKS}"""
)
"""What stands between a name and its value, see `password_kinds.ASSIGNED`."""
LINE = r"(?:[^\\\n|;]|\\+[^\\n])*"
"""The rest of a command."""
NO_ASCII_SPACE = r"""[^ \t\n\r\x0b\x0c"'`]"""
NON_ASCII = r"\x{80}-\x{10FFFF}"
"""Python and Rust disagree on a few letters, so all of other scripts pass."""


def not_after(chars: str) -> str:
    """Return a pattern of what may stand before a value: none of the ASCII `chars`, but escapes."""
    return rf"(?:^|[^{chars}]|\\(?:u[0-9a-fA-F]{{4}}|[nrtbf]))"


def any_case(words: str) -> str:
    """Return a pattern of the words as Python matches them with IGNORECASE, which folds more i."""
    return f"(?i:{words.replace('i', '[iıİ]')})"


# --- helpers of exact detectors ------------------------------------------------------------------

_LOOK_BACK = 64  # chars


def is_after(words: re.Pattern[str], match: re.Match[str]) -> bool:
    """Whether words that tell end where the match begins."""
    start = match.start()
    return words.search(match.string, max(0, start - _LOOK_BACK), start) is not None


def has_any(folded_text: str, hints: Iterable[str]) -> bool:
    """Whether a case-folded text has one of these: far cheaper than a pattern that needs it."""
    return any(hint in folded_text for hint in hints)


def word_starts(text: str, words: Iterable[str]) -> list[int]:
    """Where these words stand in the text, ascending: found faster than by a pattern of them."""
    starts = list[int]()
    for word in words:
        start = text.find(word)
        while start >= 0:
            starts.append(start)
            start = text.find(word, start + len(word))
    return sorted(starts)
