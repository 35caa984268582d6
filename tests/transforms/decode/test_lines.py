"""Log objects to lines: numbering, limits, and never a damaged object taken for a whole one."""

import gzip
import zlib
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock_sluice.transforms.decode import lines
from bedrock_sluice.transforms.decode.lines import read_lines
from bedrock_sluice.transforms.errors import InputError
from bedrock_sluice.transforms.reasons import Reason

Json = dict[str, Any]
Read = list[tuple[int, bytes | Reason]]


def compress(content: bytes) -> bytes:
    """One gzip member."""
    return gzip.compress(content, mtime=0)


@pytest.mark.parametrize(
    ("content", "read"),
    [
        (b'{"a":1}\n{"b":2}\n', [(1, b'{"a":1}'), (2, b'{"b":2}')]),
        (b'\n\n{"a":1}\r\n \n{"b":2}', [(3, b'{"a":1}'), (5, b'{"b":2}')]),
        (b'\xef\xbb\xbf{"a":1}\n', [(1, b'{"a":1}')]),
        (b'[{"a":1}, 7,\n {"b":2}]', [(1, b'{"a":1}'), (2, b"7"), (3, b'{"b":2}')]),
        (b" \n [ ]", []),
        (
            b'{\n  "a": {\n    "b": 1\n  }\n}\n\n{\n  "c": 2\n}\n',
            [(1, b'{\n  "a": {\n    "b": 1\n  }\n}'), (7, b'{\n  "c": 2\n}')],
        ),
        (b'{ \n\t"a": 1\n}', [(1, b'{\n\t"a": 1\n}')]),
        (b"[1, 2", [(1, Reason.DECODE_BAD_JSON)]),
        (b"[" * 100_000, [(1, Reason.DECODE_TOO_DEEP)]),
        (b"", []),
    ],
    ids=[
        "lines",
        "blank lines count",
        "byte order mark",
        "array elements are numbered",
        "empty array",
        "pretty-printed objects are numbered by their first line",
        "pretty-printed with a blank after the brace",
        "torn array",
        "deep array",
        "nothing",
    ],
)
def test_lines_are_numbered_as_a_person_counts_them(content: bytes, read: Read) -> None:
    assert list(read_lines(compress(content))) == read


def test_an_element_of_an_array_that_is_over_the_limit_costs_that_element(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lines, "MAX_LINE_BYTES", 20)
    content = b'["' + b"x" * 30 + b'", "short"]'
    assert list(read_lines(compress(content))) == [
        (1, Reason.DECODE_LINE_TOO_LONG),
        (2, b'"short"'),
    ]


@pytest.mark.parametrize("held_bytes", [0, 1 << 20], ids=["read twice", "held"])
@pytest.mark.parametrize("chunk", [5, 7, 1 << 20])
def test_a_line_over_the_limit_costs_that_line(
    monkeypatch: pytest.MonkeyPatch, held_bytes: int, chunk: int
) -> None:
    monkeypatch.setattr(lines, "MAX_LINE_BYTES", 10)
    monkeypatch.setattr(lines, "HELD_BYTES", held_bytes)
    monkeypatch.setattr(lines, "CHUNK_BYTES", chunk)
    content = b"{1}\n{45678901}\n" + b"x" * 11 + b"\n" + b"y" * 999 + b"\n{5}"
    too_long = Reason.DECODE_LINE_TOO_LONG
    read = list(read_lines(compress(content)))
    assert read == [(1, b"{1}"), (2, b"{45678901}"), (3, too_long), (4, too_long), (5, b"{5}")]


def test_a_pretty_printed_object_over_the_limit_costs_itself_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lines, "MAX_LINE_BYTES", 30)
    big = b"{\n" + b'  "a": 1,\n' * 9 + b'  "z": 1\n}\n'
    read = list(read_lines(compress(b'{\n"a": 1\n}\n' + big + b'{\n"b": 2\n}\n')))
    too_long = Reason.DECODE_LINE_TOO_LONG
    assert read == [(1, b'{\n"a": 1\n}'), (4, too_long), (16, b'{\n"b": 2\n}')]


@pytest.mark.parametrize(
    "content",
    [b"{}\n" * 11, b"\n" * 11, b"[" + b"0," * 11 + b"0]"],
    ids=["lines", "blanks", "array"],
)
def test_an_object_of_too_many_lines_is_refused(
    content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "MAX_OBJECT_LINES", 10)
    monkeypatch.setattr(lines, "MAX_ARRAY_COMMAS", 10)
    with pytest.raises(InputError) as refusal:
        list(read_lines(compress(content)))
    assert refusal.value.reason == Reason.PULL_OBJECT_TOO_LARGE


