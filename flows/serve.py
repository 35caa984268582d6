"""`sluice serve`: the flows of `prefect.yaml` in one process, without a work pool."""

from pathlib import Path
from typing import cast

from httpx import URL, HTTPError
from prefect import serve as serve_deployments
from prefect.client.orchestration import get_client
from prefect.client.schemas.schedules import CronSchedule
from prefect.deployments.runner import RunnerDeployment
from prefect.exceptions import PrefectException
from prefect.schedules import Cron, Schedule
from prefect.settings import PREFECT_API_URL
from prefect.types.entrypoint import EntrypointType
from pydantic import ValidationError

from bedrock_sluice.flows.nightly import nightly
from bedrock_sluice.flows.rebuild import rebuild
from bedrock_sluice.flows.recipe import load_folder
from bedrock_sluice.flows.running.executor_setting import PROCESSES
from bedrock_sluice.flows.train import train
from bedrock_sluice.transforms.errors import ConfigError, OutsideError

SUFFIX = "-served"  # of the deployments' names: those of `prefect.yaml` stay as they are


def serve(recipes: Path, cron: str, executor: str = PROCESSES) -> None:
    """Serve until stopped: `nightly` over the folder by the clock, `rebuild` and `train` on call.

    The schedule stays active after that, so that the next `serve` makes up for late runs.

    Raises:
        ConfigError: a recipe or the schedule is wrong, or no server is named.
        OutsideError: the server does not answer, or refuses.
    """
    errors = [str(each) for each in load_folder(recipes).values() if isinstance(each, ConfigError)]
    if errors:
        raise ConfigError("\n".join(errors))
    schedule = _schedule(cron)
    _check_server()
    where = {"executor": executor}
    module = EntrypointType.MODULE_PATH
    deployments = [
        nightly.to_deployment(
            f"nightly{SUFFIX}",
            schedule=schedule,
            parameters={"recipes": str(recipes.absolute()), **where},
            concurrency_limit=1,
            entrypoint_type=module,
        ),
        rebuild.to_deployment(f"rebuild{SUFFIX}", parameters=where, entrypoint_type=module),
        train.to_deployment(f"train{SUFFIX}", entrypoint_type=module),
    ]
    try:  # the deployments are coroutines only in async code
        serve_deployments(*cast(list[RunnerDeployment], deployments), pause_on_shutdown=False)
    except (HTTPError, PrefectException) as error:
        raise _unreachable(error) from None


def _schedule(cron: str) -> Schedule:
    try:
        CronSchedule(cron=cron, timezone="UTC")
        return Cron(cron, timezone="UTC")
    except ValidationError:
        raise ConfigError(f'{cron!r} is not a cron schedule; write one like "0 3 * * *"') from None


def _check_server() -> None:
    if not PREFECT_API_URL.value():
        raise ConfigError("no Prefect server is named; set PREFECT_API_URL to the URL of its API")
    try:
        with get_client(sync_client=True) as client:
            client.hello().raise_for_status()
    except (HTTPError, PrefectException, RuntimeError) as error:
        raise _unreachable(error) from None


def _unreachable(error: Exception) -> OutsideError:
    url = URL(str(PREFECT_API_URL.value())).copy_with(userinfo=b"")
    return OutsideError(
        f"Prefect's server at {url} does not answer ({type(error).__name__}); "
        "start it, or change PREFECT_API_URL"
    )
