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
    *("find", "pull", "later", "select", "rights", "normalise", "review", "curate"),
    *("answer", "history", "split", "render", "grade", "gate", "release", "marks"),
)
"""The stages that `pipeline.build` runs, in their order; some recipes need fewer."""

T = TypeVar("T")


@contextmanager
def watch_build(name: str) -> Iterator[StageRunner]:
    """Yield what runs the stages of a build; it shows in Prefect how far the recipe `name` is."""
    progress = _BuildProgress(name)
    with listen(_log_stage):
        yield progress.run_stage


class ProgressArtifact:
    """A progress artifact; once Prefect failed to write it, it is left as it is."""

    def __init__(self, key: str, description: str) -> None:
        self._id: UUID | None = None
        with best_effort("progress"):
            artifact = create_progress_artifact(progress=0.0, key=key, description=description)
            self._id = cast(UUID, artifact)  # it is a coroutine only in async code

    def update(self, percent: float, description: str) -> None:
        """Say how far it is, from 0 to 100."""
        artifact, self._id = self._id, None
        if artifact:
            with best_effort("progress"):
                update_progress_artifact(
                    artifact_id=artifact, progress=percent, description=description
                )
                self._id = artifact


class _BuildProgress:
    """The progress artifact of a build, and what runs its stages."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._artifact = ProgressArtifact(f"sluice-progress-{name}", f"Build of {name}: started")

    def run_stage(self, name: str, work: Callable[[ReportProgress], T]) -> T:
        result = run_as_task(name, work)
        if name in STAGES:
            percent = 100 * (STAGES.index(name) + 1) / len(STAGES)
            self._artifact.update(percent, f"Build of {self._name}: {_after(name)}")
        return result


def _after(stage: str) -> str:
    return "done" if stage == STAGES[-1] else f"finished {stage}"


def _log_stage(counts: StageCounts) -> None:
    get_run_logger().info("%s: %s of %s", counts.stage, f"{counts.kept:,}", f"{counts.input:,}")
