"""The split: groups stay on their side whatever is added, and few lines change over the limit."""

from collections.abc import Callable, Sequence
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock_sluice.transforms.split import (
    LINKS,
    SIDES,
    link_beginnings,
    link_groups,
    name_roots,
    split,
)

Json = dict[str, Any]
Make = Callable[[Sequence[Json]], pl.DataFrame]
Pairs = Sequence[tuple[str, str]]
Days = list[tuple[list[str], list[tuple[str, str]]]]

# With the empty salt, and half of the groups held out (see the golden test).
HELD, TRAINED = ("g2", "g3", "g9"), ("g0", "g1", "g4")


def link_table(pairs: Pairs) -> pl.DataFrame:
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


def rows_with_sides(pairs: Pairs = ()) -> pl.DataFrame:
    """The sides of roots in earlier releases."""
    return pl.DataFrame(list(pairs), schema=SIDES, orient="row")


def split_roots(
    roots: Sequence[str],
    pairs: Pairs = (),
    earlier: Pairs = (),
    salt: str = "",
    validation: float = 0.5,
) -> pl.DataFrame:
    links = link_table(pairs)
    return split(prompts(roots), links, rows_with_sides(earlier), validation=validation, salt=salt)


def sides(rows: pl.DataFrame, column: str = "root") -> dict[str, set[str]]:
    """The sides on which each value of `column` stands."""
    sides_by_value: dict[str, set[str]] = {}
    for value, side in rows.select(column, "split").rows():
        sides_by_value.setdefault(value, set()).add(side)
    return sides_by_value


_ROOTS = st.lists(st.text(max_size=8) | st.sampled_from(["a", "b"]), max_size=20)


@given(old=_ROOTS, new=_ROOTS, salt=st.text(max_size=16))
def test_new_prompts_move_no_old_group(old: list[str], new: list[str], salt: str) -> None:
    before = sides(split_roots(old, salt=salt, validation=0.3))
    after = sides(split_roots([*new, *old], salt=salt, validation=0.3))
    assert all(len(each) == 1 for each in after.values())
    assert {root: after[root] for root in before} == before


def test_this_very_split_never_changes() -> None:
    """A golden: whoever changes the hash moves every group of every dataset there is."""
    sides_of = sides(split_roots([f"g{n}" for n in range(12)]))
    assert sorted(root for root, side in sides_of.items() if side == {"validation"}) == [*HELD]


@pytest.mark.parametrize("validation", [0.0, 0.1, 0.5])
def test_the_share_is_what_was_asked_for(validation: float) -> None:
    sides_of = sides(split_roots([f"g{n}" for n in range(4_000)], validation=validation))
    share = sum(side == {"validation"} for side in sides_of.values()) / len(sides_of)
    assert share == pytest.approx(validation, abs=0.03)


def test_another_salt_is_another_split() -> None:
    roots = [f"g{n}" for n in range(400)]
    one, same, other = (sides(split_roots(roots, salt=s, validation=0.3)) for s in ("a", "a", "b"))
    assert one == same
    move_count = sum(one[root] != other[root] for root in one)
    assert 100 < move_count < 250  # 2 × 0.3 × 0.7 of them, by chance


def test_without_links_a_group_is_its_root() -> None:
    rows = split_roots([*HELD, *TRAINED])
    assert rows.columns == ["request_id", "prompt_digest", "root", "group", "split"]
    assert rows["group"].equals(rows["root"], check_names=False)
    assert split_roots([]).columns == rows.columns


def test_linked_roots_are_one_group_of_one_side() -> None:
    rows = split_roots([*HELD, *TRAINED], [("g4", "g1"), ("g2", "g4"), ("x", "g2")])
    assert sides(rows, "group") == {
        "g0": {"train"}, "g1": {"train"}, "g3": {"validation"}, "g9": {"validation"},
    }  # fmt: skip


@pytest.mark.parametrize("size", [1, 2, 5, 20])
def test_the_share_is_one_of_groups_however_large_they_are(size: int) -> None:
    """Groups of look-alikes weigh as much as any other, and none is more likely to be held out."""
    roots = [f"g{n}/{m}" for n in range(2_000) for m in range(size)]
    pairs = [(f"g{n}/0", f"g{n}/{m}") for n in range(2_000) for m in range(1, size)]
    sides_of = sides(split_roots(roots, pairs, validation=0.1), "group")
    share = sum(side == {"validation"} for side in sides_of.values()) / len(sides_of)
    assert len(sides_of) == 2_000
    assert share == pytest.approx(0.1, abs=0.02)


@pytest.mark.parametrize(
    ("pairs", "earlier", "expected"),
    [
        ([], {"g0": "validation", "g2": "train"}, {"g0": "validation", "g2": "train"}),
        ([("g0", "g1")], {"g1": "validation"}, {"g0": "validation", "g1": "validation"}),
        ([("g2", "g3")], {"g3": "train"}, {"g2": "train", "g3": "train"}),
        # What is not among the prompts any more still decides, where a link leads to it.
        ([("g0", "x"), ("x", "g1")], {"x": "validation"}, {"g0": "validation"}),
    ],
)
def test_a_group_keeps_the_side_that_it_had(
    pairs: list[tuple[str, str]], earlier: dict[str, str], expected: dict[str, str]
) -> None:
    rows = split_roots(["g0", "g1", "g2", "g3"], pairs, list(earlier.items()))
    side_of = {root: side for root, (side,) in sides(rows).items()}
    assert side_of.items() >= expected.items()


