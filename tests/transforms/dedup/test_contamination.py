"""Contamination: prompts that hold an item of an evaluation set are found, others are not."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock_sluice.transforms.chat.texts import PARTS
from bedrock_sluice.transforms.dedup import contamination
from bedrock_sluice.transforms.dedup.contamination import (
    OVERLAPS,
    index_evaluation,
    overlaps,
    prompt_overlaps,
)
from bedrock_sluice.transforms.errors import ConfigError

QUESTION = (
    "A train leaves the station at noon and travels sixty miles an hour for three hours. "
    "How far does it go, and when does it arrive?"
)
SHORT = "What is the capital of France?"
JAPANESE = "空はなぜ青いのですか、説明してください。"
ITEMS = ["Yes", QUESTION, SHORT, JAPANESE, "", None, "two words", QUESTION.upper()]


def find_overlaps(
    text: str | None, items: list[str | None] | None = None, threshold: float = 0.8
) -> list[tuple[int, str, float]]:
    index = index_evaluation(pl.Series(items or ITEMS, dtype=pl.String))
    frame = overlaps(pl.Series([text], dtype=pl.String), index, threshold)
    return frame.select("item", "kind", pl.col("similarity").round(3)).rows()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("yes!", [(0, "exact", 1.0)]),
        ("yes sir", []),
        ("say two words now, please do it", []),
        ("", []),
        (None, []),
        ("…", []),
        (QUESTION, [(1, "exact", 1.0)]),
        (f"  {QUESTION.lower()}\n", [(1, "exact", 1.0)]),
        (f"{QUESTION} Answer!", [(1, "near", 0.957)]),
        (QUESTION.replace("arrive", "stop"), [(1, "near", 0.913)]),
        (f"Hello. {SHORT} Thanks.", [(2, "contained", 1.0)]),
        (SHORT.replace("France", "Spain"), []),
        (f"質問です。{JAPANESE}よろしく。", [(3, "contained", 1.0)]),
        ("noise " * 5_000 + QUESTION + " more noise" * 5_000, [(1, "contained", 1.0)]),
        (QUESTION.replace("at noon and", "early").replace("sixty", "six"), []),
    ],
)
def test_an_item_is_found_as_what_it_is(
    text: str | None, expected: list[tuple[int, str, float]]
) -> None:
    assert find_overlaps(text) == expected


def test_the_best_item_is_told() -> None:
    reworded_question = QUESTION.replace("arrive", "stop")
    assert find_overlaps(
        reworded_question, [QUESTION, reworded_question + " Soon", reworded_question]
    ) == [(2, "exact", 1.0)]
    assert find_overlaps(reworded_question, [SHORT, reworded_question + " Soon", QUESTION]) == [
        (1, "near", 0.957)
    ]
    assert find_overlaps(f"{SHORT} {QUESTION} {JAPANESE}", [JAPANESE, SHORT]) == [
        (0, "contained", 1.0)
    ]


def test_the_threshold_is_that_of_near_alone() -> None:
    reworded_question = QUESTION.replace("sixty", "ninety")
    assert [kind for _, kind, _ in find_overlaps(reworded_question, threshold=0.6)] == ["near"]
    assert find_overlaps(reworded_question, threshold=0.9) == []
    assert find_overlaps(f"Now: {QUESTION}", threshold=1.0) == [(1, "contained", 1.0)]


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        (("Please answer", QUESTION, ""), [(1, "exact", 1.0)]),
        (("Please answer", f"{QUESTION} Answer!", ""), [(1, "near", 0.957)]),
        (("Please answer", f"Be kind. {SHORT} Thanks.", ""), [(2, "contained", 1.0)]),
        (("Please answer", "", f"search\n{SHORT} now"), [(2, "contained", 1.0)]),
        ((QUESTION, "Be kind.", ""), [(1, "exact", 1.0)]),
        ((f"{QUESTION} Answer!", "Be kind.", "a schema"), [(1, "near", 0.957)]),
        (("…".join([JAPANESE, "…"]), SHORT, ""), [(2, "exact", 1.0)]),
        ((QUESTION[27:], f"Be kind. {QUESTION[:27]}", ""), [(1, "near", 0.917)]),
        (("yes", "two words", ""), [(0, "exact", 1.0)]),
        (("no", "say yes", "two words"), []),
        (("", "", ""), []),
    ],
)
def test_an_item_is_found_anywhere_in_a_prompt(
    parts: tuple[str, str, str], expected: list[tuple[int, str, float]]
) -> None:
    frame = pl.DataFrame([parts], schema=PARTS, orient="row")
    index = index_evaluation(pl.Series(ITEMS, dtype=pl.String))
    overlaps = prompt_overlaps(frame, index, 0.8)
    assert overlaps.schema == OVERLAPS
    assert overlaps.select("item", "kind", pl.col("similarity").round(3)).rows() == expected


_TEXTS = st.lists(
    st.lists(st.sampled_from("abc"), max_size=24).map(" ".join), min_size=1, max_size=8
)


def _runs(text: str, width: int) -> set[tuple[str, ...]]:
    words = text.split()
    return {tuple(words[n : n + width]) for n in range(len(words) - width + 1)}


def _compare_words(text: str, item: str, threshold: float) -> tuple[int, float] | None:
    """The definition, by sets: kind (the higher the better) and similarity of text and item."""
    size = len(item.split())
    if size and text.split() == item.split():
        return 2, 1.0
    if size < contamination.MIN_WORDS:
        return None
    left, right = _runs(text, 5), _runs(item, 5)
    if (near := len(left & right) / len(left | right)) >= threshold:
        return 1, near
    parts = _runs(item, min(size, contamination.CONTAINED_WIDTH))
    share = len(parts & _runs(text, min(size, contamination.CONTAINED_WIDTH))) / len(parts)
    return (0, share) if share >= contamination.CONTAINED_SHARE else None


@given(texts=_TEXTS, items=_TEXTS, threshold=st.sampled_from([0.5, 0.8, 1.0]))
def test_what_is_found_is_what_sets_of_words_say(
    texts: list[str], items: list[str], threshold: float
) -> None:
    frame = overlaps(pl.Series(texts), index_evaluation(pl.Series(items)), threshold)
    matches_by_row = {
        row: [match for item in items if (match := _compare_words(text, item, threshold))]
        for row, text in enumerate(texts)
    }
    expected = {row: max(match) for row, match in matches_by_row.items() if match}
    kinds = ["contained", "near", "exact"]
    assert {r: (kinds.index(kind), s) for r, _, kind, s in frame.rows()} == expected
    for row, item, _, _ in frame.rows():
        assert _compare_words(texts[row], items[item], threshold) == expected[row]


def test_rows_are_counted_over_chunks() -> None:
    texts = ["nothing here"] * 2_000
    for row in (3, 700, 1_999):
        texts[row] = f"{row} {QUESTION}"
    frame = overlaps(pl.Series(texts), index_evaluation(pl.Series(ITEMS)), 0.8)
    assert frame["row"].to_list() == [3, 700, 1_999]
    assert frame.schema == OVERLAPS


def test_many_items_of_one_template_are_told_apart() -> None:
    items = [f"{SHORT} Think of traveller number {n} who asks for it" for n in range(3_000)]
    texts = [f"Please: {items[n]}, now" for n in (0, 1_234, 2_999)]
    frame = overlaps(pl.Series(texts), index_evaluation(pl.Series(items)), 0.8)
    assert frame["item"].to_list() == [0, 1_234, 2_999]


def test_each_row_is_told_of_a_system_message_that_many_share() -> None:
    parts = pl.DataFrame(
        {"turns": ["a", QUESTION, "b", "c"], "system": [SHORT, SHORT, "", SHORT], "tools": [""] * 4}
    )
    overlaps = prompt_overlaps(parts, index_evaluation(pl.Series(ITEMS)), 0.8)
    assert overlaps.select("row", "item", "kind").rows() == [
        (0, 2, "exact"), (1, 1, "exact"), (3, 2, "exact")
    ]  # fmt: skip


@pytest.mark.parametrize("items", [[], [None], ["", "…"], ["yes"]])
def test_an_index_of_little_finds_nothing(items: list[str | None]) -> None:
    index = index_evaluation(pl.Series(items, dtype=pl.String))
    frame = overlaps(pl.Series([QUESTION, "", None]), index, 0.8)
    assert frame.is_empty()
    assert frame.schema == OVERLAPS


def test_no_texts_overlap_nothing() -> None:
    assert overlaps(
        pl.Series([], dtype=pl.String), index_evaluation(pl.Series(ITEMS)), 0.8
    ).is_empty()


@pytest.mark.parametrize("threshold", [0.4, 1.1, float(np.nan)])
def test_a_threshold_out_of_range_is_refused(threshold: float) -> None:
    with pytest.raises(ConfigError, match=r"give a number from 0\.5 to 1"):
        find_overlaps("text", threshold=threshold)
