"""Ratings of responses: right, wrong, neither, or an error."""

from typing import Any

import pytest

from bedrock_sluice.transforms.answers.feedback import NO_SCALE, Scale, read_rating
from bedrock_sluice.transforms.errors import ConfigError

Json = dict[str, Any]


@pytest.mark.parametrize(
    ("row", "scale", "rating"),
    [
        ({"correct": True}, NO_SCALE, True),
        ({"correct": "FALSE"}, NO_SCALE, False),
        ({"correct": 0}, NO_SCALE, False),
        ({"correct": 1.0}, NO_SCALE, True),
        ({"correct": "0.0"}, NO_SCALE, False),
        ({"correct": " yes "}, NO_SCALE, True),
        ({"correct": "yes", "rating": 1, "score": "bad"}, NO_SCALE, True),
        ({"rating": "Thumbs up"}, NO_SCALE, True),
        ({"rating": "thumbs-down"}, NO_SCALE, False),
        ({"rating": None, "score": 1}, Scale(good=1), True),
        ({"rating": 4}, Scale(4, 2), True),
        ({"rating": "2.0"}, Scale(4, 2), False),
        ({"score": 3}, Scale(4, 2), None),
        ({"score": -1}, Scale(1, -1), False),
        ({"score": "-1"}, Scale(good=1), None),
        ({"score": 5}, Scale(bad=1), None),
        ({"corrected_answer": "7"}, NO_SCALE, None),
        ({}, NO_SCALE, None),
    ],
)
def test_a_rating_is_a_flag_a_word_or_a_number(row: Json, scale: Scale, rating: bool) -> None:
    assert read_rating("here", row, scale) is rating


@pytest.mark.parametrize(
    ("row", "scale", "message"),
    [
        ({"correct": "SECRET"}, NO_SCALE, "correct is not a flag"),
        ({"correct": 2}, Scale(2), "correct is not a flag"),
        ({"rating": "SECRET"}, Scale(2), "rating is neither a number nor a known word"),
        ({"rating": ""}, NO_SCALE, "rating is neither a number nor a known word"),
        ({"rating": 4}, NO_SCALE, "rating is a number; set good_score"),
        ({"score": "nan"}, Scale(2), "score is not a finite number"),
        ({"score": "1e999"}, Scale(2), "score is not a finite number"),
        ({"score": ["SECRET"]}, Scale(2), "score is neither"),
    ],
)
def test_a_judgement_that_is_not_understood_is_told_with_its_place(
    row: Json, scale: Scale, message: str
) -> None:
    with pytest.raises(ConfigError, match=f"table f.csv:3: {message}") as refusal:
        read_rating("table f.csv:3", row, scale)
    assert "SECRET" not in str(refusal.value)