def test_where_new_data_join_both_sides_each_old_root_keeps_its_own() -> None:
    """What is new goes to validation, unless only what was trained on leads to it."""
    earlier = [("g2", "validation"), ("g0", "train"), ("g1", "train"), ("g1", "validation")]
    pairs = [("g0", "g2"), ("g2", "new"), ("new", "g0"), ("g2", "g1"), ("g0", "beyond")]
    rows = split_roots(["g0", "new", "g2", "g1", "beyond"], pairs, earlier)
    held_out = {name: {"validation"} for name in ("g1", "g2", "new")}
    assert sides(rows) == held_out | {"g0": {"train"}, "beyond": {"train"}}
    assert all(len(each) == 1 for each in sides(rows, "group").values())


def test_a_link_said_a_thousand_times_still_holds() -> None:
    sides_of = sides(split_roots(["g0", "g2"], [("g0", "g2")] * 1_024), "group")
    assert list(sides_of) == ["g0"]


_ROOT = st.integers(0, 14).map("g{}".format)


@given(
    days=st.lists(
        st.tuples(st.lists(_ROOT, max_size=8), st.lists(st.tuples(_ROOT, _ROOT), max_size=4)),
        min_size=2,
        max_size=5,
    ),
    window=st.integers(1, 5),
)
def test_over_the_days_nothing_moves_between_the_sides(days: Days, window: int) -> None:
    """A release after each day, of the last days; links come and go with the days."""
    earlier = list[tuple[str, str]]()
    for day in range(1, len(days) + 1):
        inside = days[max(0, day - window) : day]
        roots = [root for some, _ in inside for root in some]
        pairs = [pair for _, some in inside for pair in some]
        rows = split_roots(roots, pairs, earlier, validation=0.4, salt="s")
        sides_of = sides(rows)
        assert all(len(side) == 1 for side in [*sides_of.values(), *sides(rows, "group").values()])
        before = dict(earlier)
        assert all(before.get(root, side) == side for root, (side,) in sides_of.items())
        assert rows.height == len(roots)
        earlier += [(root, side) for root, (side,) in sides_of.items()]


@given(
    roots=_ROOTS,
    pairs=st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from("abcd")), max_size=6),
    seed=st.integers(0, 99),
)
def test_the_order_of_the_rows_changes_nothing(
    roots: list[str], pairs: list[tuple[str, str]], seed: int
) -> None:
    frame, links = prompts(roots), link_table(pairs)
    swapped_links = link_table([(right, left) for left, right in reversed(pairs)])
    shuffled_rows = frame.sample(fraction=1, shuffle=True, seed=seed)
    one = split(frame, links, rows_with_sides(), validation=0.3, salt="")
    other = split(shuffled_rows, swapped_links, rows_with_sides(), validation=0.3, salt="")
    assert one.equals(other)
    assert one.height == frame.height


def test_kept_prompts_are_shuffled_and_what_is_added_leaves_their_order() -> None:
    roots = [f"g{n}" for n in range(100)]
    whole = split_roots(roots)["request_id"].to_list()
    assert whole != sorted(whole)
    some = split_roots(roots[:50])["request_id"].to_list()
    assert [each for each in whole if each in set(some)] == some


def root_names(
    exchanges: Make, rows: Sequence[Json], keys: Sequence[str] = (), session: str | None = None
) -> list[str]:
    frame = exchanges([{"request_metadata": row.get("metadata")} for row in rows]).with_columns(
        pl.Series("path", [row["path"] for row in rows], dtype=pl.List(pl.UInt64)),
        pl.Series("session", [row.get("session") for row in rows], dtype=pl.String),
    )
    key = pl.col(session) if session else None
    return name_roots(frame, group_by=keys, session=key, salt="s")["root"].to_list()


def test_a_root_is_the_values_of_the_keys_else_the_session_else_what_was_asked_first(
    exchanges: Make,
) -> None:
    rows: list[Json] = [
        {"path": [1], "metadata": {"user": "u1", "team": "t"}, "session": "a"},
        {"path": [2], "metadata": {"team": "t", "user": "u1"}, "session": "b"},
        {"path": [1], "metadata": {"user": 'u"1'}, "session": "a"},
        {"path": [1, 3], "metadata": None, "session": None},
        {"path": [1], "metadata": {}, "session": None},
    ]

    def same(keys: Sequence[str] = (), session: str | None = None) -> list[int]:
        roots = root_names(exchanges, rows, keys, session)
        return [roots.index(root) for root in roots]

    assert same() == [0, 1, 0, 0, 0]
    assert same(["user"]) == [0, 0, 2, 3, 3]
    assert same(["user", "team", "user"]) == [0, 0, 2, 2, 2]
    assert same([], "session") == [0, 1, 0, 3, 3]
    assert same(["team"], "session") == [0, 0, 2, 3, 3]


def test_a_root_tells_nothing_of_the_values_that_it_is_made_of(exchanges: Make) -> None:
    (root,) = root_names(
        exchanges, [{"path": [1], "metadata": {"user": "anna@example.com"}}], ["user"]
    )
    assert (len(root), "anna" in root) == (32, False)


def test_a_prompt_and_what_begins_with_it_are_tied() -> None:
    records = pl.DataFrame(
        {"root": ["a", "b", "c", "d"], "path": [[1, 2, 3], [1], [4, 5], []]},
        schema={"root": pl.String, "path": pl.List(pl.UInt64)},
    )
    assert link_beginnings(records).rows() == [("b", "a")]


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
    links = link_groups(records, "session")
    assert links.schema == LINKS
    assert links.rows() == [*pairs]
    assert link_groups(records, pl.col("session").str.to_uppercase()).equals(links)