@pytest.mark.parametrize(
    ("content", "number"),
    [
        (b"[" + b"7," * 10 + b"7]", None),
        (b"[{}," + b"7," * 9 + b"7]", None),
        (b"[" + b"7," * 9 + b"7]", 10),
        (b"[" + b"{}," * 10 + b"{}]", None),
        (b"[" + b'{"a": [1, 2, 3]},' * 9 + b"{}]", 10),
        (b"[7]\n" + b"{}\n" * 9, 10),
        (b"}{".join([b'"a":1'] * 12).join([b"{", b"}"]), None),
    ],
)
def test_elements_and_objects_in_a_row_count_as_lines_of_an_object(
    monkeypatch: pytest.MonkeyPatch, content: bytes, number: int | None
) -> None:
    """An array of two million numbers takes 17 KB, and must not become as many rows."""
    monkeypatch.setattr(lines, "MAX_OBJECT_LINES", 10)
    try:
        read = len(list(read_lines(compress(content), separate_objects=True)))
    except InputError as refusal:
        assert refusal.reason == Reason.PULL_OBJECT_TOO_LARGE  # noqa: PT017
        assert number is None
    else:
        assert read == number


def test_an_object_that_unpacks_to_too_much_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "MAX_OBJECT_BYTES", 100)
    assert len(list(read_lines(compress(b"x" * 100)))) == 1
    with pytest.raises(InputError) as refusal:
        read_lines(compress(b"x" * 101))
    assert refusal.value.reason == Reason.PULL_OBJECT_TOO_LARGE


def test_a_bomb_is_refused_in_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """64 MiB in 64 KiB: with a limit below that, little more than one chunk is ever unpacked."""
    monkeypatch.setattr(lines, "MAX_OBJECT_BYTES", 8 << 20)
    chunk_sizes = list[int]()
    real = lines._chunks

    def count_chunks(raw: bytes) -> Any:
        for chunk in real(raw):
            chunk_sizes.append(len(chunk))
            yield chunk

    monkeypatch.setattr(lines, "_chunks", count_chunks)
    squeeze = zlib.compressobj(1, zlib.DEFLATED, 31)
    bomb = b"".join(squeeze.compress(bytes(1 << 20)) for _ in range(64)) + squeeze.flush()
    with pytest.raises(InputError) as refusal:
        read_lines(bomb)
    assert refusal.value.reason == Reason.PULL_OBJECT_TOO_LARGE
    assert sum(chunk_sizes) <= (8 << 20) + lines.CHUNK_BYTES


def test_a_line_of_20_mb_is_read_whole() -> None:
    line = b'{"a":"' + b"x" * 20_000_000 + b'"}'
    (read,) = read_lines(gzip.compress(line + b"\n", 1))
    assert read == (1, line)


def test_a_line_of_40_mb_is_over_the_limit_and_its_neighbours_are_not() -> None:
    content = b"{1}\n" + b"x" * 40_000_000 + b"\n{3}\n"
    read = list(read_lines(gzip.compress(content, 1)))
    assert read == [(1, b"{1}"), (2, Reason.DECODE_LINE_TOO_LONG), (3, b"{3}")]


@given(
    st.lists(st.binary(min_size=1, max_size=20).map(lambda b: b"{" + b.hex().encode() + b"}")),
    st.lists(st.integers(0, 200)),
)
def test_how_an_object_is_cut_into_members_changes_nothing(
    texts: list[bytes], cuts: list[int]
) -> None:
    content = b"".join(text + b"\n" for text in texts)
    at = sorted({0, len(content), *(cut for cut in cuts if cut < len(content))})
    members = b"".join(compress(content[a:b]) for a, b in pairwise(at)) or compress(b"")
    assert list(read_lines(members)) == list(enumerate(texts, start=1))


@given(st.binary(max_size=300))
def test_any_bytes_give_lines_or_an_input_error(content: bytes) -> None:
    for raw in (content, compress(content), b"\x1f\x8b" + content):
        read = _outcome(raw) or []
        assert all(line and b"\n" not in line for _, line in read if isinstance(line, bytes))


def _outcome(raw: bytes) -> Read | None:
    try:
        return list(read_lines(raw))
    except InputError:
        return None


def test_every_truncation_is_told_from_the_whole(
    records: Callable[[int], list[Json]], log_object: Callable[[Sequence[Json]], bytes]
) -> None:
    whole = log_object(records(6))
    assert _outcome(whole)
    assert all(_outcome(whole[:length]) is None for length in range(2, len(whole)))


def test_a_truncation_to_one_byte_gives_no_record() -> None:
    """One byte is too short for gzip's magic number: it is read as a line, which is no JSON."""
    assert _outcome(b"\x1f") == [(1, b"\x1f")]


def test_no_single_bit_flip_gives_other_lines(
    records: Callable[[int], list[Json]], log_object: Callable[[Sequence[Json]], bytes]
) -> None:
    """Every bit but those of gzip's magic number."""
    whole = log_object(records(8))
    lines_before = _outcome(whole)
    for bit in range(16, 8 * len(whole)):
        assert _outcome(_flip_bit(whole, bit)) in (None, lines_before), f"bit {bit}"


def _flip_bit(whole: bytes, bit: int) -> bytes:
    content = bytearray(whole)
    content[bit // 8] ^= 1 << bit % 8
    return bytes(content)


def test_a_flip_in_the_magic_number_gives_nothing_that_is_json(
    records: Callable[[int], list[Json]], log_object: Callable[[Sequence[Json]], bytes]
) -> None:
    whole = log_object(records(6))
    for bit in range(16):
        lines_read = _outcome(_flip_bit(whole, bit)) or []
        assert not any(isinstance(line, bytes) and line.startswith(b"{") for _, line in lines_read)
