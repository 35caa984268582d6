"""How deep and how wide JSON may be, told before it is parsed: a parser recurses, and keeps keys.

Counting bytes bounds both, and settles it for nearly every text. The others are measured in a few
passes over their bytes, without recursion.
"""

import re
from array import array
from itertools import accumulate

from bedrock_sluice.transforms.errors import InputError
from bedrock_sluice.transforms.reasons import Reason

MAX_JSON_DEPTH = 128  # objects and arrays inside each other; parsers can recurse some hundreds deep
MAX_KEYS = 100_000  # keys of objects and elements of arrays in a log line
MAX_BODY_KEYS = 500_000  # in a body stored apart or as text: streams have a dozen for each token

_BYTES_PER_KEY = 2  # at least: an element and its comma
_QUOTES_PER_KEY = 4  # at most: those of a key and its value

_ESCAPED = re.compile(rb"""\\["\\]""")
_STRING = re.compile(rb'"[^"]*+"?')  # no quote in it is escaped any more; a torn one has one quote
_BLANKS = b" \t\r\n"
_STEPS = bytes(1 if byte in b"{[" else 0xFF for byte in range(256))  # array("b") reads 0xFF as -1
_NO_BRACKETS = bytes(set(range(256)) - set(b"{}[]"))

# What an escape may say (a backslash; both halves of a surrogate pair; the first half, where the
# text breaks off within the pair), and one half of a pair, which is not a character.
_SOUND = re.compile(
    rb"""\\\\ | \\u[dD][89abAB][0-9a-fA-F]{2}
                (?: \\u[dD][c-fC-F][0-9a-fA-F]{2} | (?: \\(?:u[0-9a-fA-F]{0,3})? )?\Z )""",
    re.VERBOSE,
)
_HALF = re.compile(rb"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")


def check_limits(text: bytes, max_keys: int = MAX_KEYS) -> None:
    """Refuse JSON deeper than `MAX_JSON_DEPTH`, or with more than `max_keys` keys and elements.

    What is no JSON is refused by what it would be, or passes: the parser will tell.

    Raises:
        InputError: the text is over one of the limits.
    """
    open_brackets = text.count(b"{") + text.count(b"[")
    may_be_wide = len(text) > _BYTES_PER_KEY * max_keys
    if open_brackets <= MAX_JSON_DEPTH and not (
        may_be_wide and open_brackets + text.count(b",") > max_keys
    ):
        return  # as nearly all texts are, by counts that include what strings hold
    plain_bytes = _ESCAPED.sub(b"", text)
    if plain_bytes.count(b'"') > _QUOTES_PER_KEY * (max_keys + 1):  # also bounds the next step
        raise InputError(Reason.DECODE_TOO_MANY_KEYS)
    bare = _STRING.sub(b"0", plain_bytes)
    steps = array("b", bare.translate(_STEPS, _NO_BRACKETS))
    if max(accumulate(steps), default=0) > MAX_JSON_DEPTH:
        raise InputError(Reason.DECODE_TOO_DEEP)
    bare = bare.translate(None, _BLANKS)
    # One key for each comma, and one for each object and array that is not empty.
    nonempty = bare.count(b"{") + bare.count(b"[") - bare.count(b"{}") - bare.count(b"[]")
    if bare.count(b",") + nonempty > max_keys:
        raise InputError(Reason.DECODE_TOO_MANY_KEYS)


def has_lone_surrogate(text: bytes) -> bool:
    """Whether JSON escapes half of a surrogate pair alone, which no UTF-8 can hold."""
    return _HALF.search(_SOUND.sub(b"", text)) is not None
