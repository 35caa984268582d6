"""Leakage between the sides: what is counted, and that nothing is once what leaks is left out."""

from collections.abc import Sequence

import msgspec
import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock_sluice.transforms.chat.messages import FunctionCall, Message, ToolCall
from bedrock_sluice.transforms.chat.texts import turns_of
from bedrock_sluice.transforms.dedup.leakage import leakage, leaking, scopes
from bedrock_sluice.transforms.dedup.line_marks import LineMarks, MarkCache
from bedrock_sluice.transforms.split import evict

Chat = list[Message]

CLEAN = {"exact": 0, "prefix": 0, "near": 0}
SENTENCE = "the quick brown fox jumps over the lazy dog and then sleeps all day under a tall tree"
NEARLY = SENTENCE.replace("tree", "bush")


def chat(*texts: str, system: str | None = None) -> Chat:
    """User and assistant in turns; the user speaks first."""
    roles = ("user", "assistant")
    turns = [Message(roles[n % 2], text) for n, text in enumerate(texts)]
    return [Message("system", system), *turns] if system is not None else turns


def marks_of(chats: Sequence[Chat]) -> LineMarks:
    """The marks of chats as lines have them."""
    return MarkCache().marks([msgspec.json.encode(each) for each in chats])


def put_on_sides(train: Sequence[Chat], validation: Sequence[Chat]) -> tuple[LineMarks, pl.Series]:
    """The marks of all chats, and the side of each."""
    sides = ["train"] * len(train) + ["validation"] * len(validation)
    return marks_of([*train, *validation]), pl.Series(sides, dtype=pl.String)


def counts(marks: LineMarks, sides: pl.Series, similarity: float) -> dict[str, int]:
    """How many lines overlap, by kind."""
    flags = leakage(marks, sides, similarity)
    assert set(flags.schema.values()) == {pl.Boolean}
    assert flags.height == len(sides)
    return {kind: int(flags[kind].sum()) for kind in flags.columns}


@pytest.mark.parametrize(
    ("one", "other", "counts_changed"),
    [
        (chat("2 + 2?"), chat("2 + 3?"), {}),
        (chat("2 + 2?"), chat("2 + 2?"), {"exact": 1, "prefix": 2, "near": 1}),
        (chat("2  + 2?\n"), chat("2 + 2?"), {"exact": 1, "prefix": 2, "near": 1}),
        (chat("a", system="s"), chat("a", system="t"), {"exact": 1, "prefix": 2, "near": 1}),
        (chat("cafe\u0301"), chat("caf\u00e9"), {"exact": 1, "prefix": 2, "near": 1}),
        (chat("a", "b", "c"), chat("a"), {"prefix": 1}),
        (chat("a"), chat("a", "b", "c"), {"prefix": 1}),
        (chat("a", "b", "c"), chat("a", "b", "d"), {}),
        (chat("a", "b", "c"), chat("a b\nc"), {"exact": 1, "near": 1}),
        (chat(SENTENCE), chat(NEARLY), {"near": 1}),
        (chat(SENTENCE), chat(SENTENCE.upper() + "!"), {"near": 1}),
        (chat(SENTENCE), chat(SENTENCE[:40]), {}),
        (chat(), chat(), {}),
        (chat(), chat("a"), {}),
        (chat(system="a"), chat(system="a"), {}),
        (chat("…"), chat("?"), {}),
    ],
    ids=[
        "other texts", "the same", "but for blanks", "under another system message",
        "but for Unicode's forms", "goes on", "begins", "a common beginning",
        "of other turns", "one word", "in capitals", "a part",
        "nothing", "nothing and something", "system alone", "marks alone",
    ],
)  # fmt: skip
def test_each_overlap_is_counted_as_what_it_is(
    one: Chat, other: Chat, counts_changed: dict[str, int]
) -> None:
    overlaps = CLEAN | counts_changed
    assert counts(*put_on_sides([one], [other]), 0.8) == overlaps
    assert counts(*put_on_sides([other], [one]), 0.8) == overlaps
    assert counts(*put_on_sides([one, other], []), 0.8) == CLEAN
    assert counts(*put_on_sides([], [one, other]), 0.8) == CLEAN
    is_leaking = [any(overlaps.values()), False]
    assert leaking(*put_on_sides([one], [other]), 0.8).to_list() == is_leaking
    assert leaking(*put_on_sides([other], [one]), 0.8).to_list() == is_leaking


def test_lines_of_train_are_counted_each_and_those_of_validation_once() -> None:
    lines = put_on_sides([chat("a"), chat("a"), chat("b")], [chat("a"), chat("a", "b", "c")])
    flags = leakage(*lines, 0.8)
    assert flags["exact"].to_list() == [True, True, False, False, False]
    assert flags["prefix"].to_list() == [True, True, False, True, False]
    assert flags["near"].to_list() == [True, True, False, False, False]
    assert leaking(*lines, 0.8).to_list() == [True, True, False, False, False]


