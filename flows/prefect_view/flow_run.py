"""The name, the tags and the last state of a flow run."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.context import FlowRunContext
from prefect.events import emit_event
from prefect.runtime import flow_run
from prefect.states import Completed, Failed

from bedrock_sluice.flows.prefect_view.artifacts import best_effort
from bedrock_sluice.flows.recipe import load_recipe
from bedrock_sluice.flows.running.prefect_runner import without_content
from bedrock_sluice.transforms.errors import SluiceError

REJECTED = "Rejected"
REJECTED_EVENT = "sluice.release.rejected"
VERDICTS = {"passed", "rejected"}
DATE_CHARS = len("2026-11-01")

T = TypeVar("T")


def recipe_name(path: Path) -> str:
    """Return the name of a recipe; of one that cannot be read, that of its file."""
    try:
        return load_recipe(path).name
    except SluiceError:
        return path.stem


def recipe_run_name() -> str:
    """Return the name of the current run of `rebuild`: it names the recipe, and a given end."""
    parameters = flow_run.parameters
    end = str(parameters.get("until") or "")[:DATE_CHARS]
    name = recipe_name(Path(parameters["recipe"]))
    return "-".join(["rebuild", name, *([end] if end else [])])


def folder_run_name() -> str:
    """Return the name of the current run of `nightly`: it names the folder of recipes."""
    return f"nightly-{Path(flow_run.parameters['recipes']).resolve().name}"


def release_run_name() -> str:
    """Return the name of the current run of `train`: it names the recipe and the release."""
    return "-".join(["train", *flow_run.parameters["release"].rstrip("/").split("/")[-2:]])


def tag_run(*tags: str) -> None:
    """Add tags to the current run, best effort; a verdict takes the place of an earlier one."""
    with best_effort("tags"), get_client(sync_client=True) as client:
        context = FlowRunContext.get()
        if context and context.flow_run:
            run = client.read_flow_run(context.flow_run.id)
            client.update_flow_run(run.id, tags={*run.tags} - VERDICTS | {*tags})


class _WithoutTrace(logging.Filter):
    """Log an error of ours as its message: Prefect adds a trace, of which most is its own code."""

    def filter(self, record: logging.LogRecord) -> bool:
        _, error, _ = record.exc_info or (None, None, None)
        if isinstance(error, SluiceError):
            record.msg, record.args = str(error), ()
        if error is None or isinstance(error, SluiceError):
            record.exc_info = None
        return True


_without_trace = _WithoutTrace()


def end_plainly(name: str, work: Callable[[], T]) -> T | State[Any]:
    """Do the work of a flow; an error of ours ends as `Failed` with its message, without a trace.

    A run whose flow returns a state ends in it, and its caller gets the error.
    """
    for logger in ("prefect.engine", "prefect.flow_runs", "prefect.task_runs"):
        logging.getLogger(logger).addFilter(_without_trace)
    try:
        return without_content(name, lambda _: work())
    except SluiceError as error:
        return Failed(message=str(error), data=error)


def rejected_state(name: str, summary: dict[str, Any]) -> State[dict[str, Any]]:
    """Return the state of a run whose release the gate rejected, and emit an event that says so.

    It is of the type `Completed`: nothing broke, and running it again changes nothing.
    """
    failed_checks = ", ".join(summary["failed_checks"])
    with best_effort("event"):
        emit_event(
            REJECTED_EVENT,
            resource={
                "prefect.resource.id": f"sluice.release.{name}.{summary['id']}",
                "prefect.resource.name": f"{name} {summary['id']}",
                "sluice.recipe": name,
            },
            payload={"release": summary["release"], "failed_checks": failed_checks},
        )
    return Completed(name=REJECTED, message=f"failed checks: {failed_checks}", data=summary)
