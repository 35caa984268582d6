"""Log objects to lines: gzip or plain, NDJSON, a JSON array, or pretty-printed objects.

The compressed bytes are checked whole (CRC and length of each gzip member) before the first line is
given out, so that a damaged object yields nothing at all.
Format: AWS user guide, "Monitor model invocation using CloudWatch Logs and Amazon S3".
"""

import io
import re
from codecs import BOM_UTF8
from collections.abc import Iterator

import msgspec
from isal.igzip import open as gzip_open
from isal.igzip_lib import DECOMP_GZIP, IgzipDecompressor, IsalError

from bedrock_sluice.transforms.errors import InputError
from bedrock_sluice.transforms.reasons import Reason

MAX_OBJECT_BYTES = 256 << 20  # decompressed; Bedrock's own objects hold a few MB
MAX_OBJECT_LINES = 500_000  # blank ones too; a record takes some hundred bytes at the least
MAX_LISTED_REJECTS = 10_000  # of one object; more of them count as one
MAX_ARRAY_COMMAS = 2_000_000  # in an object that is one JSON array
MAX_LINE_BYTES = 32 << 20
HELD_BYTES = 64 << 20  # objects up to this size, decompressed, are held; larger ones are read twice
MAX_MEMBER_BYTES = 16 << 20  # decompressed at once
CHUNK_BYTES = 1 << 20
HEAD_BYTES = 4_096  # which tell whether an object is pretty-printed

GZIP_MAGIC = b"\x1f\x8b"
_DAMAGED: tuple[type[Exception], ...] = (EOFError, OSError, IsalError)  # type: ignore[assignment]
_UTF16_BOMS = (b"\xff\xfe", b"\xfe\xff")

# Where an object follows another without a line end. No JSON holds it: in a text, the quote would
# end the text, and no letter follows that.
_SEAM = re.compile(rb'\}(?=\{"\w)')
_SEAM_START, _SEAM_BYTES = b'}{"', 4

Line = tuple[int, bytes | Reason]  # line number from 1, and its bytes or why they can't be had


class _Object(msgspec.Struct, gc=False):
    """Any JSON object; it takes little memory, and nothing of it is kept."""


_OBJECTS = msgspec.json.Decoder(list[_Object])


def read_lines(raw: bytes, *, separate_objects: bool = False) -> Iterator[Line]:
    """Yield the non-blank lines of one object, numbered from 1.

    In a JSON array the number is that of the element; of a pretty-printed object, its first line's.
    JSON objects that follow each other on one line count as lines if `separate_objects`.

    Raises:
        InputError: the object as a whole is empty, damaged, too large or in another encoding.
    """
    if not raw:
        raise InputError(Reason.PULL_EMPTY_OBJECT)
    whole = _hold(raw)
    if whole is not None and whole.startswith(GZIP_MAGIC):  # Firehose packs what came packed
        raw, whole = whole, _hold(whole)
    head = next(_chunks(raw), b"") if whole is None else whole
    if head.startswith(_UTF16_BOMS):
        raise InputError(Reason.DECODE_BAD_ENCODING, "the object is UTF-16, not UTF-8")
    start = head.removeprefix(BOM_UTF8)[:HEAD_BYTES].lstrip()
    if whole is not None and start.startswith(b"["):
        return _elements(whole.removeprefix(BOM_UTF8))
    chunks = iter([whole]) if whole is not None else _chunks(raw)
    lines = _split(_separate(chunks) if separate_objects else chunks)
    first = next((line for line in start.splitlines() if b"{" in line), b"")
    return _gather(lines) if _opens(first.rstrip()) else lines


def _opens(line: bytes) -> bool:
    """Whether a pretty-printed object begins on a line: alone, or after the time of its event."""
    return line == b"{" or line.endswith(b" {")


def read_whole(raw: bytes) -> bytes:
    """All bytes of one object, decompressed, up to `HELD_BYTES`.

    Raises:
        InputError: the object is damaged or too large.
    """
    whole = _hold(raw)
    if whole is None:
        raise InputError(Reason.PULL_OBJECT_TOO_LARGE, f"more than {HELD_BYTES} bytes")
    return whole


def is_whole_gzip(raw: bytes) -> bool:
    """Whether the bytes are gzip, and each member checks out: then they are what was written."""
    try:
        return raw.startswith(GZIP_MAGIC) and all(True for _ in _chunks(raw))
    except InputError:
        return False


def _hold(raw: bytes) -> bytes | None:
    """All decompressed bytes, or None if they are too many to hold; checks every CRC on the way."""
    whole: list[bytes] | None = []
    total = lines = 0
    for chunk in _chunks(raw):
        total += len(chunk)
        lines += chunk.count(b"\n") + chunk.count(_SEAM_START)
        if total > MAX_OBJECT_BYTES or lines > MAX_OBJECT_LINES:
            detail = f"more than {MAX_OBJECT_BYTES} bytes or {MAX_OBJECT_LINES} lines"
            raise InputError(Reason.PULL_OBJECT_TOO_LARGE, detail)
        if total > HELD_BYTES:
            whole = None
        if whole is not None:
            whole.append(chunk)
    return None if whole is None else b"".join(whole)


