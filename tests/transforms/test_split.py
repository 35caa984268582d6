"""The split: groups stay on their side whatever is added, and few lines change over the limit."""

from collections.abc import Callable, Sequence
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock_sluice.transforms.fates import Sifted
from bedrock_sluice.transforms.split import LINKS, assign_groups, split, tie

Json = dict[str, Any]
Make = Callable[[Sequence[Json]], pl.DataFrame]
Pairs = Sequence[tuple[str, str]]
History = tuple[list[list[str]], list[list[tuple[str, str]]], list[bool]]

# With the empty salt, and half of the groups held out (see the golden test).
HELD, TRAINED = ("g2", "g3", "g9"), ("g0", "g1", "g4")


def linked(pairs: Pairs) -> pl.DataFrame:
    return pl.DataFrame(list(pairs), schema=LINKS, orient="row")


def prompts(roots: Sequence[str]) -> pl.DataFrame:
    """One prompt of each root given; a root that is repeated has two by turns."""
    return pl.DataFrame(
        {
            "request_id": [f"r{n}" for n in range(len(roots))],
            "prompt_digest": [f"{root}/{n % 2}" for n, root in enumerate(roots)],
            "root": roots,
        },
        schema={"request_id": pl.String, "prompt_digest": pl.String, "root": pl.String},
    )


def divided(
    roots: Sequence[str], pairs: Pairs = (), salt: str = "", validation: float = 0.5
) -> Sifted:
    return split(prompts(roots), linked(pairs), validation=validation, salt=salt)


def sides(sifted: Sifted, column: str = "root") -> dict[str, set[str]]:
    """The sides on which each value of `column` stands."""
    told: dict[str, set[str]] = {}
    for value, side in sifted.kept.select(column, "split").rows():
        told.setdefault(value, set()).add(side)
    return told


_ROOTS = st.lists(st.text(max_size=8) | st.sampled_from(["a", "b"]), max_size=20)


@given(old=_ROOTS, new=_ROOTS, salt=st.text(max_size=16))
def test_new_prompts_move_no_old_group(old: list[str], new: list[str], salt: str) -> None:
    before = sides(divided(old, salt=salt, validation=0.3))
    after = sides(divided([*new, *old], salt=salt, validation=0.3))
    assert all(len(each) == 1 for each in after.values())
    assert {root: after[root] for root in before} == before


def test_this_very_split_never_changes() -> None:
    """A golden: whoever changes the hash moves every group of every dataset there is."""
    told = sides(divided([f"g{n}" for n in range(12)]))
    assert sorted(root for root, side in told.items() if side == {"validation"}) == [*HELD]


@pytest.mark.parametrize("validation", [0.0, 0.1, 0.5])
def test_the_share_is_what_was_asked_for(validation: float) -> None:
    told = sides(divided([f"g{n}" for n in range(4_000)], validation=validation))
    share = sum(side == {"validation"} for side in told.values()) / len(told)
    assert share == pytest.approx(validation, abs=0.03)


def test_another_salt_is_another_split() -> None:
    roots = [f"g{n}" for n in range(400)]
    one, same, other = (sides(divided(roots, salt=s, validation=0.3)) for s in ("a", "a", "b"))
    assert one == same
    moved = sum(one[root] != other[root] for root in one)
    assert 100 < moved < 250  # 2 × 0.3 × 0.7 of them, by chance


def test_without_links_a_group_is_its_root_and_nothing_is_rejected() -> None:
    sifted = divided([*HELD, *TRAINED])
    assert sifted.kept.columns == ["request_id", "prompt_digest", "root", "group", "split"]
    assert sifted.kept["group"].equals(sifted.kept["root"], check_names=False)
    assert sifted.rejected.is_empty()
    assert divided([]).kept.columns == sifted.kept.columns


def test_linked_roots_of_one_side_are_one_group() -> None:
    sifted = divided(TRAINED, [("g4", "g1"), ("g0", "g4")])
    assert sifted.kept.select("group", "split").unique().rows() == [("g0", "train")]
    assert sifted.rejected.is_empty()


@pytest.mark.parametrize(
    ("roots", "pairs", "evicted"),
    [
        (["g0", "g2"], [("g0", "g2")], {"r0": "r1"}),
        (["g0", "g2"], [("g2", "g0"), ("g0", "g2"), ("g0", "g0")], {"r0": "r1"}),
        (["g0", "g1", "g3", "g2"], [("g0", "g1"), ("g1", "g3")], {"r0": "r2", "r1": "r2"}),
        (["g3", "g0", "g2"], [("g0", "g2"), ("g0", "g3")], {"r1": "r0"}),
        (["g0", "g1"], [("g0", "g2")], {"r0": None}),  # what validation held is gone by now
        (["g0", "g1"], [("g0", "x"), ("x", "y"), ("y", "g9")], {"r0": None}),
        (["g0", "g2"], [("g0", "g1"), ("g2", "g3")], {}),
    ],
)
def test_validation_wins_where_a_link_joins_both_sides(
    roots: list[str], pairs: Pairs, evicted: dict[str, str | None]
) -> None:
    sifted = divided(roots, pairs)
    assert dict(sifted.rejected.select("request_id", "survivor").rows()) == evicted
    assert set(sifted.rejected["reason"]) <= {"split_joined_validation"}
    assert set(sifted.kept["request_id"]) == {f"r{n}" for n in range(len(roots))} - set(evicted)


def test_a_link_said_a_thousand_times_still_holds() -> None:
    assert divided(["g0", "g2"], [("g0", "g2")] * 1_024).kept["root"].to_list() == ["g2"]


