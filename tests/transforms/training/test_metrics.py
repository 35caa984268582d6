"""Metrics of a run: read from any table of numbers, kept whole, and summarised."""

import pytest

from bedrock_sluice.transforms.training.metrics import find_series, read_csv, read_event, summarise


def test_known_and_unknown_columns_are_kept_and_an_unfinished_row_is_not() -> None:
    content = (
        "step_number,epoch_number,critic/rewards/mean,made_up,note\n"
        "1,0,0.25,7,start\n2,0,,8,\n3,1,0.5,nan,end\n,1,0.9,1,x\n4,1\n"
    )
    values = read_csv(content.encode(), "training")
    assert set(values["metric"]) == {"epoch_number", "critic/rewards/mean", "made_up"}
    assert find_series(values, "reward").rows() == [(1, 0.25), (3, 0.5)]
    assert values.filter(metric="made_up").select("step", "value").rows() == [(1, 7.0), (2, 8.0)]
    assert set(values["side"]) == {"training"}


@pytest.mark.parametrize("content", ["", "\n", "step,reward\n"])
def test_an_empty_table_has_no_values(content: str) -> None:
    assert read_csv(content.encode(), "training").is_empty()


def test_rows_count_where_no_column_is_a_step() -> None:
    values = read_csv(b"\xef\xbb\xbfreward\n0.1\n0.2\n", "validation")
    assert find_series(values, "validation_reward").rows() == [(1, 0.1), (2, 0.2)]
    assert find_series(values, "reward").is_empty()


def test_the_console_and_the_openai_names_mean_the_same() -> None:
    event = {"step": 3, "total_steps": 9, "critic_rewards_mean": 0.5, "actor_entropy": 0.2}
    values = read_event(event | {"response_length_mean": 120, "text": "x", "flag": True})
    assert find_series(values, "reward").rows() == [(3, 0.5)]
    assert find_series(values, "entropy").rows() == [(3, 0.2)]
    assert find_series(values, "length").rows() == [(3, 120.0)]
    assert read_event({"critic_rewards_mean": 0.5}).is_empty()


def test_the_small_numbers_are_last_best_and_trend() -> None:
    rows = "".join(f"{step},{reward},{step}\n" for step, reward in enumerate([0.2] * 5 + [0.6] * 5))
    values = read_csv(f"step,reward,entropy\n{rows}10,0.5,3\n".encode(), "training")
    summary = summarise(values)
    assert set(summary) == {"reward", "entropy"}
    reward = summary["reward"]
    assert (reward.last, reward.last_step, reward.best, reward.best_step) == (0.5, 10, 0.6, 5)
    assert reward.trend == pytest.approx(0.58 - 0.28)
    assert summary["entropy"].best is None
