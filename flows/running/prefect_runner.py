"""The `StageRunner` of Prefect: a task for each stage. Prefect sees names and times, no content."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

from httpx import HTTPError
from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.exceptions import PrefectException
from prefect.states import Failed
from prefect.tasks import Task

from bedrock_sluice.flows.running.faults import find_place
from bedrock_sluice.flows.running.runner import ReportProgress
from bedrock_sluice.transforms.errors import (
    ExitCode,
    IntegrityError,
    OutsideError,
    SluiceError,
    TransientError,
)

RETRIES = 3
RETRY_DELAYS_SECONDS = [10.0, 60.0, 300.0]

T = TypeVar("T")


class PrefectError(TransientError):
    """Prefect's server did not do its part."""


class UnexpectedError(IntegrityError):
    """An exception that no code of Sluice foresaw: a bug."""

    exit_code = ExitCode.INTERNAL


def run_as_task(name: str, work: Callable[[ReportProgress], T]) -> T:
    """Run one stage as a task, with retries for transient errors, without cache or stored result.

    `work` is closed over what it needs, so that Prefect is handed no arguments to look through.
    """

    @task(
        name=name,
        task_run_name=name,  # without the random end that Prefect adds otherwise
        cache_policy=NO_CACHE,
        persist_result=False,
        retries=RETRIES,
        retry_delay_seconds=RETRY_DELAYS_SECONDS,
        retry_condition_fn=_is_worth_retrying,
    )
    def run() -> T | State[Any]:
        try:
            return without_content(name, work)
        except SluiceError as error:  # raised here, Prefect would log a trace of our own code
            return Failed(message=str(error), data=error)

    return cast(T, run(return_state=True).result())


def without_content(name: str, work: Callable[[ReportProgress], T]) -> T:
    """Do the work; a foreign exception loses its text: Prefect would store it, content and all.

    Raises:
        SluiceError: as the work raised it.
        OutsideError: the disk failed.
        UnexpectedError: any other exception; it names the place.
        PrefectError: Prefect's server did not answer, or refused.
    """
    try:
        return work(lambda _count, _total: None)
    except SluiceError:
        raise
    except (HTTPError, PrefectException) as error:
        message = f"step {name}: Prefect's server failed ({type(error).__name__}); see that it runs"
        failure: SluiceError = PrefectError(message)
    except OSError as error:
        failure = OutsideError(f"step {name}: {error.filename or 'disk'}: {error.strerror}")
    except Exception as error:
        message = f"step {name}: {find_place(error)}; a bug in Sluice, please report it"
        failure = UnexpectedError(message)
    raise failure


def _is_worth_retrying(_task: Task[Any, Any], _run: TaskRun, state: State[Any]) -> bool:
    return isinstance(state.result(raise_on_failure=False), TransientError)