@st.composite
def histories(draw: st.DrawFn) -> History:
    """Some days: the roots of each day's records, its links, and which records are dropped."""
    days = draw(st.integers(2, 4))
    root = st.integers(0, 14).map("g{}".format)
    roots = [draw(st.lists(root, max_size=8)) for _ in range(days)]
    pairs = [draw(st.lists(st.tuples(root, root), max_size=4)) for _ in range(days)]
    size = days * sum(map(len, roots))
    return roots, pairs, draw(st.lists(st.booleans(), min_size=size, max_size=size))


def builds(history: History) -> list[Sifted]:
    """A build after each day, of all days so far; which of the records were dropped may differ."""
    roots, pairs, drops = history
    built = []
    for day in range(1, len(roots) + 1):
        frame = prompts([each for some in roots[:day] for each in some])
        start = (day - 1) * sum(map(len, roots))
        is_dropped = pl.Series(drops[start : start + frame.height], dtype=pl.Boolean)
        links = linked([each for some in pairs[:day] for each in some])
        built.append(split(frame.filter(~is_dropped), links, validation=0.4, salt="s"))
    return built


@given(histories())
def test_over_the_days_nothing_changes_its_side(history: History) -> None:
    ever: dict[str, set[str]] = {}
    for sifted in builds(history):
        for column in ("root", "request_id"):
            for value, side in sides(sifted, column).items():
                ever.setdefault(value, set()).update(side)
    assert all(len(each) == 1 for each in ever.values())


@given(histories())
def test_what_a_day_held_out_no_later_day_trains_on(history: History) -> None:
    """Neither itself nor what is tied to it, even once it is gone from the prompts itself."""
    held = set[str]()
    for day, sifted in enumerate(builds(history), start=1):
        links = linked([each for some in history[1][:day] for each in some])
        names = pl.concat([sifted.kept["root"], links["left"], links["right"], pl.Series([*held])])
        everyone = prompts(names.cast(pl.String).to_list())
        groups = dict(
            split(everyone, links, validation=1, salt="s").kept.select("root", "group").rows()
        )
        trained = sifted.kept.filter(split="train")["root"]
        assert {groups[root] for root in held}.isdisjoint(groups[root] for root in trained)
        held.update(sifted.kept.filter(split="validation")["root"])


@given(histories())
def test_no_group_stands_on_both_sides_and_no_prompt_is_lost(history: History) -> None:
    roots, _, drops = history
    for day, sifted in enumerate(builds(history), start=1):
        assert all(len(each) == 1 for each in sides(sifted, "group").values())
        size = sum(map(len, roots[:day]))
        start = (day - 1) * sum(map(len, roots))
        left = drops[start : start + size].count(False)
        assert sifted.kept.height + sifted.rejected.height == left
        assert set(sifted.rejected["split"]) <= {"train"}


@given(
    roots=_ROOTS,
    pairs=st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from("abcd")), max_size=6),
    seed=st.integers(0, 99),
)
def test_the_order_of_the_rows_changes_nothing(
    roots: list[str], pairs: list[tuple[str, str]], seed: int
) -> None:
    frame, links = prompts(roots), linked(pairs)
    swapped = linked([(right, left) for left, right in reversed(pairs)])
    shuffled = frame.sample(fraction=1, shuffle=True, seed=seed)
    one = split(frame, links, validation=0.3, salt="")
    other = split(shuffled, swapped, validation=0.3, salt="")
    assert one.kept.equals(other.kept)
    assert one.rejected.equals(other.rejected)
    assert one.kept.height + one.rejected.height == frame.height


def test_kept_prompts_are_shuffled_and_what_is_added_leaves_their_order() -> None:
    roots = [f"g{n}" for n in range(100)]
    whole = divided(roots).kept["request_id"].to_list()
    assert whole != sorted(whole)
    some = divided(roots[:50]).kept["request_id"].to_list()
    assert [each for each in whole if each in set(some)] == some


@pytest.mark.parametrize(
    ("keys", "metadata", "root"),
    [
        ([], {"user": "u1"}, "root-1"),
        (["user"], {"user": "u1", "team": "t"}, '{"user":"u1"}'),
        (["user", "team"], {"team": "t", "user": "u1"}, '{"user":"u1","team":"t"}'),
        (["user", "team"], {"user": "u1"}, "root-1"),
        (["user", "user"], {"user": "u1"}, '{"user":"u1"}'),
        (["user"], {}, "root-1"),
        (["user"], None, "root-1"),
        (["user"], {"user": ""}, '{"user":""}'),
        (["user"], {"user": 'u"1,'}, '{"user":"u\\"1,"}'),
    ],
)
def test_a_root_is_the_values_of_the_keys_or_the_conversation_s(
    exchanges: Make, keys: list[str], metadata: Json | None, root: str
) -> None:
    frame = exchanges([{"request_metadata": metadata}]).with_columns(root=pl.lit("root-1"))
    assert assign_groups(frame, keys)["root"].to_list() == [root]


@pytest.mark.parametrize(
    ("rows", "pairs"),
    [
        ([("a", "s1"), ("b", "s1")], [("a", "b")]),
        ([("c", "s1"), ("b", "s1"), ("a", "s1")], [("a", "b"), ("a", "c")]),
        ([("a", "s1"), ("a", "s1"), ("a", "s2")], []),
        ([("a", "s1"), ("b", "s2")], []),
        ([("a", None), ("b", None)], []),
        ([], []),
    ],
)
def test_records_of_one_value_tie_their_roots(rows: Pairs, pairs: Pairs) -> None:
    records = pl.DataFrame(rows, schema={"root": pl.String, "session": pl.String}, orient="row")
    links = tie(records, "session")
    assert links.schema == LINKS
    assert links.rows() == [*pairs]
    assert tie(records, pl.col("session").str.to_uppercase()).equals(links)
