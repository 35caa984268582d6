"""Marks of lines: they serve for the very bytes that they were computed of, and no others."""

import msgspec
import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock_sluice.expectations.measures import decode_lines, measure_leakage
from bedrock_sluice.transforms.chat.digests import conversation_marks, plain_text
from bedrock_sluice.transforms.chat.messages import Message
from bedrock_sluice.transforms.chat.texts import turns_of
from bedrock_sluice.transforms.dedup.line_marks import (
    MARKS,
    MAX_VERIFIED,
    NO_RESPONSE,
    MarkCache,
    digest_messages,
)
from bedrock_sluice.transforms.dedup.sketches import sketch
from bedrock_sluice.transforms.errors import IntegrityError

CHAT = [Message("system", "s"), Message("user", "Which  town\nis it?"), Message("user", "Bern?")]


PATH = MARKS.field("path").type


def encode(chat: list[Message]) -> bytes:
    return msgspec.json.encode(chat)


def test_marks_are_those_of_the_chat() -> None:
    chats = [CHAT, [], CHAT[:2], CHAT]
    marks = MarkCache().marks([*map(encode, chats), b"[7]", b""])
    paths = [conversation_marks(chat, NO_RESPONSE).path for chat in (*chats, [], [])]
    texts = [plain_text(turns_of(chat)) for chat in (*chats, [], [])]
    assert marks.paths.to_list() == paths
    assert np.array_equal(marks.sketches, sketch(pl.Series(texts)))
    assert marks.fetch(np.array([3, 1, 4])).to_list() == ["Which town is it? Bern?", "", ""]


def test_marks_serve_for_the_same_bytes_alone() -> None:
    cache, text = MarkCache(), encode(CHAT).decode()
    other = np.full((1, 48), 7, np.uint32)
    digests = [digest_messages(text.encode())]
    cache.add(digests, pl.Series([[1, 2]], dtype=pl.List(pl.UInt64)), other)
    marks = cache.marks([text.encode(), text.replace("Bern", "Thun").encode(), text.encode()])
    assert marks.paths.to_list()[0] == marks.paths.to_list()[2] == [1, 2]
    changed_chat = [*CHAT[:2], Message("user", "Thun?")]
    assert marks.paths.to_list()[1] == conversation_marks(changed_chat, NO_RESPONSE).path
    assert np.array_equal(marks.sketches[1], sketch(pl.Series([turns_of(changed_chat)]))[0])
    again = cache.marks([text.encode()])  # what was computed did not move what was there
    assert again.paths.to_list() == [[1, 2]]
    assert np.array_equal(again.sketches, other)


def test_marks_from_a_table_serve_for_the_same_bytes_alone() -> None:
    chats = [CHAT, [], CHAT[:2]]
    messages = [*map(encode, chats), encode(CHAT)]
    table = MarkCache().table(messages)
    assert (table.schema, table.num_rows) == (MARKS, 3)
    assert MarkCache().table(messages[::-1]) == table
    cache, other_table = MarkCache(), table.set_column(1, "path", pa.array([[1], [2], [3]], PATH))
    cache.load(other_table)
    marks = cache.marks([*messages, b"[7]"])
    assert sorted(marks.paths.to_list()[:3]) == [[1], [2], [3]]
    assert marks.paths.to_list()[3:] == [marks.paths.to_list()[0], []]
    assert np.array_equal(marks.sketches, MarkCache().marks([*messages, b"[7]"]).sketches)
    assert cache.table([]) == MARKS.empty_table()


def test_no_messages_have_no_marks() -> None:
    marks = MarkCache().marks([])
    assert (len(marks.paths), marks.sketches.shape) == (0, (0, 48))
    assert marks.paths.dtype == pl.List(pl.UInt64)
    assert marks.fetch(np.arange(0)).to_list() == []


@pytest.mark.parametrize("fault", ["none", "path", "sketch", "shift"])
def test_wrong_marks_are_found(fault: str) -> None:
    chats = [[Message("user", f"Question {n} of many?")] for n in range(3 * MAX_VERIFIED)]
    texts = [encode(chat).decode() for chat in chats]
    sound = MarkCache().marks([text.encode() for text in texts])
    paths, sketches = sound.paths.to_list(), sound.sketches.copy()
    match fault:
        case "path":
            paths[0] = [paths[0][0] + 1]
        case "sketch":
            sketches[3, 5] += np.uint32(1)
        case "shift":
            paths, sketches = [*paths[1:], paths[0]], np.roll(sketches, -1, axis=0)
    cache = MarkCache()
    digests = [digest_messages(text.encode()) for text in texts]
    cache.add(digests, pl.Series(paths, dtype=pl.List(pl.UInt64)), sketches)
    messages = [text.encode() for text in texts]
    if fault == "none":
        cache.verify(messages)
    else:
        with pytest.raises(IntegrityError, match="differ from those of the lines"):
            cache.verify(messages)


def test_marks_that_are_not_those_of_the_lines_stop_the_gate() -> None:
    texts = [f'{{"messages":{encode(chat).decode()}}}' for chat in (CHAT, CHAT[:2])]
    columns = {"split": ["train", "validation"], "group": ["a", "b"], "prompt_digest": ["a", "b"]}
    cache, other = MarkCache(), MarkCache().marks([b"[]"])
    cache.add([digest_messages(encode(CHAT))], other.paths, other.sketches)
    with pytest.raises(IntegrityError, match="differ from those of the lines"):
        measure_leakage(pl.DataFrame(columns), decode_lines(pl.Series(texts)), 0.8, None, cache)


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=4))
def test_blanks_and_forms_of_unicode_change_no_sketch(texts: list[str]) -> None:
    text = "\n".join(texts)
    assert np.array_equal(sketch(pl.Series([text])), sketch(pl.Series([plain_text(text)])))
