"""`sluice nightly`: every recipe of a folder, without Prefect."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bedrock_sluice.cli.log import announce
from bedrock_sluice.cli.options import AsJson, Executor, epilog

if TYPE_CHECKING:
    from bedrock_sluice.flows.nights.rows import RecipeRow

EPILOG = epilog(
    "sluice nightly recipes/ --json",
    "sluice nightly recipes/ --from 2026-11-01 --to 2026-11-10",
    rejected="the gate rejected a release, or a rule refused a job",
)
DATE_FORMAT = ["%Y-%m-%d"]
WIDTH = 240  # columns of the table where stdout is not a terminal


def nightly(  # noqa: PLR0913, PLR0917 - its options
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A folder of recipes (*.toml).")],
    first: Annotated[
        datetime | None,
        typer.Option("--from", formats=DATE_FORMAT, help="First night to build, with --to."),
    ] = None,
    last: Annotated[
        datetime | None,
        typer.Option("--to", formats=DATE_FORMAT, help="Last night to build, with --from."),
    ] = None,
    executor: Executor = "processes",
    as_json: AsJson = False,
    metrics_file: Annotated[
        Path | None, typer.Option(help="Write metrics to this file, as text for Prometheus.")
    ] = None,
    now: Annotated[datetime | None, typer.Option(hidden=True)] = None,
) -> None:
    """Build every recipe of a folder: the nights that it missed, and today's.

    A night is the window of `last_days` that ends with that day's midnight (UTC). A recipe that
    fails does not stop the others. The exit code is the highest of all recipes.
    """
    announce("nightly", folder)
    from bedrock_sluice.flows.running.imports import spare_pandas
    from bedrock_sluice.flows.running.suite_process import start_suites

    start_suites()
    spare_pandas()
    from bedrock_sluice.cli.console import print_json
    from bedrock_sluice.cli.progress import ProgressRunner
    from bedrock_sluice.flows.nights.rows import worst_exit_code
    from bedrock_sluice.flows.nights.run import (
        NightlyOptions,
        direct_builder,
        run_nightly,
        utc_now,
    )

    options = NightlyOptions(
        clock=(lambda: now.replace(tzinfo=UTC)) if now else utc_now,
        first=first.date() if first else None,
        last=last.date() if last else None,
    )
    with ProgressRunner() as run_stage:
        builder = direct_builder(executor, run_stage)
        rows = run_nightly(folder, builder, options, print_json if as_json else lambda _: None)
    if not as_json:
        _print_table(rows)
    if metrics_file:
        from bedrock_sluice.flows.nights.metrics import write_metrics

        write_metrics(metrics_file, rows, options.clock())
    if code := worst_exit_code(rows):
        raise SystemExit(code)


def _print_table(rows: "list[RecipeRow]") -> None:
    """Print a row per night on stdout."""
    import sys

    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from bedrock_sluice.transforms.printable import printable

    table = Table(box=None, pad_edge=False)
    for heading in ("recipe", "night", "verdict", "train", "validation", "release or reason"):
        table.add_column(heading, overflow="fold")
    for row in rows:
        for night in row.nights:
            counts = ["" if n is None else f"{n:,}" for n in (night.train, night.validation)]
            texts = [night.release, night.why]
            if night.verdict == "rejected":
                texts.append(f"last good release: {row.last_good or 'none'}")
            place = "; ".join(filter(None, texts))
            cells = [row.recipe, night.night or "", night.verdict, *counts, place]
            table.add_row(*(Text(printable(cell)) for cell in cells))
        if row.action:
            table.add_row(Text(printable(row.recipe)), "", "policy", "", "", Text(row.action))
    is_terminal = sys.stdout.isatty()
    Console(highlight=False, width=None if is_terminal else WIDTH).print(table)
