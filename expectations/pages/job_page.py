"""The page of one training job: its metrics as charts and numbers, and its health."""

from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl

from bedrock_sluice.expectations.pages.charts import Chart, draw_steps
from bedrock_sluice.expectations.pages.page import render_page
from bedrock_sluice.transforms.training.health import check_health
from bedrock_sluice.transforms.training.metrics import ROLES, Role, find_series, summarise

MAX_OTHERS = 200  # metrics in the last table
_CHARTS: dict[tuple[str, str], dict[str, Role]] = {
    ("Reward", "mean reward"): {"training": "reward", "validation": "validation_reward"},
    ("Length of the responses", "tokens"): {"responses": "length"},
    ("Entropy", "nats"): {"entropy": "entropy"},
}


def render_job(job: Mapping[str, Any], values: pl.DataFrame, note: str | None = None) -> str:
    """Return the page of a job of the registry, with its metrics (`METRICS`).

    `job` has `job`, `release`, `target`, `status`, `message` and `advice`; `note` says why there
    are no metrics, or that they may be old.
    """
    return render_page(
        "job.html.j2",
        title=f"Training job {job['job']}",
        job=job,
        note=note,
        findings=check_health(values),
        summary=[(ROLES[role], each) for role, each in summarise(values).items()],
        charts=list(_draw(values)),
        others=_last_values(values),
    )


def _draw(values: pl.DataFrame) -> Iterator[Chart]:
    for (title, unit), roles in _CHARTS.items():
        series = {name: find_series(values, role).rows() for name, role in roles.items()}
        if lines := {name: rows for name, rows in series.items() if rows}:
            yield draw_steps(title, unit, lines)


def _last_values(values: pl.DataFrame) -> list[tuple[Any, ...]]:
    rows = values.sort("step").group_by("metric", "side", maintain_order=True).last()
    return (
        rows.sort("metric", "side")
        .select("metric", "side", "step", "value")
        .head(MAX_OTHERS)
        .rows()
    )
