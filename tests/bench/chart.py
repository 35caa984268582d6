"""Draws the seconds of whole builds: `python tests/bench/chart.py RESULTS.json CHART.svg`.

RESULTS is what `build.py --out` wrote. Each bar is a program, each colour a stage of it.
"""

import json
import sys
from pathlib import Path

import altair as alt
import polars as pl

OUTSIDE = "start, gate, release"  # of a build: what the log of stages does not time
WIDTH = 560
PADDING = {"left": 30, "right": 30, "top": 5, "bottom": 5}  # for fonts wider than Altair's


def tabulate(results: Path) -> pl.DataFrame:
    """Return a row for each stage of each program; a program without stages has one."""
    runs = json.loads(results.read_text("utf-8"))["runs"]
    rows = list[tuple[str, str, float]]()
    for program, each in runs.items():
        stages = each["stages"]
        rest = each["seconds"] - sum(stages.values())
        rows += [(program, stage, seconds) for stage, seconds in stages.items()]
        rows.append((program, OUTSIDE if stages else "by hand", rest))
    return pl.DataFrame(rows, schema=["program", "stage", "seconds"], orient="row")


def draw(table: pl.DataFrame) -> alt.Chart:
    """Return bars in the order of the table."""
    stages = table["stage"].unique(maintain_order=True)
    ranks = {stage: rank for rank, stage in enumerate(stages)}
    with_ranks = table.with_columns(rank=pl.col("stage").replace_strict(ranks))
    bars: alt.Chart = alt.Chart(with_ranks, width=WIDTH, padding=PADDING).mark_bar()
    chart: alt.Chart = bars.encode(
        x=alt.X("sum(seconds):Q", title="seconds"),
        y=alt.Y("program:N", sort=None, title=None),
        color=alt.Color("stage:N", sort=stages.to_list(), scale=alt.Scale(scheme="tableau10")),
        order="rank:Q",
    )
    return chart


if __name__ == "__main__":
    draw(tabulate(Path(sys.argv[1]))).save(sys.argv[2])
