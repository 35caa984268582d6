"""Tasks on a Dask cluster: its workers read the logs, and read and write the lake.

Dask logs and displays the names of functions, keys, arguments and the text of exceptions. So none
of them has content: keys are random, the argument is a `Parcel`, and errors are returned as data.
"""

import asyncio
import pickle
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Any, TypeVar

from distributed import Client, Future
from distributed.comm.core import connect
from distributed.scheduler import KilledWorker
from distributed.security import Security

from bedrock_sluice.flows.running.executor import WAITING_PER_WORKER
from bedrock_sluice.flows.running.faults import find_place
from bedrock_sluice.flows.running.versions import Versions, describe_differences, read_versions
from bedrock_sluice.lake.stores.s3 import cache_in
from bedrock_sluice.transforms.errors import (
    ConfigError,
    IntegrityError,
    OutsideError,
    SluiceError,
    TransientError,
)

CONNECT_SECONDS = 10
CHECK_SECONDS = 5  # between two looks at the workers, while a result is waited for
WORKERLESS_SECONDS = 600  # a cluster that grows with its tasks may have to start a machine first
MIN_WAITING = 8  # tasks handed out though there is no worker yet, so that such a cluster grows

Task = TypeVar("Task")
Result = TypeVar("Result")


@dataclass(frozen=True, repr=False)
class Parcel:
    """Work and a task, pickled, and the versions of the machine that sends them."""

    versions: Versions
    content: bytes


@dataclass(frozen=True, repr=False)
class Outcome:
    """The result of a task, or why there is none."""

    result: Any = None
    error: SluiceError | None = None


def run_parcel(parcel: Parcel) -> Outcome:
    """Run a task on a worker, unless its versions are not those of the sender.

    Copies of objects are kept in a folder of the task's own: a worker runs for months, and a copy
    is hardly used twice.
    """
    if differences := describe_differences(theirs=read_versions(), ours=parcel.versions):
        message = f"a Dask worker has {differences}; install the same versions everywhere"
        return Outcome(error=ConfigError(message))
    try:
        work, task = pickle.loads(parcel.content)  # noqa: S301 - of the client that Dask trusts
        with TemporaryDirectory(prefix="sluice-task-") as folder, cache_in(Path(folder)):
            return Outcome(work(task))
    except SluiceError as error:
        return Outcome(error=error)
    except OSError as error:  # of its disk; the stores have errors of their own
        message = f"a Dask worker failed: {error.strerror}; check its disk and run again"
        return Outcome(error=OutsideError(message))
    except Exception as error:
        message = f"on a Dask worker: {find_place(error)}; a bug in Sluice, please report it"
        return Outcome(error=IntegrityError(message))


class DaskCluster:
    """The workers of a scheduler, see `executor.Cluster`."""

    def __init__(self, client: Client, address: str) -> None:
        self._client = client
        self._address = address

    def in_order(self, work: Callable[[Task], Result], tasks: Iterable[Task]) -> Iterator[Result]:
        """See `executor.Cluster`. A task whose worker dies is run again on another, by Dask.

        Raises:
            ConfigError: a worker has other versions.
            OutsideError: the cluster failed; or as `work` raises.
        """
        waiting = deque[Future[Outcome]]()
        try:
            for task in tasks:
                waiting.append(self._submit(work, task))
                if len(waiting) >= self._most_waiting():
                    yield self._result(waiting.popleft())
            while waiting:
                yield self._result(waiting.popleft())
        finally:
            with suppress(OSError, TimeoutError):  # if the scheduler is gone, so are the tasks
                self._client.cancel(list(waiting))

    def _submit(self, work: Callable[[Task], Result], task: Task) -> Future[Outcome]:
        parcel = Parcel(read_versions(), pickle.dumps((work, task)))
        return self._client.submit(run_parcel, parcel, key=f"sluice-{token_hex(8)}", pure=False)

    def _most_waiting(self) -> int:
        threads: int = sum(self._client.nthreads().values())
        return max(MIN_WAITING, WAITING_PER_WORKER * threads)

    def _result(self, future: Future[Outcome]) -> Any:
        try:
            outcome = self._wait(future)
        except KilledWorker:
            message = (
                "a task was lost with each worker that ran it, perhaps for lack of memory; "
                "see the logs of the Dask workers, and run again"
            )
            raise TransientError(message) from None
        except (CancelledError, OSError):
            message = "the connection was lost, or the tasks were cancelled; run again"
            raise TransientError(message, place=f"Dask scheduler at {self._address}") from None
        except SluiceError:
            raise
        except Exception as error:
            raise OutsideError(
                f"the tasks failed ({type(error).__name__})",
                place=f"Dask scheduler at {self._address}",
                hint="see its log, and install the same versions of bedrock-sluice and dask on "
                "the scheduler and the workers as here",
            ) from None
        if outcome.error is not None:
            raise outcome.error
        return outcome.result

    def _wait(self, future: Future[Outcome]) -> Outcome:
        """Wait for a result, as long as there are workers."""
        last_seen = monotonic()
        while True:
            try:
                return future.result(timeout=CHECK_SECONDS)
            except TimeoutError:  # no task raises one
                if self._client.nthreads():
                    last_seen = monotonic()
                elif monotonic() - last_seen > WORKERLESS_SECONDS:
                    message = f"there has been no worker for {WORKERLESS_SECONDS} seconds"
                    place, hint = f"Dask scheduler at {self._address}", "start workers, run again"
                    raise OutsideError(message, place=place, hint=hint) from None


@contextmanager
def open_cluster(address: str) -> Iterator[DaskCluster]:
    """Connect to the scheduler at `host:port`; Dask's own configuration says how, such as by TLS.

    Raises:
        OutsideError: it cannot be reached.
    """
    try:
        with ThreadPoolExecutor(1) as thread:  # the caller's thread may have a loop of its own
            thread.submit(asyncio.run, _greet(address)).result()
        client = Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except Exception as error:
        raise OutsideError(
            f"cannot be reached ({type(error).__name__})",
            place=f"Dask scheduler at {address}",
            hint="start it, or correct --executor",
        ) from None
    with client:
        yield DaskCluster(client, address)


async def _greet(address: str) -> None:
    """Exchange greetings with a scheduler: `Client` would wait for ever for those of a stranger."""
    options = Security().get_connection_args("client")
    comm = await asyncio.wait_for(connect(address, **options), CONNECT_SECONDS)
    await comm.close()
