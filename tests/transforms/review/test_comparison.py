"""What changed between two releases: each line counts once, and chance is not taken for a shift."""

from collections.abc import Callable
from random import Random

import polars as pl
import pytest

from bedrock_sluice.transforms.review.comparison import (
    CHANGES,
    COMPARED_LINES,
    compare,
    compare_words,
    stability_index,
)

NO_FATES = pl.DataFrame(schema={"request_id": pl.String, "reason": pl.String})
Line = dict[str, object]


def make_line(name: str, **changes: object) -> Line:
    line: Line = {
        "id": name,
        "prompt_digest": f"digest of {name}",
        "side": "train",
        "answer": '"4"',
        "content": "{}",
        "prompt_characters": 20,
        "answer_characters": 3,
        "messages": 1,
        "duplicates": 0,
        "model_id": "nova",
        "reference_source": "labels",
        "question": "How many?",
    }
    return line | changes


def frame(*lines: Line) -> pl.DataFrame:
    return pl.DataFrame(list(lines), schema=COMPARED_LINES)


def test_each_line_is_counted_once_as_the_gravest_of_its_changes() -> None:
    before = frame(*(make_line(name) for name in "abcdef"))
    after = frame(
        make_line("a"),
        make_line("b2", prompt_digest="digest of b"),  # another record of the same prompt
        make_line("c", answer='"5"', content='{"tools":[]}'),
        make_line("d", side="validation", answer='"5"'),
        make_line("e", content='{"tools":[]}'),
        make_line("g"),
        make_line("h"),
    )
    fates_before = pl.DataFrame({"request_id": ["g"], "reason": ["curate_too_long"]})
    fates_after = pl.DataFrame({"request_id": ["f"], "reason": ["curate_near_duplicate"]})
    comparison = compare(before, after, fates_before, fates_after)
    counts = {change: comparison.changes[change].lines for change in CHANGES}
    assert counts == {"added": 2, "removed": 1, "moved": 1, "answer_changed": 1, "rewritten": 1}
    assert comparison.equal_lines == 2
    assert comparison.changes["added"].fates == {"curate_too_long": 1, "not_read": 1}
    assert comparison.changes["removed"].fates == {"curate_near_duplicate": 1}
    assert comparison.changes["moved"].examples == ["d"]


def test_lines_of_one_prompt_are_matched_one_to_one() -> None:
    before = frame(make_line("a", prompt_digest="p"), make_line("b", prompt_digest="p"))
    after = frame(make_line("a", prompt_digest="p"))
    comparison = compare(before, after, NO_FATES, NO_FATES)
    assert (comparison.equal_lines, comparison.changes["removed"].examples) == (1, ["b"])


def test_a_release_without_lines_compares() -> None:
    comparison = compare(frame(), frame(make_line("a")), NO_FATES, NO_FATES, has_words=True)
    assert comparison.changes["added"].lines == 1
    assert {shift.verdict for shift in comparison.shifts} == {"stable"}


Draw = Callable[[Random], object]


def sample(draw: Draw, seed: int, size: int) -> pl.Series:
    random = Random(seed)
    return pl.Series("value", [draw(random) for _ in range(size)])


def draw_length(random: Random) -> object:
    return int(random.lognormvariate(6, 0.5))


def draw_model(random: Random) -> object:
    return random.choice(["nova", "nova", "nova", "haiku", None])


@pytest.mark.parametrize("draw", [draw_length, draw_model])
@pytest.mark.parametrize("size", [50, 1_000])
def test_clean_days_raise_no_alarm(draw: Draw, size: int) -> None:
    reference = sample(draw, 0, 1_000)
    for seed in range(1, 21):
        index, by_chance = stability_index(reference, sample(draw, seed, size))
        assert index <= by_chance


@pytest.mark.parametrize(
    "shift",
    [
        lambda value: value * 2,
        lambda value: value // 2,
        lambda value: min(value, 400),
        lambda value: max(value, 400),
        lambda value: value + 300,
    ],
)
def test_a_shift_of_numbers_stands_out(shift: Callable[[int], int]) -> None:
    before, after = sample(draw_length, 0, 1_000), sample(draw_length, 1, 1_000)
    index, by_chance = stability_index(before, pl.Series("value", map(shift, after)))
    assert index > max(by_chance, 0.25)


@pytest.mark.parametrize("new", [["haiku"], ["nova"], ["opus", "nova"], [None], ["nova", None]])
def test_a_shift_of_names_stands_out(new: list[str | None]) -> None:
    after = sample(lambda random: random.choice(new), 1, 1_000).cast(pl.String)
    index, by_chance = stability_index(sample(draw_model, 0, 1_000), after)
    assert index > max(by_chance, 0.1)


def test_words_that_came_and_went_are_named_and_rare_ones_are_not() -> None:
    before = pl.Series(["The train leaves at noon", "How far is it"] * 50)
    after = pl.Series(["The Ship leaves at noon", "How far is it", "Ahoy there"] + ["How far"] * 97)
    after = pl.concat([after, pl.Series(["the ship again, the ship"] * 30)])
    words = {word.word: word for word in compare_words(before, after)}
    assert words["ship"].before == 0
    assert words["ship"].after == pytest.approx(31 / 130, abs=1e-4)  # lines, not occurrences
    assert words["train"].score < -4
    assert "ahoy" not in words