def test_calls_of_tools_are_part_of_a_turn() -> None:
    def calling(arguments: str) -> Chat:
        call = ToolCall("t", "function", FunctionCall("f", arguments))
        spoken = Message("assistant", None, tool_calls=[call])
        return [Message("user", "a"), spoken, Message("tool", "b"), Message("user", "c")]

    assert counts(*put_on_sides([calling("{}")], [calling("{}")]), 0.8)["prefix"] == 2
    assert counts(*put_on_sides([calling("{}")], [calling("[]")]), 0.8)["prefix"] == 0


def test_a_question_is_the_same_under_any_system_message() -> None:
    lines = put_on_sides([chat(SENTENCE, system="a"), chat(NEARLY)], [chat(SENTENCE, system="b")])
    assert counts(*lines, 0.8) == {"exact": 1, "prefix": 2, "near": 2}
    assert leaking(*lines, 0.8).to_list() == [True, True, False]


def test_one_long_instruction_before_other_questions_is_no_leak() -> None:
    instruction = " ".join(f"rule{n}" for n in range(160))
    questions = [chat(f"{instruction} how much is item{n} of shelf{n} worth") for n in range(40)]
    assert counts(*put_on_sides(questions[:30], questions[30:]), 0.8) == CLEAN
    again = chat(f"{instruction} how much is item3 of shelf3 worth")
    assert counts(*put_on_sides(questions[:30], [*questions[30:], again]), 0.8)["near"] == 1


def test_scopes_are_equal_where_system_messages_are() -> None:
    numbers = scopes(pl.Series(["b", None, "a", "b", None])).tolist()
    assert numbers[0] == numbers[3] != numbers[2]
    assert numbers[1] == numbers[4] == 0
    assert 0 not in {numbers[0], numbers[2]}
    assert scopes(pl.Series([], dtype=pl.String)).tolist() == []


def test_the_system_message_is_no_turn() -> None:
    assert turns_of(chat("a", "b", system="s")) == "a\nb"
    assert turns_of([Message("user", None)]) == ""


@pytest.mark.parametrize("similarity", [0.5, 1.0])
def test_no_lines_leak_nothing(similarity: float) -> None:
    lines = put_on_sides([], [])
    assert counts(*lines, similarity) == CLEAN
    assert leaking(*lines, similarity).to_list() == []


# Few words make overlaps of every kind; the long texts are near each other.
_SAID = st.one_of(
    st.sampled_from(["a", "b", " a", "a\nb", "", "b a", "."]),
    st.lists(st.integers(0, 16), max_size=3).map(
        lambda places: " ".join(
            "other" if n in places else word for n, word in enumerate(SENTENCE.split())
        )
    ),
)
_CHATS = st.builds(
    lambda texts, system: chat(*texts, system=system),
    st.lists(_SAID, max_size=3),
    st.sampled_from([None, None, "s", "t"]),
)
_LINES = st.lists(st.tuples(_CHATS, st.sampled_from(["train", "validation"])), max_size=12)


@given(
    lines=_LINES,
    similarity=st.sampled_from([0.5, 0.8, 1.0]),
)
def test_once_what_leaks_is_evicted_nothing_is_counted(
    lines: list[tuple[Chat, str]], similarity: float
) -> None:
    chats = [each for each, _ in lines]
    frame = pl.DataFrame(
        {"split": [side for _, side in lines], "n": range(len(lines))},
        schema={"split": pl.String, "n": pl.UInt32},
    )
    leaks = leaking(marks_of(chats), frame["split"], similarity)
    kept = evict(frame, leaks).kept
    rest = [chats[n] for n in kept["n"]]
    assert counts(marks_of(rest), kept["split"], similarity) == CLEAN
    assert kept.filter(split="validation").equals(frame.filter(split="validation"))
    if counts(marks_of(chats), frame["split"], similarity) == CLEAN:
        assert not leaks.any()


def test_a_crowd_of_likes_leaves_nothing_behind() -> None:
    """Of a crowd not all pairs are compared: who was not, may be, once others are left out."""
    rng = np.random.default_rng(1)
    crowd = list[Chat]()
    for number in range(600):
        words = [f"w{place}" for place in range(100)]
        for place in rng.choice(100, 4, replace=False):
            words[place] = f"own{number}at{place}"
        crowd.append(chat(" ".join(words)))
    sides = pl.Series(["validation" if n % 10 == 0 else "train" for n in range(600)])
    for similarity in (0.5, 0.6, 0.7, 0.8):
        leaks = leaking(marks_of(crowd), sides, similarity)
        kept = [each for each, is_leaking in zip(crowd, leaks, strict=True) if not is_leaking]
        assert counts(marks_of(kept), sides.filter(~leaks), similarity) == CLEAN
