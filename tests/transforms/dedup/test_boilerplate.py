"""One long instruction before many questions: questions are compared, and not the instruction."""

from collections.abc import Sequence
from random import Random

import numpy as np
import polars as pl
import pytest

from bedrock_sluice.transforms.dedup import boilerplate
from bedrock_sluice.transforms.dedup.boilerplate import Common
from bedrock_sluice.transforms.dedup.near_duplicates import MIN_CROWD, pick_survivors, similar_pairs
from bedrock_sluice.transforms.dedup.shingles import shingle, words
from bedrock_sluice.transforms.dedup.sketches import sketch

THRESHOLD = 0.8
FILLERS = ("now", "today", "please", "exactly", "in all")
NOUNS = [a + b for a in ("ba", "de", "fo", "gu", "li", "mo") for b in ("rk", "st", "lm", "nd", "x")]


def find_drops(texts: Sequence[str]) -> dict[int, int]:
    """Which texts are near duplicates, and of which."""
    series = pl.Series(texts, dtype=pl.String)
    rank = np.arange(len(texts))
    pairs, shares = similar_pairs(sketch(series), series.gather, rank, THRESHOLD)
    survivors = pick_survivors(pairs, shares, rank)
    return {row: survivor for row, survivor, _ in survivors.rows() if row != survivor}


def instruction(name: str, words: int) -> str:
    return " ".join(f"{name}{n}" for n in range(words))


def question(dice: Random, number: int) -> str:
    """Some twelve words, most of which stand in many other questions too."""
    one, other = dice.sample(NOUNS, 2)
    return f"how much does the {one} of customer{number} cost with {number * 7} {other} more"


@pytest.mark.parametrize("words", [40, 160, 600])
@pytest.mark.parametrize("place", ["before", "after", "around"])
@pytest.mark.parametrize("number", [MIN_CROWD, 200])
def test_other_questions_are_no_duplicates(words: int, place: str, number: int) -> None:
    dice = Random(words)
    begin = instruction("rule", words) if place in {"before", "around"} else ""
    end = instruction("note", words) if place in {"after", "around"} else ""
    texts = [f"{begin} {question(dice, n)} {end}" for n in range(number)]
    assert find_drops(texts) == {}


def test_the_same_question_with_another_filler_is_a_duplicate() -> None:
    """Recall and precision on planted repeats: every fifth question is asked again."""
    dice, begin = Random(1), instruction("rule", 160)
    questions = [question(dice, n) for n in range(200)]
    again = [f"{begin} {text} {dice.choice(FILLERS)}" for text in questions[::5]]
    texts = [f"{begin} {text} {dice.choice(FILLERS)}" for text in questions] + again
    truth = {200 + n: 5 * n for n in range(len(again))}
    drops = find_drops(texts)
    right = sum(drops.get(row) == survivor for row, survivor in truth.items())
    assert right / len(truth) >= 0.95  # recall
    assert right / len(drops) >= 0.95  # precision


def test_a_template_inside_of_a_template_is_looked_into() -> None:
    dice, outer = Random(2), instruction("outer", 200)
    inner = {name: instruction(name, 120) for name in ("cost", "time")}
    texts = [f"{outer} {inner[name]} {question(dice, n)}" for n in range(40) for name in inner]
    assert find_drops(texts) == {}


def test_sums_in_another_order_are_other_sums() -> None:
    begin = instruction("rule", 160)
    sums = [f"{begin} {a} minus {b}" for a in range(3, 10) for b in range(3, 10) if a != b]
    assert find_drops(sums) == {}


def test_a_crowd_that_differs_in_a_word_is_one_of_near_duplicates() -> None:
    base = instruction("word", 90).split()
    texts = [" ".join([*base[:45], f"own{n}", *base[46:]]) for n in range(60)]
    assert set(find_drops(texts).values()) == {0}


def test_a_few_likes_are_no_template() -> None:
    base = instruction("word", 90)
    texts = [f"{base} thank you very much {n}" for n in range(MIN_CROWD - 1)]
    assert set(find_drops(texts).values()) == {0}


def test_a_short_text_covers_no_words_of_the_next() -> None:
    texts = pl.Series(["two words", "five words of its own"])
    common = Common(shingle(texts[:1]).hashes, np.zeros(1, np.uint64), np.ones(1, np.int64), 2)
    own = dict(boilerplate._own_passages(words(texts), common.shingles))
    assert [len(hashes) for hashes in own.values()] == [5]
