"""`sluice serve`: the deployments of `prefect.yaml` in one process, without a work pool."""

from pathlib import Path
from typing import cast

from prefect import serve as serve_deployments
from prefect.deployments.runner import RunnerDeployment

from bedrock_sluice.flows.nightly import nightly
from bedrock_sluice.flows.rebuild import rebuild
from bedrock_sluice.flows.train import train


def serve(recipes: Path, cron: str) -> None:
    """Serve until stopped: `nightly` over the folder by the clock, `rebuild` and `train` on call.

    Needs a Prefect server (`PREFECT_API_URL`) that keeps the schedule.
    """
    parameters = {"recipes": str(recipes.absolute())}
    deployments = [
        nightly.to_deployment("nightly", cron=cron, parameters=parameters, concurrency_limit=1),
        rebuild.to_deployment("on-demand"),
        train.to_deployment("on-demand"),
    ]
    serve_deployments(*cast(list[RunnerDeployment], deployments))  # coroutines only in async code
