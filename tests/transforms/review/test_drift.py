"""The drift checks: silent on clean days, and one of them warns on each planted shift."""

import json
from collections.abc import Callable
from random import Random
from typing import Any

import polars as pl
import pytest

from bedrock_sluice.expectations.build_measures import measure_drift
from bedrock_sluice.expectations.gate import evaluate
from bedrock_sluice.transforms.review.drift import drift_lines

Row = dict[str, Any]


def make_row(random: Random) -> Row:
    return {
        "prompt": "x" * int(random.lognormvariate(5, 0.5)),
        "turns": random.choice([1, 1, 3]),
        "answer": random.choice(["yes", "yes", "no", f"because of {random.random()}"]),
        "duplicates": int(random.expovariate(1)),
        "model_id": random.choice(["nova", "nova", "haiku"]),
        "reference_source": random.choice(["labels", "logged"]),
    }


def make_day(seed: int, change: Callable[[Row], Row] = dict, size: int = 1_000) -> pl.DataFrame:
    random = Random(seed)
    rows = [change(make_row(random)) for _ in range(size)]
    texts = [
        json.dumps(
            {
                "messages": [{"role": "user", "content": row["prompt"]}] * row["turns"],
                "reference_answer": row["answer"],
            }
        )
        for row in rows
    ]
    return drift_lines(texts, pl.DataFrame(rows))


def alarms(before: pl.DataFrame, after: pl.DataFrame) -> set[str]:
    results = evaluate("drift", measure_drift(before, after), {})
    return {each.check.name for each in results if not each.check.passed}


def test_clean_days_raise_no_alarm() -> None:
    baseline = make_day(0)
    days = [make_day(seed, size=300 if seed % 2 else 1_200) for seed in range(1, 21)]
    sizes = [alarms(baseline, day) - {"drift_lines"} for day in days]
    assert sizes == [set()] * 20
    assert alarms(baseline, make_day(1, size=800)) == set()


def test_what_chance_does_to_small_releases_raises_no_alarm() -> None:
    baseline = make_day(0, size=100)
    assert [alarms(baseline, make_day(seed, size=100)) for seed in range(1, 21)] == [set()] * 20


SHIFTS: dict[str, tuple[str, Callable[[Row], Row]]] = {
    "longer prompts": ("drift_prompt_length", lambda row: row | {"prompt": row["prompt"] * 2}),
    "shorter prompts": ("drift_prompt_length", lambda row: row | {"prompt": row["prompt"][::2]}),
    "more turns": ("drift_turns", lambda row: row | {"turns": 5}),
    "longer answers": ("drift_answer_length", lambda row: row | {"answer": row["answer"] * 3}),
    "another label": (
        "drift_answers",
        lambda row: row | {"answer": row["answer"].replace("no", "NO")},
    ),
    "all yes": ("drift_answers", lambda row: row | {"answer": "yes"}),
    "more duplicates": ("drift_duplicates", lambda row: row | {"duplicates": 9}),
    "a new model": ("drift_models", lambda row: row | {"model_id": "opus"}),
    "one source": ("drift_sources", lambda row: row | {"reference_source": "logged"}),
}


@pytest.mark.parametrize("name", SHIFTS)
def test_a_shift_raises_its_alarm(name: str) -> None:
    check, change = SHIFTS[name]
    assert check in alarms(make_day(0), make_day(1, change))


def test_a_release_of_another_size_raises_an_alarm() -> None:
    assert alarms(make_day(0), make_day(1, size=400)) == {"drift_lines"}


def test_answers_that_are_all_different_are_no_drift() -> None:
    baseline, day = (
        make_day(seed, lambda row: row | {"answer": row["prompt"][:50] + str(len(row["prompt"]))})
        for seed in (0, 1)
    )
    assert "drift_answers" not in alarms(baseline, day)
