"""What is printed about training jobs. Names, messages and metrics of services are escaped."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.table import Table

from bedrock_sluice.cli.console import people
from bedrock_sluice.transforms.printable import printable

if TYPE_CHECKING:
    from bedrock_sluice.flows.training.job import Settled
    from bedrock_sluice.flows.training.watch import JobRow, JobState
    from bedrock_sluice.transforms.training.health import HealthFinding
    from bedrock_sluice.transforms.training.metrics import MetricSummary


def show_jobs(rows: Sequence["JobRow"]) -> None:
    """Print the jobs of a registry as a table, and why some failed below it."""
    table = Table()
    for heading in ("release", "job", "target", "status", "since", "model"):
        table.add_column(heading, overflow="fold")
    for row in rows:
        since = f"{row.since:%Y-%m-%d %H:%M}" if row.since else "–"
        cells = (row.release, row.job, row.target, row.status, since, row.model or "–")
        table.add_row(*(escape(printable(cell)) for cell in cells))
    people.print(table if rows else "no job has been requested yet; `sluice train` starts one")
    for row in rows:
        show_failure(row.job, row.message, row.advice)


def show_status(row: "Settled | JobState") -> None:
    """Print the status of a job as one line, and why it failed on the next."""
    text = f"{row.release}  job {row.job or '-'}: {row.status}; its prompts are {row.state}"
    _print(text)
    show_failure(row.job or "-", row.message, row.advice)


def show_failure(job: str, message: str | None, advice: str | None) -> None:
    """Print what a service says of a failure, and what to do about it."""
    if message:
        _print(f"{job} failed: {message}")
    if advice:
        _print(f"  what to do: {advice}")


def show_last_step(row: "JobState") -> None:
    """Print the last metrics of a job as one line."""
    from bedrock_sluice.transforms.training.metrics import ROLES

    if step := row.last_step:
        of = f" of {row.total_steps:,}" if row.total_steps else ""
        parts = [f"{ROLES[role]} {each.last:.4g}" for role, each in row.metrics.items()]
        _print(f"{row.job}: step {step:,}{of}; {', '.join(parts)}")


def show_findings(job: str, findings: Iterable["HealthFinding"], *, was_stopped: bool) -> None:
    """Print what is unhealthy about a job, and what to do."""
    for finding in findings:
        _print(f"{job} is unhealthy ({finding.rule}, step {finding.step:,}): {finding.message}")
        _print(f"  what to do: {finding.hint}")
    if was_stopped:
        _print(f"{job} is being stopped, as on_unhealthy in [train] says")


def show_metrics(summary: Mapping[Any, "MetricSummary"]) -> None:
    """Print small numbers: last, best and trend of each metric that is known."""
    from bedrock_sluice.transforms.training.metrics import ROLES, TREND_STEPS

    table = Table()
    table.add_column("metric")
    for heading in ("last", "at step", "best", "at step", f"trend of {TREND_STEPS} steps"):
        table.add_column(heading, justify="right")
    for role, each in summary.items():
        best, best_step = ("–", "–")
        if each.best is not None:
            best, best_step = f"{each.best:.4g}", f"{each.best_step:,}"
        trend = "–" if each.trend is None else f"{each.trend:+.4g}"
        cells = (f"{each.last:.4g}", f"{each.last_step:,}", best, best_step, trend)
        table.add_row(ROLES[role], *cells)
    people.print(table)


def _print(text: str) -> None:
    people.print(printable(text).replace("\n", " "), markup=False)
