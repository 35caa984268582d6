"""What was trained on before is left out, but for a stable share; a build again sees the same."""

from collections.abc import Callable, Sequence
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock_sluice.transforms.curate.trained_before import (
    TRAINED,
    as_excluded,
    drop_trained,
    registry_facts,
)
from bedrock_sluice.transforms.errors import ConfigError, IntegrityError
from bedrock_sluice.transforms.fates import FilterResult, rejected_fates

Json = dict[str, Any]
Make = Callable[[Sequence[Json]], pl.DataFrame]

FIRST, SECOND = "2026-10-01-aaaaaaaaaaaa", "2026-10-02-bbbbbbbbbbbb"


def registry_rows(*rows: tuple[str, str, str]) -> pl.DataFrame:
    """Rows of a prompt digest, a release and a state."""
    return pl.DataFrame(rows, schema=TRAINED, orient="row")


def drop(
    exchanges: pl.DataFrame,
    registry: pl.DataFrame,
    share: float = 0.0,
    salt: str = "s",
    **more: str,
) -> FilterResult:
    return drop_trained(
        exchanges, registry, keep_share=share, salt=salt, except_release=more.get("except_release")
    )


def kept_ids(result: FilterResult) -> list[str]:
    return result.kept["request_id"].to_list()


def many(number: int) -> pl.DataFrame:
    """Prompts that two records each have."""
    rows = [{"request_id": f"r{n}", "prompt_digest": f"p{n // 2}"} for n in range(2 * number)]
    return pl.DataFrame(rows, schema={"request_id": pl.String, "prompt_digest": pl.String})


def all_trained(number: int) -> pl.DataFrame:
    return registry_rows(*((f"p{n}", FIRST, "registered") for n in range(number)))


@pytest.mark.parametrize(
    ("state", "kept"),
    [("reserved", ["r1", "r3"]), ("registered", ["r1", "r3"]), ("released", ["r1", "r2", "r3"])],
)
def test_a_prompt_counts_as_used_unless_its_job_came_to_nothing(
    exchanges: Make, state: str, kept: list[str]
) -> None:
    result = drop(exchanges([{}, {}, {}]), registry_rows(("digest-2", FIRST, state)))
    assert kept_ids(result) == kept
    assert result.kept.height + result.rejected.height == 3


def test_the_fate_names_the_release_that_used_the_prompt(exchanges: Make) -> None:
    frame = exchanges([{}, {"prompt_digest": "digest-1"}, {}])
    registry = registry_rows(("digest-1", SECOND, "reserved"), ("digest-1", FIRST, "registered"))
    fates = rejected_fates(drop(frame, registry).rejected)
    rows = fates.select("request_id", "fate", "stage", "reason", "survivor", "detail").rows()
    reason = ("dropped", "curate", "curate_trained_before", None, FIRST)
    assert rows == [("r1", *reason), ("r2", *reason)]


def test_what_is_kept_has_the_columns_and_the_order_that_it_came_with(exchanges: Make) -> None:
    frame = exchanges([{}, {}, {}]).sort("line", descending=True)
    result = drop(frame, registry_rows(("digest-2", FIRST, "reserved")))
    assert result.kept.equals(frame.filter(pl.col("request_id") != "r2"))


@pytest.mark.parametrize(("own", "kept"), [(FIRST, ["r1"]), (SECOND, ["r2"]), ("gone", [])])
def test_a_release_does_not_stand_in_its_own_way(
    exchanges: Make, own: str, kept: list[str]
) -> None:
    registry = registry_rows(("digest-1", FIRST, "registered"), ("digest-2", SECOND, "registered"))
    assert kept_ids(drop(exchanges([{}, {}]), registry, except_release=own)) == kept


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_nothing_comes_to_nothing(exchanges: Make, share: float) -> None:
    none, registry = exchanges([]), registry_rows(("digest-1", FIRST, "reserved"))
    result = drop(none, registry, share)
    assert (result.kept.schema, result.rejected.height) == (none.schema, 0)
    assert drop(exchanges([{}]), TRAINED.to_frame(), share).kept.equals(exchanges([{}]))


@pytest.mark.parametrize(("share", "least", "most"), [(0, 0, 0), (0.25, 200, 300), (1, 1000, 1000)])
def test_a_share_of_the_prompts_is_kept(share: float, least: int, most: int) -> None:
    kept = drop(many(1_000), all_trained(1_000), share).kept
    assert least <= kept["prompt_digest"].n_unique() <= most
    assert kept.height == 2 * kept["prompt_digest"].n_unique()  # a prompt is kept whole


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_what_is_no_share_is_refused(exchanges: Make, share: float) -> None:
    with pytest.raises(ConfigError, match="give a number from 0 to 1"):
        drop(exchanges([{}]), TRAINED.to_frame(), share)


@given(rows=st.permutations(range(24)), cut=st.integers(0, 24), share=st.floats(0, 1))
def test_what_is_kept_depends_on_the_prompt_alone(rows: list[int], cut: int, share: float) -> None:
    whole = drop(many(12), all_trained(12), share).kept["request_id"]
    some = many(12)[rows[:cut]]
    expected = some.filter(pl.col("request_id").is_in(whole.implode()))
    assert drop(some, all_trained(12).reverse(), share).kept.equals(expected)


@given(low=st.floats(0, 1), high=st.floats(0, 1))
def test_a_higher_share_keeps_what_a_lower_one_keeps(low: float, high: float) -> None:
    low, high = sorted((low, high))
    fewer, more = (set(kept_ids(drop(many(50), all_trained(50), s))) for s in (low, high))
    assert fewer <= more


def test_another_salt_keeps_other_prompts() -> None:
    first, second = (kept_ids(drop(many(50), all_trained(50), 0.5, salt)) for salt in "ab")
    assert first != second


def test_the_facts_for_the_manifest_are_the_releases_that_count() -> None:
    registry = registry_rows(
        ("c", SECOND, "reserved"),
        ("b", FIRST, "registered"),
        ("a", FIRST, "registered"),
        ("d", "2026-10-03-cccccccccccc", "released"),
    )
    assert registry_facts(registry) == [FIRST, SECOND]
    assert registry_facts(TRAINED.to_frame()) == []


@pytest.mark.parametrize("state_now", ["reserved", "registered", "released"])
def test_a_build_again_heeds_what_the_first_build_heeded(exchanges: Make, state_now: str) -> None:
    before = registry_rows(("digest-1", FIRST, "reserved"))
    now = registry_rows(("digest-1", FIRST, state_now), ("digest-2", SECOND, "registered"))
    again = as_excluded(now, registry_facts(before))
    assert registry_facts(again) == [FIRST]
    frame = exchanges([{}, {}, {}])
    assert drop(frame, again).kept.equals(drop(frame, before).kept)


def test_a_registry_that_lost_a_release_can_not_be_heeded() -> None:
    with pytest.raises(IntegrityError, match=f"{SECOND} is missing"):
        as_excluded(registry_rows(("a", FIRST, "reserved")), [FIRST, SECOND])
