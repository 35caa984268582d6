"""Releases of a small demo, with labels, and the record of a job that was trained on one."""

from datetime import UTC, datetime
from pathlib import Path

from bedrock_sluice.demo.logs import demo_files
from bedrock_sluice.flows.context import open_context
from bedrock_sluice.flows.pipeline import build
from bedrock_sluice.lake.releases.registry import JobEnd, JobRequest, Use, read_uses, reserve
from bedrock_sluice.lake.releases.release import Release
from support.builds import without_checks
from support.releases import approve

RECORDS = 400
JOB = "arn:aws:bedrock:us-east-1:111122223333:model-customization-job/amazon.nova-2/0123456789ab"
MODEL = "arn:aws:bedrock:us-east-1:111122223333:custom-model/amazon.nova-2/ba9876543210"
BASE = "amazon.nova-2-lite-v1:0:256k"


def build_demo(folder: Path, lake: str = "lake") -> Release:
    """Build a release of a small demo in a lake, without asking the gate."""
    for name, content in demo_files(RECORDS):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    recipe = folder / "recipe.toml"
    recipe.write_text(recipe.read_text().replace('lake = "lake"', f'lake = "{lake}"'))
    with without_checks(), open_context(recipe) as context:
        return build(context)


def train(release: Release, *, has_approval: bool = True) -> Use:
    """Record a job that completed, as `train` and `status` do."""
    if has_approval:
        approve(release, "Dana", datetime(2026, 11, 2, 12, tzinfo=UTC))
    digest, name = release.manifest.digest, f"{release.name}/{release.id}"
    request = {
        "jobName": "demo-job",
        "baseModelIdentifier": BASE,
        "clientRequestToken": f"sluice-{digest}",
        "jobTags": [{"key": "sluice:digest", "value": digest}],
    }
    claim = reserve(release, "demo", 1, JobRequest(name, "demo-job", "us-east-1", request))
    claim.start(JOB)
    (use,) = read_uses(release.lake, "demo")
    use.register(JobEnd("Completed", JOB, MODEL))
    return use
