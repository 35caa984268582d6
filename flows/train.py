"""Flow `train`: start the training job of an approved release.

What it moves: the lines, where [train] data_uri says so; the digests of their prompts, into the
lake's registry; and one request to Bedrock. It does not wait for the job, but first looks how the
earlier jobs of the lineage ended. To run it again starts no second job.
Results: none kept in Prefect.

Requires:
- an approval of the release (`sluice approve`);
- a release that the worker can read: an `s3://` URI, or a folder that it shares;
- AWS settings with a Region, and a caller that may bedrock:CreateModelCustomizationJob,
  bedrock:GetModelCustomizationJob, iam:PassRole for the role of [train], and read the release's
  lake and add to it.
"""

from prefect import flow

from bedrock_sluice.flows.job import Request, train_on
from bedrock_sluice.flows.tasks import prefect_step
from bedrock_sluice.lake.releases import open_release


@flow(persist_result=False)
def train(release: str, dry_run: bool = False) -> str | Request:
    """Start the job and return its ARN; in a dry run send nothing, and return the request."""
    return prefect_step("train", lambda _: train_on(open_release(release), is_dry_run=dry_run))
