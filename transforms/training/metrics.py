"""Metrics of a training run: values by side, step and name, and the few that people look at.

Services name the same thing in different words, and document few of them. So every column of
numbers is kept under its own name, and the names that are known are mapped to a `Role`.
"""

import re
from collections.abc import Mapping
from typing import Literal

import msgspec
import polars as pl

Side = Literal["training", "validation"]
Role = Literal["reward", "validation_reward", "length", "entropy"]

METRICS = pl.Schema({"side": pl.String, "step": pl.Int64, "metric": pl.String, "value": pl.Float64})
"""One row per value that a service reports."""

SERIES = pl.Schema({"step": pl.Int64, "value": pl.Float64})
"""One metric over the steps, in their order."""

TREND_STEPS = 5  # whose mean is compared with that of as many before
MAX_COLUMNS = 500  # of a file; further ones are not read
MAX_NAME_CHARACTERS = 100
MAX_STEP = 10**9

_STEPS = ("step_number", "step", "global_step", "training_step")
_TOTAL_STEPS = "total_steps"
_REWARDS = ("critic_rewards_mean", "rewards_mean", "reward_mean", "mean_reward", "reward")
_VALIDATION_REWARDS = ("val_score_rewards_mean_1", "val_score_rewards_mean", "validation_reward")
_LENGTHS = ("response_length_mean", "mean_response_length")
_ENTROPIES = ("actor_entropy", "entropy")

ROLES: dict[Role, str] = {
    "reward": "training reward",
    "validation_reward": "validation reward",
    "length": "response length",
    "entropy": "entropy",
}
"""What people look at, in words."""


class MetricSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A series in small numbers.

    `best` is the highest value, and None where a higher one is not better. `trend` is the mean of
    the last `TREND_STEPS` values less that of as many before; None if there are too few.
    """

    steps: int
    last: float
    last_step: int
    best: float | None
    best_step: int | None
    trend: float | None


def read_csv(content: bytes, side: Side) -> pl.DataFrame:
    """Read a table with a header and a row per step: `METRICS`.

    Columns that hold no numbers are left out, and so are rows without a step: the last one may be
    incomplete. If no column is called a step, rows are counted from 1.

    Raises:
        ValueError: This is not a table.
    """
    if not content.strip():
        return METRICS.to_frame()
    try:
        table = pl.read_csv(
            content, infer_schema=False, truncate_ragged_lines=True, encoding="utf8-lossy"
        )
    except pl.exceptions.PolarsError:
        raise ValueError("not a table of metrics") from None
    columns = table.columns[:MAX_COLUMNS]
    numbers = table.select(pl.col(columns).str.strip_chars().cast(pl.Float64, strict=False))
    step_name = next((c for name in _STEPS for c in columns if _key(c) == name), None)
    steps = (
        pl.int_range(1, pl.len() + 1, dtype=pl.Int64) if step_name is None else pl.col(step_name)
    )
    names = [column for column in columns if column != step_name]
    rows = numbers.select(pl.col(names), steps.alias("\0step"))
    return _clean(
        rows.unpivot(names, index="\0step", variable_name="metric", value_name="value").select(
            pl.lit(side).alias("side"), pl.col("\0step").alias("step"), "metric", "value"
        )
    )


def read_event(values: Mapping[str, object], step_key: str = "step") -> pl.DataFrame:
    """Read the values of one step, as an event has them: `METRICS`; other values are left out.

    Names that begin with `val` are of the validation side.
    """
    step = values.get(step_key)
    if not isinstance(step, int | float) or isinstance(step, bool):
        return METRICS.to_frame()
    numbers = {
        name: float(value)
        for name, value in values.items()
        if name != step_key and isinstance(value, int | float) and not isinstance(value, bool)
    }
    sides = ["validation" if name.startswith("val") else "training" for name in numbers]
    frame = {"side": sides, "step": [float(step)] * len(sides), "metric": list(numbers)}
    return _clean(pl.DataFrame(frame | {"value": list(numbers.values())}))


def _clean(rows: pl.DataFrame) -> pl.DataFrame:
    """Leave out what has no step or no finite value; a value that comes twice counts once."""
    step = pl.col("step").cast(pl.Float64)
    return (
        rows.filter(step.is_between(0, MAX_STEP), pl.col("value").is_finite())
        .with_columns(
            pl.col("step").cast(pl.Int64), pl.col("metric").str.slice(0, MAX_NAME_CHARACTERS)
        )
        .cast(METRICS)
        .unique(["side", "step", "metric"], keep="last", maintain_order=True)
        .sort("side", "step", "metric")
    )


def find_series(values: pl.DataFrame, role: Role) -> pl.DataFrame:
    """Return the `SERIES` of a role; empty if no metric has a name that is known for it."""
    keys = values["metric"].map_elements(_key, return_dtype=pl.String)
    is_validation = values["side"] == "validation"
    candidates: dict[Role, list[tuple[str, pl.Series | None]]] = {
        "reward": [(name, ~is_validation) for name in _REWARDS],
        "validation_reward": [
            *((name, None) for name in _VALIDATION_REWARDS),
            *((name, is_validation) for name in _REWARDS),
        ],
        "length": [(name, ~is_validation) for name in _LENGTHS],
        "entropy": [(name, ~is_validation) for name in _ENTROPIES],
    }
    for name, mask in candidates[role]:
        is_match = keys == name if mask is None else (keys == name) & mask
        rows = values.filter(is_match)
        if rows.height:
            return rows.select("step", "value").unique("step", keep="last").sort("step")
    return SERIES.to_frame()


def find_total_steps(values: pl.DataFrame) -> int | None:
    """Return how many steps the job has, if the service says so."""
    total = values.filter(pl.col("metric") == _TOTAL_STEPS).sort("step")["value"]
    return int(total[-1]) if len(total) else None


def summarise(values: pl.DataFrame) -> dict[Role, MetricSummary]:
    """Return the small numbers of each role that has values."""
    series = {role: find_series(values, role) for role in ROLES}
    return {role: _summary(role, rows) for role, rows in series.items() if rows.height}


def _summary(role: Role, rows: pl.DataFrame) -> MetricSummary:
    numbers, steps = rows["value"], rows["step"]
    best = numbers.arg_max() if role in {"reward", "validation_reward"} else None
    before = numbers.slice(-2 * TREND_STEPS, TREND_STEPS)
    has_trend = numbers.len() >= 2 * TREND_STEPS
    return MetricSummary(
        steps=rows.height,
        last=float(numbers[-1]),
        last_step=int(steps[-1]),
        best=None if best is None else float(numbers[best]),
        best_step=None if best is None else int(steps[best]),
        trend=_mean(numbers.tail(TREND_STEPS)) - _mean(before) if has_trend else None,
    )


def _mean(values: pl.Series) -> float:
    return float(values.to_numpy().mean())


def _key(name: str) -> str:
    """The name in small letters, digits and single `_`."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
