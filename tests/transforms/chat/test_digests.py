"""Digests of messages: the same for what clients change in passing, others for all else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock_sluice.transforms.chat.digests import (
    MIN_PAIR_BYTES,
    conversation_marks,
    plain_text,
    plain_texts,
)
from bedrock_sluice.transforms.chat.messages import FunctionCall, Message, ToolCall

LONG = "of which there is enough to tell it from all others"
HI = [Message("user", "Hi"), Message("assistant", "Hello!")]


def user(text: str) -> Message:
    return Message("user", f"{text}, {LONG}")


def answer(text: str) -> Message:
    return Message("assistant", f"{text}, {LONG}")


def calling(call_id: str, arguments: str = '{"city": "Bonn"}') -> Message:
    call = ToolCall(call_id, "function", FunctionCall("weather", arguments))
    return Message("assistant", None, tool_calls=[call])


@given(texts=st.lists(st.text("ab e\u0301\u1100\u1161\n\x1c\x85\u2000\u3000\u200b😀"), max_size=5))
def test_a_column_of_texts_is_folded_as_each_of_them(texts: list[str]) -> None:
    assert plain_texts(texts) == [plain_text(text).encode() for text in texts]


def test_every_blank_of_unicode_is_folded() -> None:
    texts = [f"{blank}a{blank}b{blank}{blank}c" for blank in map(chr, range(0xD800))]
    assert plain_texts(texts) == [plain_text(text).encode() for text in texts]
    assert plain_texts([" a\x1cb\u3000 \u2028"]) == [b"a b"]


def test_the_path_of_a_turn_begins_with_the_path_of_each_turn_before() -> None:
    messages = [user("1"), answer("2"), user("3"), calling("4"), Message("tool", "5"), user("6")]
    paths = [conversation_marks(messages[:end], answer("7")).path for end in range(7)]
    assert paths == [paths[-1][:end] for end in range(7)]
    assert len(set(paths[-1])) == 6


def test_this_very_path_never_changes() -> None:
    """A golden: whoever changes the digests renames every conversation there is."""
    marks = conversation_marks([Message("system", "Be  kind.\n"), *HI, user("Who?")], answer("I"))
    assert marks.path == [7994161821112454409, 9901923939412591374, 1676336079095031394]
    assert (marks.head, marks.tail) == (None, 8432339169859822725)
    assert marks.system_digest == "9cc11283e899a1a2"


_TOLD = [user("ä one"), calling("id-1"), Message("tool", "rain", tool_call_id="id-1")]


@pytest.mark.parametrize(
    "other",
    [
        [Message("user", f"  ä\n one,  {LONG}\t"), *_TOLD[1:]],
        [Message("user", f"a\u0308 one, {LONG}"), *_TOLD[1:]],
        [_TOLD[0], calling("id-2"), Message("tool", "rain", tool_call_id="id-2")],
        [_TOLD[0], calling("id-1", '{"city":\n "Bonn"}'), _TOLD[2]],
        [_TOLD[0], Message("assistant", "", tool_calls=calling("id-1").tool_calls), _TOLD[2]],
    ],
    ids=["blanks", "unicode", "ids of calls", "blanks in a call", "no text"],
)
def test_what_clients_change_in_passing_is_not_marked(other: list[Message]) -> None:
    one, other_marks = (conversation_marks(each, answer("Ah")) for each in (_TOLD, other))
    assert one[:3] == other_marks[:3]
    assert one.head is not None


@pytest.mark.parametrize(
    "other",
    [
        [user("ä two"), *_TOLD[1:]],
        [user("Ä one"), *_TOLD[1:]],
        [_TOLD[0], calling("id-1", "{}"), _TOLD[2]],
        [_TOLD[0], Message("assistant", 'weather {"city": "Bonn"}'), _TOLD[2]],
        [*_TOLD[:2], Message("tool", "sun", tool_call_id="id-1")],
        [*_TOLD[:2], Message("user", "rain")],
        [_TOLD[0], _TOLD[2]],
        [Message("user", (_TOLD[0].content or "") + "w"), Message("assistant", "eather"), _TOLD[2]],
    ],
)
def test_what_is_said_otherwise_has_another_path(other: list[Message]) -> None:
    paths = [conversation_marks(each, answer("Ah")).path for each in (_TOLD, other)]
    assert paths[0][-1] != paths[1][-1]


def test_the_head_of_a_cut_history_is_the_tail_of_its_first_turn() -> None:
    messages = [user("1"), answer("2"), user("3"), answer("4"), user("5")]
    tails = [conversation_marks(messages[:end], messages[end]).tail for end in (1, 3)]
    heads = [conversation_marks(messages[start:], answer("6")).head for start in range(5)]
    assert heads == [tails[0], tails[1], tails[1], None, None]
    assert None not in tails


@pytest.mark.parametrize(
    ("messages", "response", "has_head", "has_tail"),
    [
        ([user("a")], answer("b"), False, True),
        ([user("a")], Message("assistant", None), False, False),
        ([user("a")], calling("1"), False, True),
        ([user("a"), calling("1"), Message("tool", "x")], answer("b"), True, True),
        ([*HI, user("a")], answer("b"), False, True),
        ([user("a"), answer("b"), Message("user", "c")], Message("assistant", "d"), True, False),
        ([answer("b")], answer("c"), False, False),
        ([], answer("c"), False, False),
    ],
)
def test_pairs_are_marked_where_there_is_enough_to_tell(
    messages: list[Message], response: Message, has_head: bool, has_tail: bool
) -> None:
    marks = conversation_marks(messages, response)
    assert (marks.head is not None, marks.tail is not None) == (has_head, has_tail)


@pytest.mark.parametrize(("extra", "has_tail"), [(-1, False), (0, True)])
def test_the_least_length_of_a_pair_is_that_of_its_text(extra: int, has_tail: bool) -> None:
    reply = Message("assistant", "x" * (MIN_PAIR_BYTES - 2 + extra))
    marks = conversation_marks([Message("user", " a  ")], Message("assistant", reply.content))
    both = conversation_marks([Message("user", "ab")], reply)
    assert marks.tail is None
    assert (both.tail is not None) == has_tail


def system_digest(text: str | None) -> str | None:
    system = [] if text is None else [Message("system", text)]
    return conversation_marks([*system, user("a")], answer("b")).system_digest


def test_a_system_prompt_is_the_same_at_another_time() -> None:
    assert system_digest("It is 2026-10-01 9:05.") == system_digest("It  is 2027-11-12 10:15.\n")
    assert system_digest("It is 2026.") != system_digest("It was 2026.")
    assert system_digest("Growth was 137 million.") != system_digest("Growth was 174 million.")
    assert system_digest("Document am") != system_digest("Document pm")
    assert system_digest(None) is system_digest("  ") is None


@pytest.mark.parametrize(
    "later", ["It is Tuesday, 6 October, 09:15 am.", "It is  Mon, 12 Dec, 8:01 pm."]
)
def test_the_time_in_a_system_message_is_not_marked(later: str) -> None:
    first = conversation_marks(
        [Message("system", "It is Monday, 5 October, 10:00 PM."), *HI], HI[1]
    )
    marks = conversation_marks([Message("system", later), *HI], HI[1])
    assert marks[:4] == first[:4]
    assert marks.dated_system_digest != first.dated_system_digest


def test_the_path_is_what_was_said_under_any_system_message() -> None:
    one, other = (
        conversation_marks([Message("system", text), *HI], HI[1])
        for text in ("Be kind.", "Be brief.")
    )
    assert one[:3] == other[:3]
    assert one.system_digest != other.system_digest
