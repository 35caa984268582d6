"""Conversations: turns that grew from each other are found again, and one stands for them all."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import combinations, count
from types import MappingProxyType
from typing import Any, NamedTuple

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock_sluice.transforms.chat.digests import conversation_marks
from bedrock_sluice.transforms.chat.messages import FunctionCall, Message, ToolCall
from bedrock_sluice.transforms.curate.conversations import (
    MAX_BRANCHES,
    choose_turns,
    group_conversations,
)
from bedrock_sluice.transforms.settings import Policy

Make = Callable[[Sequence[dict[str, Any]]], pl.DataFrame]

NOON = datetime(2026, 10, 1, 12, tzinfo=UTC)
LONG = "of which there is enough to tell it from all others"


class Call(NamedTuple):
    """One logged call; `conversation` is what the test knows, and the program does not."""

    conversation: str
    messages: list[Message]
    response: Message
    metadata: Mapping[str, str] = MappingProxyType({})
    label: str | None = None


def user(text: str) -> Message:
    return Message("user", f"{text}, {LONG}")


def answer(text: str) -> Message:
    return Message("assistant", f"{text}, {LONG}")


def calling(call_id: str, arguments: str = '{"city": "Bonn"}') -> Message:
    call = ToolCall(call_id, "function", FunctionCall("weather", arguments))
    return Message("assistant", None, tool_calls=[call])


def chat(name: str, turns: int, window: int | None = None) -> list[Call]:
    """Each turn with all before it, or with what fits into a window of so many messages."""
    messages = [user(f"{name} asks 0")]
    calls = list[Call]()
    for turn in range(turns):
        kept = messages[-window:] if window else messages[:]
        calls.append(Call(name, kept, answer(f"{name} hears {turn}")))
        messages += [calls[-1].response, user(f"{name} asks {turn + 1}")]
    return calls


def frame(make: Make, calls: Sequence[Call]) -> pl.DataFrame:
    """Exchanges of the calls, a second apart; call n (from 1) is request `r<n>`."""
    rows = [
        {"timestamp": NOON + timedelta(seconds=n), "request_metadata": dict(each.metadata)}
        for n, each in enumerate(calls)
    ]
    marks = [conversation_marks(each.messages, each.response) for each in calls]
    return make(rows).with_columns(
        pl.Series("path", [m.path for m in marks], dtype=pl.List(pl.UInt64)),
        pl.Series("head", [m.head for m in marks], dtype=pl.UInt64),
        pl.Series("tail", [m.tail for m in marks], dtype=pl.UInt64),
        pl.Series("system_digest", [m.system_digest for m in marks], dtype=pl.String),
        pl.Series("dated_system_digest", [m.dated_system_digest for m in marks], dtype=pl.String),
        pl.Series("label", [each.label for each in calls], dtype=pl.String),
        pl.Series("true", [each.conversation for each in calls], dtype=pl.String),
    )


def group(make: Make, calls: Sequence[Call], key: str | None = None) -> pl.DataFrame:
    return group_conversations(frame(make, calls), key)


def leaves(groups: pl.DataFrame) -> list[bool]:
    ends = choose_turns(groups, "last", groups.height).kept["request_id"]
    return groups["request_id"].is_in(ends.implode()).to_list()


def names(make: Make, calls: Sequence[Call], key: str | None = None) -> list[str]:
    return group(make, calls, key)["conversation"].to_list()


def kept(make: Make, calls: Sequence[Call], policy: Policy, most: int | None = None) -> list[str]:
    return [*choose_turns(group(make, calls), policy, most).kept["request_id"]]


def test_the_columns_are_those_that_were_and_those_promised(exchanges: Make) -> None:
    before = frame(exchanges, chat("a", 2))
    after = group_conversations(before, "session")
    assert after.drop("conversation", "depth").equals(before)
    assert after.schema == before.schema | {"conversation": pl.String, "depth": pl.UInt32}


def under(system: str, call: Call) -> Call:
    return call._replace(messages=[Message("system", system), *call.messages])


def test_a_system_prompt_that_tells_the_time_parts_nothing(exchanges: Make) -> None:
    calls = [under(f"It is 12:0{n}.", each) for n, each in enumerate(chat("a", 4))]
    assert len(set(names(exchanges, calls))) == 1


def test_prompts_that_differ_in_the_date_alone_are_no_turns_of_one_conversation(
    exchanges: Make,
) -> None:
    question = Call("a", [user("How many days are left?")], answer("5"))
    calls = [under(f"Today is 2026-01-1{n}.", question) for n in range(5)]
    assert len(set(names(exchanges, calls))) == 5
    assert kept(exchanges, calls, "last") == ["r1", "r2", "r3", "r4", "r5"]


@pytest.mark.parametrize(
    ("days", "expected"), [([1, 2, 1], ["r2", "r3"]), ([1, 2, 3], ["r1", "r3"])]
)
def test_what_goes_on_is_the_growth_of_one_prompt_of_those_that_differ_in_the_date(
    exchanges: Make, days: list[int], expected: list[str]
) -> None:
    """Of the one under the same date, else of the last one before; the other stays."""
    first, second = chat("a", 2)
    calls = [first, first, second]
    turns = [under(f"It is {day} May 2026.", each) for day, each in zip(days, calls, strict=True)]
    assert kept(exchanges, turns, "last") == expected


def test_a_labelled_turn_is_never_dropped_for_its_depth(exchanges: Make) -> None:
    first, second, third = chat("a", 3)
    calls = [first._replace(label="x"), second._replace(label="y"), third]
    assert kept(exchanges, calls, "last") == ["r1", "r2"]
    assert kept(exchanges, calls, "last", 3) == ["r1", "r2", "r3"]


def test_turns_with_tools_are_one_conversation(exchanges: Make) -> None:
    question, result = [user("Rain?")], Message("tool", "rain")
    call_turns, reply = [*question, calling("1"), result], answer("Yes")
    after = [*question, calling("2"), result, reply, user("And snow?")]
    calls = [
        Call("a", question, calling("1")),
        Call("a", call_turns, reply),
        Call("a", after, answer("No")),
        Call("a", after[3:], answer("Cut too far to tell")),
    ]
    assert names(exchanges, calls)[:3] == [names(exchanges, calls)[0]] * 3
    assert leaves(group(exchanges, calls)) == [False, False, True, True]


def branching_calls() -> list[Call]:
    """Three turns; the second was also edited, and its answer made anew and gone on with."""
    first, second, third = chat("a", 3)
    edited_turns = [*first.messages, first.response, user("edited")]
    anew = answer("made anew")
    gone_on = [*second.messages, anew, user("went on"), answer("so"), user("further")]
    return [
        first,
        second,
        second._replace(response=anew),
        third,
        Call("a", edited_turns, answer("to the edited")),
        Call("a", gone_on, answer("to the further")),
    ]


def test_branches_stay_in_their_conversation_and_the_longest_wins(exchanges: Make) -> None:
    groups = group(exchanges, branching_calls())
    assert groups["conversation"].n_unique() == 1
    assert leaves(groups) == [False, False, False, True, True, True]
    assert kept(exchanges, branching_calls(), "last") == ["r6"]
    assert kept(exchanges, branching_calls(), "last", 2) == ["r4", "r6"]
    assert kept(exchanges, branching_calls(), "last", 9) == ["r4", "r5", "r6"]


@pytest.mark.parametrize("window", [3, 4, 5, 6, 9])
def test_a_history_cut_in_front_is_joined_to_its_conversation(exchanges: Make, window: int) -> None:
    calls = chat("a", 12, window) + chat("b", 12, window)
    groups = group(exchanges, calls)
    assert groups.select("true", "conversation").unique().height == 2
    assert groups["conversation"].n_unique() == 2
    assert kept(exchanges, calls, "last") == ["r12", "r24"]


@pytest.mark.parametrize("name", "abcde")
def test_a_conversation_keeps_the_name_of_its_root(exchanges: Make, name: str) -> None:
    """Though its first pair comes again, and a cut history that joins it later is shorter."""
    a = chat(name, 4)
    again = [*a[3].messages, a[3].response, a[0].messages[0]]
    calls = [a[2], Call("a", again, a[0].response)]
    cut = Call("a", a[3].messages[4:], answer("cut"))
    assert set(names(exchanges, [*calls, cut])) == set(names(exchanges, calls[:1]))


@pytest.mark.parametrize("words", ["", LONG], ids=["short", "long"])
@pytest.mark.parametrize("reply", ["Hello!", "Hello {}!"], ids=["one answer", "own answers"])
def test_a_common_opening_makes_no_common_conversation(
    exchanges: Make, words: str, reply: str
) -> None:
    hi = Message("user", f"Hi {words}")
    replies = [Message("assistant", reply.format(n) + words) for n in range(50)]
    open_context = [Call("opening", [hi], each) for each in replies]
    own = [Call(f"{n}", [hi, each, user(f"{n}")], answer("ok")) for n, each in enumerate(replies)]
    ids = names(exchanges, [*open_context, *own])
    assert len(set(ids[:50])) == 1
    assert len(set(ids)) == 51


@pytest.mark.parametrize(("ways", "expected"), [(MAX_BRANCHES, 1), (MAX_BRANCHES + 1, 10)])
@pytest.mark.parametrize("start", [0, 2], ids=["whole histories", "cut histories"])
def test_a_turn_is_an_opening_from_a_named_number_of_ways_on(
    exchanges: Make, start: int, ways: int, expected: int
) -> None:
    first, second = chat("a", 2)
    begins = [*second.messages[start:], second.response]
    gone_on = [Call("a", [*begins, user(f"way {n}")], answer("ok")) for n in range(ways)]
    assert len(set(names(exchanges, [first, second, *gone_on]))) == expected


def test_a_pair_that_ends_turns_of_several_conversations_joins_none(exchanges: Make) -> None:
    question, reply = user("When do you open?"), answer("At nine")
    calls = [Call(n, [*chat(n, 2)[1].messages, answer("ok"), question], reply) for n in "abc"]
    cut = Call("?", [question, reply, user("And on Sundays?")], answer("Never"))
    assert len(set(names(exchanges, [*calls, cut]))) == 4
    assert len(set(names(exchanges, [calls[0], cut]))) == 1


def test_a_conversation_is_named_by_its_metadata_where_it_has_the_key(exchanges: Make) -> None:
    a, b = chat("a", 4), chat("b", 2)
    calls = [
        a[0]._replace(metadata={"session": "s1"}),
        a[1]._replace(metadata={"session": "s2", "other": "x"}),
        a[2]._replace(metadata={"session": " "}),
        a[3]._replace(metadata={"other": "s1"}),
        b[0]._replace(metadata={"session": "s1"}),
        b[1],
    ]
    ids = names(exchanges, calls, "session")
    assert [ids[0], ids[1], ids[4]] == ["session=s1", "session=s2", "session=s1"]
    assert ids[2] == ids[3] != ids[5]
    assert "=" not in ids[2] + ids[5]
    assert len(set(names(exchanges, calls))) == 2


def test_fifty_chats_of_two_hundred_turns_come_apart(exchanges: Make) -> None:
    ends = frame(exchanges, [chat(f"chat {n}", 200)[-1] for n in range(50)])
    sizes = pl.DataFrame({"size": range(1, 400, 2)})
    turns = ends.join(sizes, how="cross").with_columns(pl.col("path").list.head("size"))
    groups = group_conversations(turns, None)
    assert groups["conversation"].n_unique() == 50
    assert groups.select("true", "conversation").unique().height == 50
    assert choose_turns(groups, "last").kept["depth"].to_list() == [399] * 50


@st.composite
def _forest(draw: st.DrawFn) -> list[Call]:
    """Conversations whose turns grow from any of their own before; no text comes twice."""
    texts = count()
    calls = list[Call]()
    for n in range(draw(st.integers(1, 4))):
        mine = [Call(f"chat {n}", [user(f"{next(texts)}")], answer(f"{next(texts)}"))]
        for _ in range(draw(st.integers(0, 7))):
            parent = draw(st.sampled_from(mine))
            messages = [*parent.messages, parent.response, user(f"{next(texts)}")]
            mine.append(Call(f"chat {n}", messages, answer(f"{next(texts)}")))
        window = draw(st.sampled_from([None, None, 3, 5]))
        calls += [each._replace(messages=each.messages[-(window or 99) :]) for each in mine]
    return calls


@given(calls=_forest(), data=st.data())
def test_what_is_left_of_a_conversation_has_one_name_and_never_anothers(
    exchanges: Make, calls: list[Call], data: st.DataObject
) -> None:
    left = [each for each in calls if data.draw(st.booleans())]
    ids = names(exchanges, left)
    for (one, name), (other, other_name) in combinations(zip(left, ids, strict=True), 2):
        short, long = sorted((one.messages, other.messages), key=len)
        if long[: len(short)] == short:
            assert name == other_name
        if one.conversation != other.conversation:
            assert name != other_name


@given(calls=_forest(), seed=st.integers(0, 99), policy=st.sampled_from(["last", "each", "first"]))
def test_the_order_of_the_rows_changes_nothing(
    exchanges: Make, calls: list[Call], seed: int, policy: Policy
) -> None:
    whole = frame(exchanges, calls)
    groups = group_conversations(whole, None)
    other_groups = group_conversations(whole.sample(fraction=1, shuffle=True, seed=seed), None)
    assert other_groups.sort("line").equals(groups)
    one, other = choose_turns(groups, policy, 2), choose_turns(other_groups, policy, 2)
    assert one.kept.equals(other.kept.sort("line"))
    assert one.rejected.equals(other.rejected.sort("line"))


@given(calls=_forest(), data=st.data())
def test_later_turns_rename_no_conversation(
    exchanges: Make, calls: list[Call], data: st.DataObject
) -> None:
    """The calls stand in the order of time, so any beginning is what was logged by then."""
    by_then = data.draw(st.integers(0, len(calls)))
    assert names(exchanges, calls)[:by_then] == names(exchanges, calls[:by_then])


@given(
    calls=_forest(),
    policy=st.sampled_from(["last", "each", "first"]),
    most=st.sampled_from([None, 1, 2, 3]),
    data=st.data(),
)
def test_every_conversation_keeps_a_turn_and_every_other_names_it(
    exchanges: Make, calls: list[Call], policy: Policy, most: int | None, data: st.DataObject
) -> None:
    groups = group(exchanges, calls)
    groups = groups.filter(pl.Series([data.draw(st.booleans()) for _ in calls], dtype=pl.Boolean))
    result = choose_turns(groups, policy, most)
    assert result.kept.height + result.rejected.height == groups.height
    assert set(result.kept["conversation"]) == set(groups["conversation"])
    assert set(result.rejected["reason"]) <= {"curate_conversation_turn"}
    both = result.rejected.join(result.kept, left_on="survivor", right_on="request_id")
    assert both.height == result.rejected.height
    assert (both["conversation"] == both["conversation_right"]).all()
    limit = most or (len(calls) if policy == "each" else 1)
    assert result.kept.group_by("conversation").len()["len"].le(limit).all()


@pytest.mark.parametrize(
    ("policy", "most", "expected"),
    [
        ("last", None, ["r4"]),
        ("last", 3, ["r4"]),
        ("first", None, ["r1"]),
        ("first", 2, ["r1", "r2"]),
        ("each", None, ["r1", "r2", "r3", "r4"]),
        ("each", 3, ["r1", "r2", "r3"]),
    ],
)
def test_each_policy_keeps_the_turns_it_names(
    exchanges: Make, policy: Policy, most: int | None, expected: list[str]
) -> None:
    assert kept(exchanges, chat("a", 4), policy, most) == expected


def test_the_last_turn_is_that_of_the_rows_given(exchanges: Make) -> None:
    groups = group(exchanges, chat("a", 4)).filter(pl.col("request_id") != "r4")
    result = choose_turns(groups, "last")
    assert result.kept["request_id"].to_list() == ["r3"]
    assert result.rejected.select("request_id", "survivor").rows() == [("r1", "r3"), ("r2", "r3")]
    assert result.kept.columns == groups.columns
    assert result.rejected.columns == [*groups.columns, "survivor", "reason"]


@pytest.mark.parametrize(
    ("policy", "times", "expected"),
    [
        ("last", [0, 2, 1], "r2"),
        ("last", [0, None, 0], "r1"),
        ("first", [1, 0, 2], "r2"),
        ("first", [None, 1, 1], "r2"),
        ("each", [1, 1, 1], "r1"),
    ],
)
def test_ties_go_by_time_and_then_by_the_lowest_id(
    exchanges: Make, policy: Policy, times: list[int | None], expected: str
) -> None:
    at = [None if n is None else NOON + timedelta(seconds=n) for n in times]
    groups = group(exchanges, [Call("a", [user("a")], answer(f"{n}")) for n in range(3)])
    groups = groups.with_columns(pl.Series("timestamp", at, dtype=pl.Datetime("us", "UTC")))
    assert choose_turns(groups, policy, 1).kept["request_id"].to_list() == [expected]


@pytest.mark.parametrize(
    ("order", "expected"),
    [([0, 1, 2], "r3"), ([1, 2], "r2"), ([2], "r1"), ([0, 1, 2, 3], "r3"), ([1, 2, 1], "r2")],
)
def test_a_pair_that_comes_again_hides_no_deeper_turn(
    exchanges: Make, order: list[int], expected: str
) -> None:
    """The deepest turn ends with the pair that its conversation, and a branch, begin with."""
    question, reply, soso = user("Is it up?"), answer("It is up"), answer("So so")
    opening, other = [question, reply, user("And now?")], [question, reply, user("And there?")]
    deepest = Call("a", [*opening, soso, question], reply)
    first, second = Call("a", [question], reply), Call("a", opening, soso)
    calls = [first, second, deepest, Call("a", other, soso)]
    left = [calls[n] for n in order]
    assert (kept(exchanges, left, "last"), len(set(names(exchanges, left)))) == ([expected], 1)


def test_histories_that_lead_in_a_circle_keep_a_turn(exchanges: Make) -> None:
    pairs = [(user(f"ask {n}"), answer(f"hear {n}")) for n in range(3)]
    calls = [Call("a", [*pairs[n], pairs[(n + 1) % 3][0]], pairs[(n + 1) % 3][1]) for n in range(3)]
    assert len(set(names(exchanges, calls))) == len(kept(exchanges, calls, "last")) == 1
