"""How far a build is, in Prefect: a task and a log line per stage, and a progress artifact."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar, cast
from uuid import UUID

from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.logging import get_run_logger

from bedrock_sluice.flows.prefect_view.artifacts import best_effort
from bedrock_sluice.flows.running.prefect_runner import run_as_task
from bedrock_sluice.flows.running.runner import ReportProgress, StageRunner
from bedrock_sluice.flows.running.stage_log import listen
from bedrock_sluice.transforms.facts.release_facts import StageCounts

STAGES = (
    *("find", "pull", "later", "select", "tags", "rights", "normalise", "review", "curate"),
    *("answer", "history", "split", "render", "grade", "gate", "release", "marks"),
)
"""The stages that `pipeline.build` runs, in their order; some recipes need fewer."""

T = TypeVar("T")


@contextmanager
def watch_build(name: str) -> Iterator[StageRunner]:
    """Yield what runs the stages of a build; it shows in Prefect how far the recipe `name` is."""
    progress = _Progress(name)
    with listen(_log_stage):
        yield progress.run_stage


class _Progress:
    """The progress artifact; once Prefect failed to write it, it is left as it is."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._artifact: UUID | None = None
        with best_effort("progress"):
            artifact = create_progress_artifact(
                progress=0.0,
                key=f"sluice-progress-{name}",
                description=f"Build of {name}: started",
            )
            self._artifact = cast(UUID, artifact)  # it is a coroutine only in async code

    def run_stage(self, name: str, work: Callable[[ReportProgress], T]) -> T:
        result = run_as_task(name, work)
        artifact, self._artifact = self._artifact, None
        if artifact and name in STAGES:
            with best_effort("progress"):
                update_progress_artifact(
                    artifact_id=artifact,
                    progress=100 * (STAGES.index(name) + 1) / len(STAGES),
                    description=f"Build of {self._name}: {_after(name)}",
                )
                self._artifact = artifact
        return result


def _after(stage: str) -> str:
    return "done" if stage == STAGES[-1] else f"finished {stage}"


def _log_stage(counts: StageCounts) -> None:
    get_run_logger().info("%s: %s of %s", counts.stage, f"{counts.kept:,}", f"{counts.input:,}")
