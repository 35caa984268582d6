"""Flow `train`: start the training job of an approved release.

What it moves: the lines, where [train] data_uri says so; the digests of their prompts, into the
lake's registry; and one request to the service. It first looks how the earlier jobs of the lineage
ended. To run it again starts no second job.
Results: none kept in Prefect; with `wait`, a progress artifact of the job, if it can be written.

Requires:
- the approvals of the release that its recipe asks for (`sluice approve`);
- the recipe as a file that the worker can read, if its job settings ([train], [grader] lambda_arn)
  changed since the release was built;
- a release that the worker can read: an `s3://` URI, or a folder that it shares;
- AWS settings with a Region, and a caller that may bedrock:CreateModelCustomizationJob,
  bedrock:GetModelCustomizationJob, bedrock:GetFoundationModel, iam:PassRole for the role of
  [train], and read the release's lake and add to it.
"""

from pathlib import Path
from typing import Any

from prefect import flow

from bedrock_sluice.flows.prefect_view.flow_run import end_plainly, release_run_name
from bedrock_sluice.flows.prefect_view.job_progress import follow_job
from bedrock_sluice.flows.recipe import load_recipe
from bedrock_sluice.flows.review.release_names import resolve_release
from bedrock_sluice.flows.running.prefect_runner import run_as_task
from bedrock_sluice.flows.training.examination import examine
from bedrock_sluice.flows.training.job import prepare, train_on
from bedrock_sluice.flows.training.targets.base import Request


@flow(persist_result=False, flow_run_name=release_run_name)
def train(
    release: str, dry_run: bool = False, recipe: str | None = None, wait: bool = False
) -> Any:
    """Start the job and return its ARN or id; in a dry run return the request, and send nothing.

    Args:
        release: `RECIPE@approved`, or a path or `s3://` URI of the release.
        dry_run: Show the request without sending it; it needs no approval.
        recipe: Path of the recipe to read job settings from, instead of that of the build.
        wait: Follow the job until it has ended. The run fails if the job did not complete.
    """

    def work() -> str | Request:
        source = resolve_release(release, recipe)
        current = load_recipe(Path(recipe)) if recipe else None
        base = Path(recipe).absolute().parent if recipe else None
        if not dry_run:
            job = prepare(source, current, base)
            job_id = train_on(job)
            if wait:
                follow_job(source.lake, job.recipe, job.draft.name)
            return job_id
        examination = examine(source, current, base)
        if error := examination.error(consent_needed=False):
            raise error
        return examination.request

    return end_plainly("train", lambda: run_as_task("train", lambda _: work()))
