"""How far a training job is, in Prefect: a log line for each change, and a progress artifact."""

from collections.abc import Sequence

from prefect.logging import get_run_logger

from bedrock_sluice.flows.nights.job_notice import notify_job
from bedrock_sluice.flows.prefect_view.progress import ProgressArtifact
from bedrock_sluice.flows.recipe import Recipe
from bedrock_sluice.flows.training.targets.base import COMPLETED
from bedrock_sluice.flows.training.watch import JobState, watch_jobs
from bedrock_sluice.lake.stores.store import Store
from bedrock_sluice.transforms.errors import RefusedError
from bedrock_sluice.transforms.training.metrics import ROLES


def follow_job(lake: Store, recipe: Recipe, job: str) -> None:
    """Wait until a job has ended, and send its notices.

    Raises:
        RefusedError: It failed or was stopped, or the service does not know it.
        SluiceError: As `watch_jobs` does.
    """
    artifact = ProgressArtifact(f"sluice-job-{recipe.lineage}", f"Job {job}: requested")
    texts = list[str]()

    def report(states: Sequence[JobState]) -> None:
        for state in states:
            if (text := describe(state)) not in texts[-1:]:
                get_run_logger().info(text)
                artifact.update(percent_of(state), text)
                texts.append(text)
            if recipe.nightly.notify:
                notify_job(recipe.nightly.notify, lake, state)

    for state in watch_jobs(lake, [recipe.lineage], job, report=report, recipe=recipe):
        if state.status != COMPLETED:
            # What the service says may quote anything: it stays in the lake.
            advice = state.advice or "see `sluice jobs list`"
            raise RefusedError(f"job {job} did not complete: {state.status}; {advice}")


def percent_of(state: JobState) -> float:
    """Return how far a job is: 0 until its end where the service does not count its steps."""
    if state.status == COMPLETED:
        return 100.0
    step = state.last_step
    return 100 * min(step / state.total_steps, 1.0) if step and state.total_steps else 0.0


def describe(state: JobState) -> str:
    """Return where a job stands as one line of ids and numbers."""
    parts = [f"Job {state.job}: {state.status}"]
    if step := state.last_step:
        of = f" of {state.total_steps:,}" if state.total_steps else ""
        parts.append(f"step {step:,}{of}")
    parts.extend(f"{ROLES[role]} {each.last:.4g}" for role, each in state.metrics.items())
    parts.extend(f"unhealthy ({each.rule})" for each in state.findings)
    return ", ".join(parts)
