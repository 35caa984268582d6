"""Log objects to lines: gzip or plain, NDJSON, a JSON array, or pretty-printed objects.

The compressed bytes are checked whole (CRC and length of each gzip member) before the first line is
given out, so that a damaged object yields nothing at all.
Format: AWS user guide, "Monitor model invocation using CloudWatch Logs and Amazon S3".
"""

import io
from collections.abc import Iterator

import msgspec
from isal.igzip import open as gzip_open
from isal.igzip_lib import IsalError

from bedrock_sluice.transforms.errors import InputError
from bedrock_sluice.transforms.reasons import Reason

MAX_OBJECT_BYTES = 256 << 20  # decompressed; Bedrock's own objects hold a few MB
MAX_OBJECT_LINES = 500_000  # blank ones too; a record takes some hundred bytes at the least
MAX_ARRAY_COMMAS = 2_000_000  # in an object that is one JSON array
MAX_LINE_BYTES = 32 << 20
HELD_BYTES = 64 << 20  # objects up to this size, decompressed, are held; larger ones are read twice
CHUNK_BYTES = 1 << 20

GZIP_MAGIC = b"\x1f\x8b"
_DAMAGED: tuple[type[Exception], ...] = (EOFError, OSError, IsalError)  # type: ignore[assignment]
_UTF8_BOM = b"\xef\xbb\xbf"
_UTF16_BOMS = (b"\xff\xfe", b"\xfe\xff")

Line = tuple[int, bytes | Reason]  # line number from 1, and its bytes or why they can't be had


def read_lines(raw: bytes) -> Iterator[Line]:
    """Yield the non-blank lines of one object, numbered from 1.

    In a JSON array the number is that of the element; of a pretty-printed object, its first line's.

    Raises:
        InputError: the object as a whole is empty, damaged, too large or in another encoding.
    """
    if not raw:
        raise InputError(Reason.PULL_EMPTY_OBJECT)
    held = _hold(raw)
    head = next(_chunks(raw), b"") if held is None else held
    if head.startswith(_UTF16_BOMS):
        raise InputError(Reason.DECODE_BAD_ENCODING, "the object is UTF-16, not UTF-8")
    start = head.removeprefix(_UTF8_BOM).lstrip()[:64]
    if held is not None and start.startswith(b"["):
        return _elements(held.removeprefix(_UTF8_BOM))
    lines = _split(iter([held]) if held is not None else _chunks(raw))
    return _gather(lines) if start.partition(b"\n")[0].rstrip() == b"{" else lines


def read_whole(raw: bytes) -> bytes:
    """All bytes of one object, decompressed, up to `HELD_BYTES`.

    Raises:
        InputError: the object is damaged or too large.
    """
    held = _hold(raw)
    if held is None:
        raise InputError(Reason.PULL_OBJECT_TOO_LARGE, f"more than {HELD_BYTES} bytes")
    return held


def _hold(raw: bytes) -> bytes | None:
    """All decompressed bytes, or None if they are too many to hold; checks every CRC on the way."""
    held: list[bytes] | None = []
    total = lines = 0
    for chunk in _chunks(raw):
        total += len(chunk)
        lines += chunk.count(b"\n")
        if total > MAX_OBJECT_BYTES or lines > MAX_OBJECT_LINES:
            detail = f"more than {MAX_OBJECT_BYTES} bytes or {MAX_OBJECT_LINES} lines"
            raise InputError(Reason.PULL_OBJECT_TOO_LARGE, detail)
        if total > HELD_BYTES:
            held = None
        if held is not None:
            held.append(chunk)
    return None if held is None else b"".join(held)


def _chunks(raw: bytes) -> Iterator[bytes]:
    """Decompress all gzip members in bounded chunks; bytes that are no gzip pass as they are."""
    if not raw.startswith(GZIP_MAGIC):
        yield raw
        return
    try:
        with gzip_open(io.BytesIO(raw)) as members:  # type: ignore[no-untyped-call]
            while chunk := members.read(CHUNK_BYTES):
                yield chunk
    except _DAMAGED:
        raise InputError(Reason.PULL_CORRUPT_GZIP, "the gzip data do not check out") from None


def _split(chunks: Iterator[bytes]) -> Iterator[Line]:
    number, carry, is_too_long = 1, b"", False
    for chunk in chunks:
        *whole, tail = chunk.split(b"\n")
        for piece in whole:
            yield from _line(number, carry + piece, is_too_long)
            number, carry, is_too_long = number + 1, b"", False
        carry += tail
        if len(carry) > MAX_LINE_BYTES:
            carry, is_too_long = b"", True
    yield from _line(number, carry, is_too_long)


def _line(number: int, piece: bytes, is_too_long: bool) -> Iterator[Line]:
    if is_too_long or len(piece) > MAX_LINE_BYTES:
        yield number, Reason.DECODE_LINE_TOO_LONG
        return
    text = (piece.removeprefix(_UTF8_BOM) if number == 1 else piece).rstrip()
    if text:
        yield number, text


def _gather(lines: Iterator[Line]) -> Iterator[Line]:
    """Join pretty-printed objects: each begins with a line `{` and ends with a line `}`.

    Lines between such objects stay as they are.
    """
    first, parts, size = 0, list[bytes](), 0
    for number, line in lines:
        if isinstance(line, Reason) or (not parts and line != b"{"):
            yield number, line
            continue
        first = first if parts else number
        size += len(line)
        parts.append(line if size <= MAX_LINE_BYTES else b"")
        if line == b"}":
            yield from _line(first, b"\n".join(parts), is_too_long=size > MAX_LINE_BYTES)
            parts, size = [], 0
    if parts:
        yield first, b"\n".join(parts)


def _elements(whole: bytes) -> Iterator[Line]:
    """The elements of a JSON array; or the lines, if it is only the first of them that is one."""
    if whole.count(b",") > MAX_ARRAY_COMMAS:
        detail = f"an array with more than {MAX_ARRAY_COMMAS} commas"
        raise InputError(Reason.PULL_OBJECT_TOO_LARGE, detail)
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
            yield from _line(number, bytes(element), is_too_long=False)


def _is_json(line: bytes) -> bool:
    try:
        msgspec.json.decode(line)
    except (ValueError, RecursionError):
        return False
    return True
