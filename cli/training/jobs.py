"""`sluice jobs`: the training jobs of a recipe or a lake."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from bedrock_sluice.cli.options import AsJson, Page, epilog

if TYPE_CHECKING:
    from bedrock_sluice.flows.recipe import Recipe
    from bedrock_sluice.flows.training.watch import JobState
    from bedrock_sluice.lake.stores.store import Store

LIST_EPILOG = epilog("sluice jobs list tutor.toml", "sluice jobs list s3://acme-sluice/lake --json")
SYNC_EPILOG = epilog("sluice jobs sync tutor.toml")
WATCH_EPILOG = epilog(
    "sluice jobs watch tutor.toml", rejected="a job failed, was stopped, or is not known"
)
METRICS_EPILOG = epilog(
    "sluice jobs metrics tutor.toml tutor-527776e00615",
    "sluice jobs metrics s3://acme-sluice/lake tutor-527776e00615 --page job.html",
    rejected="the run looks unhealthy",
)
STOP_EPILOG = epilog("sluice jobs stop tutor.toml tutor-527776e00615 --yes")

Source = Annotated[
    str, typer.Argument(metavar="RECIPE|LAKE", help="A recipe, or a lake: a path or s3:// URI.")
]


def list_jobs(source: Source, as_json: AsJson = False) -> None:
    """List the jobs of the registry, without asking a service."""
    from bedrock_sluice.cli.console import print_json
    from bedrock_sluice.cli.training.job_view import show_jobs
    from bedrock_sluice.flows.training import watch

    lake, lineage, _ = _open(source)
    rows = watch.list_jobs(lake, lineage)
    if as_json:
        print_json({"jobs": [row._asdict() for row in rows]})
    else:
        show_jobs(rows)


def sync(source: Source, as_json: AsJson = False) -> None:
    """Query how the jobs ended, and record it in the registry."""
    from bedrock_sluice.cli.console import print_json
    from bedrock_sluice.cli.training.job_view import show_status
    from bedrock_sluice.flows.training.job import settle

    lake, lineage, _ = _open(source)
    rows = [row for each in _lineages(lake, lineage) for row in settle(lake, each)]
    if as_json:
        print_json({"jobs": [row._asdict() | {"advice": row.advice} for row in rows]})
        return
    for row in rows:
        show_status(row)


def watch(
    source: Source,
    job: Annotated[str | None, typer.Argument(help="Watch this job alone.")] = None,
    as_json: AsJson = False,
) -> None:
    """Wait until the jobs have ended, and record how. May be interrupted and run again.

    Shows the last step of each job, and what is unhealthy about it. `on_unhealthy = "stop"` in
    [train] stops such a job. With a recipe, [nightly] notify is told of both. Exits 1 if a job did
    not complete.
    """
    from msgspec import to_builtins

    from bedrock_sluice.cli.console import people, print_json
    from bedrock_sluice.flows.training.targets.base import COMPLETED
    from bedrock_sluice.flows.training.watch import watch_jobs
    from bedrock_sluice.transforms.errors import ExitCode

    lake, lineage, recipe = _open(source)
    changes = _Changes(lake, recipe.nightly.notify if recipe else None)
    with people.status("waiting for the jobs to end"):
        rows = watch_jobs(lake, _lineages(lake, lineage), job, report=changes, recipe=recipe)
    if as_json:
        print_json({"jobs": [to_builtins(row._asdict()) for row in rows]})
    if any(row.status != COMPLETED for row in rows):
        raise SystemExit(ExitCode.CHECK_FAILED)


class _Changes:
    """Prints what changed since the poll before, and sends notices of it."""

    def __init__(self, lake: "Store", notify: str | None) -> None:
        self._lake, self._notify = lake, notify
        self._before = dict[tuple[str, str | None], "JobState"]()

    def __call__(self, rows: "Sequence[JobState]") -> None:
        from bedrock_sluice.cli.training.job_view import show_findings, show_last_step, show_status
        from bedrock_sluice.flows.nights.job_notice import notify_job

        for row in rows:
            before = self._before.get((row.release, row.job))
            if before is None or _status_of(before) != _status_of(row):
                show_status(row)
            if before is None or before.metrics != row.metrics:
                show_last_step(row)
            known_rules = {each.rule for each in before.findings} if before else set()
            findings = [each for each in row.findings if each.rule not in known_rules]
            is_stopped_now = row.was_stopped and not (before and before.was_stopped)
            show_findings(row.job or "-", findings, was_stopped=is_stopped_now)
            if self._notify:
                notify_job(self._notify, self._lake, row)
            self._before[row.release, row.job] = row


def _status_of(row: "JobState") -> tuple[str | None, ...]:
    return row.status, row.state, row.message, row.advice


def metrics(
    source: Source,
    job: Annotated[str, typer.Argument(help="The name of the job.")],
    page: Page = None,
    as_json: AsJson = False,
) -> None:
    """Fetch the metrics of a job into the lake, and show the last, best and recent values.

    Exits 1 if the run looks unhealthy.
    """
    from msgspec import to_builtins

    from bedrock_sluice.cli.console import people, print_json, write_page
    from bedrock_sluice.cli.training.job_view import show_failure, show_findings, show_metrics
    from bedrock_sluice.expectations.pages.job_page import render_job
    from bedrock_sluice.flows.training.metrics import collect_metrics
    from bedrock_sluice.flows.training.watch import find_job, list_jobs
    from bedrock_sluice.transforms.errors import ExitCode

    lake, *_ = _open(source)
    record = find_job(lake, job)
    result = collect_metrics(lake, record)
    row = next(each for each in reversed(list_jobs(lake, record.lineage)) if each.job == job)
    if as_json:
        facts = {"job": job, "status": row.status, "message": row.message, "advice": row.advice}
        numbers = {"summary": result.summary, "findings": result.findings, "note": result.note}
        values = {"values": result.values.rows(named=True)}
        print_json(to_builtins(facts | numbers | values))
    else:
        people.print(f"{row.job}: {row.status}", markup=False)
        show_failure(job, row.message, row.advice)
        if result.note:
            people.print(result.note, markup=False)
        if result.summary:
            show_metrics(result.summary)
        show_findings(job, result.findings, was_stopped=False)
    if page:
        write_page(page, render_job(row._asdict(), result.values, result.note))
    if result.findings:
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

    lake, *_ = _open(source)
    find_job(lake, job)
    if not yes:
        typer.confirm(f"Stop {job}? What it has learned is lost.", abort=True, err=True)
    record = stop_job(lake, job)
    if as_json:
        print_json({"job": record.name, "job_arn": record.job_arn})
    else:
        people.print(f"stopping {job}; `sluice jobs watch` records its end", markup=False)


def _open(source: str) -> "tuple[Store, str | None, Recipe | None]":
    """Open the lake of a recipe, with its lineage and the recipe, or a lake as a whole."""
    from bedrock_sluice.flows.recipe.places import open_target

    target = open_target(source)
    recipe = target.recipe
    return target.lake, recipe.lineage if recipe else None, recipe


def _lineages(lake: "Store", lineage: str | None) -> list[str]:
    return [lineage] if lineage else lake.folders("registry/")
