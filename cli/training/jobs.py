"""`sluice jobs`: the training jobs of a recipe or a lake."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from bedrock_sluice.cli.options import AsJson, epilog

if TYPE_CHECKING:
    from bedrock_sluice.flows.training.job import Settled
    from bedrock_sluice.lake.stores.store import Store

LIST_EPILOG = epilog("sluice jobs list tutor.toml", "sluice jobs list s3://acme-sluice/lake --json")
SYNC_EPILOG = epilog("sluice jobs sync tutor.toml")
WATCH_EPILOG = epilog(
    "sluice jobs watch tutor.toml", rejected="a job failed, was stopped, or is not known"
)
STOP_EPILOG = epilog("sluice jobs stop tutor.toml tutor-527776e00615 --yes")

Source = Annotated[
    str, typer.Argument(metavar="RECIPE|LAKE", help="A recipe, or a lake: a path or s3:// URI.")
]


def list_jobs(source: Source, as_json: AsJson = False) -> None:
    """List the jobs of the registry, without asking a service."""
    from rich.markup import escape
    from rich.table import Table

    from bedrock_sluice.cli.console import people, print_json
    from bedrock_sluice.flows.training import watch
    from bedrock_sluice.transforms.printable import printable

    rows = watch.list_jobs(*_open(source))
    if as_json:
        print_json({"jobs": [row._asdict() for row in rows]})
        return
    table = Table()
    for heading in ("release", "job", "target", "status", "since", "model"):
        table.add_column(heading, overflow="fold")
    for row in rows:
        since = f"{row.since:%Y-%m-%d %H:%M}" if row.since else "–"
        cells = (row.release, row.job, row.target, row.status, since, row.model or "–")
        table.add_row(*(escape(printable(cell)) for cell in cells))
    people.print(table if rows else "no job has been requested yet; `sluice train` starts one")


def sync(source: Source, as_json: AsJson = False) -> None:
    """Query how the jobs ended, and record it in the registry."""
    from bedrock_sluice.cli.console import print_json
    from bedrock_sluice.flows.training.job import settle

    lake, lineage = _open(source)
    rows = [row for each in _lineages(lake, lineage) for row in settle(lake, each)]
    if as_json:
        print_json({"jobs": [row._asdict() for row in rows]})
    else:
        _show(rows)


def watch(
    source: Source,
    job: Annotated[str | None, typer.Argument(help="Watch this job alone.")] = None,
    as_json: AsJson = False,
) -> None:
    """Wait until the jobs have ended, and record how. May be interrupted and run again.

    Exits 1 if a job did not complete.
    """
    from bedrock_sluice.cli.console import people, print_json
    from bedrock_sluice.flows.training.targets.base import COMPLETED
    from bedrock_sluice.flows.training.watch import watch_jobs
    from bedrock_sluice.transforms.errors import ExitCode

    lake, lineage = _open(source)
    before = list["Settled"]()

    def report(rows: "Sequence[Settled]") -> None:
        _show([row for row in rows if row not in before])
        before[:] = rows

    with people.status("waiting for the jobs to end"):
        rows = watch_jobs(lake, _lineages(lake, lineage), job, report=report)
    if as_json:
        print_json({"jobs": [row._asdict() for row in rows]})
    if any(row.status != COMPLETED for row in rows):
        raise SystemExit(ExitCode.CHECK_FAILED)


def stop(
    source: Source,
    job: Annotated[str, typer.Argument(help="The name of the job.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Stop a running job. Its prompts are free again once its end is recorded."""
    from bedrock_sluice.cli.console import people, print_json
    from bedrock_sluice.flows.training.watch import find_job, stop_job

    lake, _ = _open(source)
    find_job(lake, job)
    if not yes:
        typer.confirm(f"Stop {job}? What it has learned is lost.", abort=True, err=True)
    record = stop_job(lake, job)
    if as_json:
        print_json({"job": record.name, "job_arn": record.job_arn})
    else:
        people.print(f"stopping {job}; `sluice jobs watch` records its end", markup=False)


def _open(source: str) -> "tuple[Store, str | None]":
    """Open the lake of a recipe, with its lineage, or a lake as a whole."""
    from bedrock_sluice.flows.recipe.places import open_target

    target = open_target(source)
    return target.lake, target.recipe.lineage if target.recipe else None


def _lineages(lake: "Store", lineage: str | None) -> list[str]:
    return [lineage] if lineage else lake.folders("registry/")


def _show(rows: "Sequence[Settled]") -> None:
    from bedrock_sluice.cli.console import people

    for row in rows:
        text = f"{row.release}  job {row.job or '-'}: {row.status}; its prompts are {row.state}"
        people.print(text, markup=False)