def _chunks(raw: bytes) -> Iterator[bytes]:
    """Decompress all gzip members in bounded chunks; other bytes pass as they are."""
    whole = _single_member(raw) if raw.startswith(GZIP_MAGIC) else raw
    if whole is not None:
        yield whole
        return
    try:
        with gzip_open(io.BytesIO(raw)) as members:  # type: ignore[no-untyped-call]
            while chunk := members.read(CHUNK_BYTES):
                yield chunk
    except _DAMAGED:
        raise InputError(Reason.PULL_CORRUPT_GZIP, "the gzip data do not check out") from None


def _single_member(raw: bytes) -> bytes | None:
    """What nearly every object is: one gzip member that checks out and is not large; else None.

    The reader of whole files takes several times as long to set up, as long as some objects take.
    """
    member = IgzipDecompressor(flag=DECOMP_GZIP)
    try:
        whole: bytes = member.decompress(raw, MAX_MEMBER_BYTES)
    except _DAMAGED:
        return None  # the reader of whole files decides
    return whole if member.eof and not member.unused_data else None


def _separate(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Put a line end between objects that follow each other without one."""
    rest = b""
    for chunk in chunks:
        text = rest + chunk if rest else chunk
        if _SEAM_START in text:
            text = _SEAM.sub(b"}\n", text)
        rest = text[1 - _SEAM_BYTES :]  # a seam may begin in it, and end in the next chunk
        yield text[: 1 - _SEAM_BYTES]
    yield rest


def _split(chunks: Iterator[bytes]) -> Iterator[Line]:
    number, carry, is_too_long = 1, b"", False
    for chunk in chunks:
        *whole, tail = chunk.split(b"\n")
        for piece in whole:
            line = _line(number, carry + piece, is_too_long)
            if line:
                yield number, line
            number, carry, is_too_long = number + 1, b"", False
        carry += tail
        if len(carry) > MAX_LINE_BYTES:
            carry, is_too_long = b"", True
    line = _line(number, carry, is_too_long)
    if line:
        yield number, line


def _line(number: int, piece: bytes, is_too_long: bool) -> bytes | Reason:
    """A line without the blanks at its end, or why it can't be had; empty if it is blank."""
    if is_too_long or len(piece) > MAX_LINE_BYTES:
        return Reason.DECODE_LINE_TOO_LONG
    return (piece.removeprefix(BOM_UTF8) if number == 1 else piece).rstrip()


def _gather(lines: Iterator[Line]) -> Iterator[Line]:
    """Join pretty-printed objects: each begins with a line that `_opens` and ends with a line `}`.

    Lines between such objects stay as they are.
    """
    first, parts, size = 0, list[bytes](), 0
    for number, line in lines:
        if isinstance(line, Reason) or (not parts and not _opens(line)):
            yield number, line
            continue
        first = first if parts else number
        size += len(line)
        parts.append(line if size <= MAX_LINE_BYTES else b"")
        if line == b"}":
            yield first, _line(first, b"\n".join(parts), is_too_long=size > MAX_LINE_BYTES)
            parts, size = [], 0
    if parts:
        yield first, b"\n".join(parts)


def _elements(whole: bytes) -> Iterator[Line]:
    """The elements of a JSON array; or the lines, if it is only the first of them that is one."""
    commas = whole.count(b",")
    if commas > MAX_ARRAY_COMMAS or (commas >= MAX_OBJECT_LINES and _has_too_many(whole)):
        detail = f"an array with over {MAX_ARRAY_COMMAS} commas or {MAX_OBJECT_LINES} elements"
        raise InputError(Reason.PULL_OBJECT_TOO_LARGE, detail)
    return _read_elements(whole)


def _has_too_many(whole: bytes) -> bool:
    """Whether an array may have more than `MAX_OBJECT_LINES` elements: only objects are counted."""
    try:
        return len(_OBJECTS.decode(whole)) > MAX_OBJECT_LINES
    except msgspec.ValidationError:
        return True
    except (ValueError, RecursionError):
        return False  # not an array; its lines were counted before


def _read_elements(whole: bytes) -> Iterator[Line]:
    try:
        elements = msgspec.json.decode(whole, type=list[msgspec.Raw])
    except RecursionError:
        yield 1, Reason.DECODE_TOO_DEEP
    except ValueError:  # msgspec's own error, or bytes that are no UTF-8
        if _is_json(whole.partition(b"\n")[0]):
            yield from _split(iter([whole]))
        else:
            yield 1, Reason.DECODE_BAD_JSON
    else:
        for number, element in enumerate(elements, start=1):
            yield number, _line(number, bytes(element), is_too_long=False)


def _is_json(line: bytes) -> bool:
    try:
        msgspec.json.decode(line)
    except (ValueError, RecursionError):
        return False
    return True
