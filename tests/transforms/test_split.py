"""The split: groups stay on their side whatever is added, and few lines change over the limit."""

from collections.abc import Callable, Sequence
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock_sluice.transforms.split import assign_groups, split

Json = dict[str, Any]
Make = Callable[[Sequence[Json]], pl.DataFrame]


def prompts(groups: Sequence[str]) -> pl.DataFrame:
    """One prompt of each group given; a group that is repeated has two by turns."""
    return pl.DataFrame(
        {
            "request_id": [f"r{n}" for n in range(len(groups))],
            "prompt_digest": [f"{group}/{n % 2}" for n, group in enumerate(groups)],
            "group": groups,
        },
        schema={"request_id": pl.String, "prompt_digest": pl.String, "group": pl.String},
    )


def sides(frame: pl.DataFrame, salt: str = "", validation: float = 0.3) -> dict[str, set[str]]:
    """The sides on which each group stands."""
    kept = split(frame, validation=validation, max_lines=20_000, salt=salt).kept
    told: dict[str, set[str]] = {}
    for group, side in kept.select("group", "split").rows():
        told.setdefault(group, set()).add(side)
    return told


_GROUPS = st.lists(st.text(max_size=8) | st.sampled_from(["a", "b"]), max_size=20)


@given(old=_GROUPS, new=_GROUPS, salt=st.text(max_size=16))
def test_new_prompts_move_no_old_group(old: list[str], new: list[str], salt: str) -> None:
    before = sides(prompts(old), salt)
    after = sides(prompts([*new, *old]), salt)
    assert all(len(each) == 1 for each in after.values())
    assert {group: after[group] for group in before} == before


def test_this_very_split_never_changes() -> None:
    """A golden: whoever changes the hash moves every group of every dataset there is."""
    told = sides(prompts([f"g{n}" for n in range(12)]), validation=0.5)
    held_out = sorted(group for group, side in told.items() if side == {"validation"})
    assert held_out == ["g2", "g3", "g9"]


@pytest.mark.parametrize("validation", [0.0, 0.1, 0.5])
def test_the_share_is_what_was_asked_for(validation: float) -> None:
    told = sides(prompts([f"g{n}" for n in range(4_000)]), validation=validation)
    share = sum(side == {"validation"} for side in told.values()) / len(told)
    assert share == pytest.approx(validation, abs=0.03)


def test_another_salt_is_another_split() -> None:
    frame = prompts([f"g{n}" for n in range(400)])
    one, same, other = sides(frame, "a"), sides(frame, "a"), sides(frame, "b")
    assert one == same
    moved = sum(one[group] != other[group] for group in one)
    assert 100 < moved < 250  # 2 × 0.3 × 0.7 of them, by chance


def _kept(frame: pl.DataFrame, max_lines: int) -> list[str]:
    kept = split(frame, validation=0.1, max_lines=max_lines, salt="s").kept
    return kept["request_id"].to_list()


def test_over_the_limit_mostly_the_same_lines_are_kept() -> None:
    whole = prompts([f"g{n}" for n in range(1_100)])
    before, after = _kept(whole.head(1_000), 500), _kept(whole, 500)
    assert len(before) == len(after) == 500
    assert len(set(before) - set(after)) < 80  # a tenth more prompts push out a tenth of the lines


def test_the_limit_rejects_the_rest_with_a_reason() -> None:
    sifted = split(prompts(["a", "b", "c"]), validation=0.1, max_lines=2, salt="")
    assert sifted.kept.height == 2
    assert sifted.rejected["reason"].to_list() == ["split_over_max_lines"]
    assert sifted.kept.columns == ["request_id", "prompt_digest", "group", "split"]


def test_the_limit_keeps_the_share() -> None:
    """Where each prompt is a group of its own, its side must not tell its place in the order."""
    digests = [f"d{n}" for n in range(4_000)]
    frame = pl.DataFrame({"request_id": digests, "prompt_digest": digests, "group": digests})
    kept = split(frame, validation=0.3, max_lines=1_000, salt="").kept
    assert (kept["split"] == "validation").sum() == pytest.approx(300, abs=60)


def test_the_limit_moves_no_line_to_the_other_side() -> None:
    frame = prompts([f"g{n}" for n in range(100)])
    whole = split(frame, validation=0.5, max_lines=100, salt="").kept
    some = split(frame, validation=0.5, max_lines=40, salt="").kept
    assert some.equals(whole.head(40))


@given(groups=_GROUPS, seed=st.integers(0, 99), max_lines=st.integers(1, 20))
def test_the_order_of_the_rows_changes_nothing(
    groups: list[str], seed: int, max_lines: int
) -> None:
    frame = prompts(groups)
    shuffled = frame.sample(fraction=1, shuffle=True, seed=seed)
    one, other = (
        split(each, validation=0.3, max_lines=max_lines, salt="") for each in (frame, shuffled)
    )
    assert one.kept.equals(other.kept)
    assert one.rejected.equals(other.rejected)
    assert one.kept.height + one.rejected.height == frame.height


@pytest.mark.parametrize(
    ("keys", "metadata", "group"),
    [
        ([], {"user": "u1"}, "digest-1"),
        (["user"], {"user": "u1", "team": "t"}, '{"user":"u1"}'),
        (["user", "team"], {"team": "t", "user": "u1"}, '{"user":"u1","team":"t"}'),
        (["user", "team"], {"user": "u1"}, "digest-1"),
        (["user", "user"], {"user": "u1"}, '{"user":"u1"}'),
        (["user"], {}, "digest-1"),
        (["user"], None, "digest-1"),
        (["user"], {"user": ""}, '{"user":""}'),
        (["user"], {"user": 'u"1,'}, '{"user":"u\\"1,"}'),
    ],
)
def test_a_group_is_the_values_of_the_keys_or_the_prompt(
    exchanges: Make, keys: list[str], metadata: Json | None, group: str
) -> None:
    frame = exchanges([{"request_metadata": metadata}])
    assert assign_groups(frame, keys)["group"].to_list() == [group]
