"""Digests of chat messages, by which the turns of one conversation are known again.

Every turn logs the whole history once more, and no id says that two records belong together. What
does not change from turn to turn are the messages: so each prompt carries the digests of all its
beginnings, whole, and those of the pairs by which a shortened history joins an earlier turn.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from functools import lru_cache
from hashlib import blake2b
from itertools import pairwise
from typing import NamedTuple

import polars as pl

from bedrock_sluice.transforms.chat.messages import Message

DIGEST_BYTES = 8  # fits a u64
MIN_PAIR_BYTES = 40  # of a turn and its answer; "Hi" and "Hello!" are not evidence of anything
HELD_WORDS = 1 << 18  # of one text, as objects of their own: some 60 bytes each

KEPT_SYSTEMS = 256  # whose digests are kept, for a few of them stand before most prompts
MAX_KEPT_CHARS = 1 << 16  # of a system message whose digest is kept

_MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?"
    r"|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\b\.?"
)
_DAY = r"\d{1,2}(?:st|nd|rd|th)?"
# What tells the time, or names a session, in a system message: numbers, and words in English.
_DATE = re.compile(
    r"\b(?:"
    r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z\b|[+-]\d\d:?\d\d)?)?"
    r"|\d{1,4}[./]\d{1,2}[./]\d{2,4}"
    r"|\d{1,2}:\d\d(?::\d\d)?(?:\s?[ap]\.?m\b\.?)?"
    rf"|{_DAY}\s+{_MONTH}(?:,?\s+\d{{4}})?|{_MONTH}\s+{_DAY}(?:,?\s+\d{{4}})?|{_MONTH}\s+\d{{4}}"
    r"|(?:mon|tues|wednes|thurs|fri|satur|sun)day|(?:mon|tue|wed|thu|fri|sat|sun)\b(?=,|\s+\d)"
    r"|[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}"
    r"|\d{10,}"
    r")",
    re.IGNORECASE | re.ASCII,
)
# Blanks as `str.split` knows them, but for a space alone. Rust's `\s` lacks four of them.
_ODD_BLANKS = r"[\s\x1c-\x1f]{2,}|[[\s\x1c-\x1f]--[ ]]"


class ConversationMarks(NamedTuple):
    """What tells where an exchange stands in its conversation; the numbers fit a u64.

    `path` has, for each message but the system's, the digest of all of them up to it: what was
    said, whatever the system message. `head` is the digest of the first turn that was answered at
    once, with its answer; `tail` that of the last turn and the logged response: where a client cut
    off what came before, `head` of a later exchange is `tail` of the one that it begins with. None
    where there is no such pair, or too little text in it.

    `system_digest` (hex) is that of the system message without dates, times and ids of sessions,
    which many system messages hold; `dated_system_digest` that of its whole text. None without one.
    """

    path: list[int]
    head: int | None
    tail: int | None
    system_digest: str | None
    dated_system_digest: str | None


def conversation_marks(messages: Sequence[Message], response: Message) -> ConversationMarks:
    """The marks of an exchange, in time linear in its text.

    Clients trim what they send back: Unicode is composed, and runs of blanks count as one. Ids of
    tool calls are left out, for some clients make them anew.
    """
    contents = [plain_text(message.content or "").encode() for message in (*messages, response)]
    return marks_of_contents(messages, response, contents)


def marks_of_contents(
    messages: Sequence[Message], response: Message, contents: Sequence[bytes]
) -> ConversationMarks:
    """Return `conversation_marks`; `contents` are the plain texts of the messages and the response.

    See `plain_texts`.
    """
    roles, texts = list[str](), list[bytes]()
    for message, content in zip(messages, contents, strict=False):
        if message.role != "system":
            roles.append(message.role)
            texts.append(_with_calls(message, content))
    without_dates = with_dates = None
    if len(texts) < len(messages):
        system = "\n".join([m.content or "" for m in messages if m.role == "system"])
        # The cache holds its keys: very long messages would fill the memory.
        digests = _text_digests if len(system) <= MAX_KEPT_CHARS else _text_digests.__wrapped__
        without_dates, with_dates = digests(system)
    return ConversationMarks(
        path=_path(roles, texts),
        head=_head(roles, texts),
        tail=_tail(roles, texts, _with_calls(response, contents[-1])),
        system_digest=without_dates,
        dated_system_digest=with_dates,
    )


def plain_text(text: str) -> str:
    """The text, composed, each run of blanks as one; of a long text, not all words are held."""
    rest = _compose(text)
    if len(rest) <= HELD_WORDS:
        return " ".join(rest.split())
    pieces = list[str]()
    while rest:
        words = rest.split(None, HELD_WORDS)
        rest = words.pop() if len(words) > HELD_WORDS else ""
        pieces.append(" ".join(words))
    return " ".join(pieces)


def plain_texts(texts: Iterable[str]) -> list[bytes]:
    """Return the `plain_text` of each text in UTF-8: several times faster for a column of them."""
    column = pl.DataFrame({"text": list(map(_compose, texts))}, schema={"text": pl.String})
    plain = pl.col("text").str.replace_all(_ODD_BLANKS, " ").str.strip_chars(" ")
    return column.select(plain.cast(pl.Binary)).to_series().to_list()


def _compose(text: str) -> str:
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def _with_calls(message: Message, content: bytes) -> bytes:
    """What a message says and calls. Plain text has no line ends, so they can part its pieces."""
    for call in message.tool_calls:
        function = call.function
        content += f"\n{plain_text(function.name)}\n{plain_text(function.arguments)}".encode()
    return content


def _path(roles: list[str], texts: list[bytes]) -> list[int]:
    state = blake2b(digest_size=DIGEST_BYTES)
    path = list[int]()
    for role, text in zip(roles, texts, strict=True):
        state.update(b"%s %d %s" % (role.encode(), len(text), text))
        path.append(int.from_bytes(state.digest()))
    return path


def _head(roles: list[str], texts: list[bytes]) -> int | None:
    for place, pair in enumerate(pairwise(roles)):
        if pair == ("user", "assistant"):
            return _pair(texts[place], texts[place + 1])
    return None


def _tail(roles: list[str], texts: list[bytes], answer: bytes) -> int | None:
    for role, text in zip(reversed(roles), reversed(texts), strict=True):
        if role == "user":
            return _pair(text, answer)
    return None


def _pair(request_digest: bytes, reply_digest: bytes) -> int | None:
    if not reply_digest or len(request_digest) + len(reply_digest) < MIN_PAIR_BYTES:
        return None
    # The length goes first: without it, a text moved from one to the other gives the same bytes.
    pair = b"%d %s%s" % (len(request_digest), request_digest, reply_digest)
    return int.from_bytes(blake2b(pair, digest_size=DIGEST_BYTES).digest())


@lru_cache(KEPT_SYSTEMS)
def _text_digests(text: str) -> tuple[str | None, str | None]:
    """The digests of a text without what tells the time, and of the whole."""
    without_dates, with_dates = (plain_text(each).encode() for each in (_DATE.sub(" ", text), text))
    return _digest(without_dates), _digest(with_dates)


def _digest(text: bytes) -> str | None:
    return blake2b(text, digest_size=DIGEST_BYTES).hexdigest() if text.strip() else None
