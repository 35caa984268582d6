"""Flow `rebuild`: make one release from one recipe, now.

What it moves: new log objects into the lake, then the records of the window into a release.
Results: none kept in Prefect; an artifact with the verdict and the counts, if it can be written.

Requires:
- a Prefect server (`PREFECT_API_URL`), or none for a trial: Prefect then starts one for the run;
- the recipe as a file that the worker can read, and AWS settings where it names `s3://`.
"""

from datetime import datetime
from pathlib import Path
from typing import Any

from prefect import flow
from prefect.artifacts import create_markdown_artifact

from bedrock_sluice.flows.context import open_context
from bedrock_sluice.flows.pipeline import build
from bedrock_sluice.flows.running.executor_setting import PROCESSES
from bedrock_sluice.flows.running.prefect_runner import leave_artifact, run_as_task, without_content
from bedrock_sluice.flows.running.runner import StageRunner
from bedrock_sluice.flows.summary import summary


@flow(persist_result=False)
def rebuild(
    recipe: str,
    since: datetime | None = None,
    until: datetime | None = None,
    executor: str = PROCESSES,
) -> dict[str, Any]:
    """Build a release; returns what `sluice build --json` prints. The window may be another's.

    `executor` is that of `sluice build --executor`.
    """

    def work() -> dict[str, Any]:
        name, facts = build_release(Path(recipe), run_as_task, since, until, executor)
        leave_artifact(create_markdown_artifact, key=f"sluice-{name}", markdown=verdict_page(facts))
        return facts

    return without_content("rebuild", lambda _: work())


def build_release(
    path: Path,
    run_stage: StageRunner,
    since: datetime | None = None,
    until: datetime | None = None,
    executor: str = PROCESSES,
) -> tuple[str, dict[str, Any]]:
    """Build a release; its recipe's name, and what `sluice build --json` prints."""
    with open_context(path, since, until, executor) as context:
        return context.recipe.name, summary(build(context, run_stage))


def verdict_page(summary: dict[str, Any]) -> str:
    """A release's verdict and counts as Markdown: numbers and reason codes only."""
    counts = summary["counts"]
    reason_counts = {**counts["dropped"], **counts["quarantined"]}
    rows = [f"| {reason} | {number:,} |" for reason, number in reason_counts.items()]
    failure_lines = [f"- failed: `{name}`" for name in summary["failed_checks"]]
    lines = f"{counts['train']:,} to train on, {counts['validation']:,} to validate with"
    head = [f"# {summary['verdict']}: {summary['id']}", "", f"`{summary['release']}`", ""]
    table = ["", f"{counts['records']:,} records; {lines}", "", "| left out | records |", "|-|-|"]
    return "\n".join([*head, *failure_lines, *table, *rows])
