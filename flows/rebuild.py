"""Flow `rebuild`: make one release from one recipe, now.

What it moves: new log objects into the lake, then the records of the window into a release.
Results: none kept in Prefect; artifacts with the verdict, the checks and the counts, if they can be
written. A run whose release the gate rejects ends in the state `Rejected`, of type `Completed`.

Requires:
- a Prefect server (`PREFECT_API_URL`), or none for a trial: Prefect then starts one for the run;
- the recipe as a file that the worker can read, and AWS settings where it names `s3://`.
"""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.logging import get_run_logger

from bedrock_sluice.flows.context import open_context
from bedrock_sluice.flows.nights.telemetry import measure_build
from bedrock_sluice.flows.pipeline import build
from bedrock_sluice.flows.prefect_view.artifacts import show_release
from bedrock_sluice.flows.prefect_view.flow_run import (
    end_plainly,
    recipe_name,
    recipe_run_name,
    rejected_state,
    tag_run,
)
from bedrock_sluice.flows.prefect_view.progress import watch_build
from bedrock_sluice.flows.running.executor_setting import PROCESSES
from bedrock_sluice.flows.running.runner import StageRunner
from bedrock_sluice.flows.summary import summary
from bedrock_sluice.lake.releases.release import Release


@flow(persist_result=False, flow_run_name=recipe_run_name)
def rebuild(
    recipe: str,
    since: datetime | None = None,
    until: datetime | None = None,
    executor: str = PROCESSES,
    delivered_before: datetime | None = None,
) -> Any:
    """Build a release of one recipe; returns what `sluice build --json` prints.

    Args:
        recipe: Path of the recipe, absolute: a worker runs in a folder of its own.
        since: Start of the window of records (included), instead of the recipe's.
        until: End of the window of records (excluded), instead of the recipe's.
        executor: Where to read the logs: `processes`, or `dask://HOST:PORT` for a Dask cluster.
        delivered_before: Log objects that were delivered in this hour or later are not read.
    """

    def work() -> dict[str, Any] | State[dict[str, Any]]:
        path = Path(recipe)
        name = recipe_name(path)
        tag_run(name)
        with watch_build(name) as run_stage:
            facts = build_release(
                path,
                run_stage,
                since=since,
                until=until,
                executor=executor,
                delivered_before=delivered_before,
                show=show_release,
            )
        tag_run(name, facts["verdict"])
        get_run_logger().info("release %s: %s", facts["verdict"], facts["release"])
        return facts if facts["verdict"] == "passed" else rejected_state(name, facts)

    return end_plainly("rebuild", work)


def build_release(  # noqa: PLR0913 - the parameters of the flow, and how to run it
    path: Path,
    run_stage: StageRunner,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    executor: str = PROCESSES,
    delivered_before: datetime | None = None,
    show: Callable[[Release], None] = lambda _: None,
) -> dict[str, Any]:
    """Build a release and show it; return what `sluice build --json` prints."""
    with open_context(path, since, until, executor, delivered_before) as context:
        release = measure_build(path.name, run_stage, partial(build, context))
        show(release)
        return summary(release)
