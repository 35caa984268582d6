"""Work in parallel, results in order: threads for little work, processes where that pays."""

import atexit
import ctypes
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import Protocol, TypeVar

from bedrock_sluice.flows.running.imports import spare_pandas
from bedrock_sluice.flows.running.memory import collect_rarely
from bedrock_sluice.lake.stores.owners import expect_owner, expected_owners
from bedrock_sluice.transforms.errors import TransientError

THREADS = 8
WAITING_PER_WORKER = 2  # tasks handed out ahead; bounds what is held at once
MIN_PROCESS_BYTES = 16 << 20  # compressed; below it, starting processes takes longer than the work
KEPT_BYTES = 64 << 20  # by a worker, of freed memory
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # malloc.h
_THREADED = frozenset({"boto3", "duckdb", "polars", "prefect", "pyarrow"})

Task = TypeVar("Task")
Result = TypeVar("Result")


def in_order(
    work: Callable[[Task], Result], tasks: Iterable[Task], size_bytes: int
) -> Iterator[Result]:
    """The results of `work` for each task, in the order of the tasks.

    From `MIN_PROCESS_BYTES` of work on it is done in processes: then `work` is a function of a
    module, and tasks and results are data that can be sent.

    Raises:
        TransientError: a process died.
    """
    processes = os.cpu_count() or 1
    is_much = size_bytes >= MIN_PROCESS_BYTES and processes > 1
    try:
        with _lend_processes(processes) if is_much else ThreadPoolExecutor(THREADS) as pool:
            yield from _collect(pool, work, tasks, processes if is_much else THREADS)
    except BrokenProcessPool:
        message = (
            "a worker process died, perhaps for lack of memory, or since the script that calls "
            'has no `if __name__ == "__main__":`; run again'
        )
        raise TransientError(message) from None


class Cluster(Protocol):
    """Other machines that run tasks."""

    def in_order(self, work: Callable[[Task], Result], tasks: Iterable[Task]) -> Iterator[Result]:
        """Yield the results of `work` for each task, in the order of the tasks."""
        ...


def distribute(
    work: Callable[[Task], Result], tasks: Iterable[Task], size_bytes: int
) -> Iterator[Result]:
    """The results of `work` for each task, as by `in_order`, but on the cluster if there is one.

    So `work` and the tasks name nothing that only this machine has: no files and no folders.

    Raises:
        OutsideError: a process died; or the cluster failed.
    """
    cluster, owners = _cluster.get(), expected_owners()
    if owners:
        work = partial(_work_with_owners, work, owners)
    return cluster.in_order(work, tasks) if cluster else in_order(work, tasks, size_bytes)


def _work_with_owners(
    work: Callable[[Task], Result], owners: Mapping[str, str], task: Task
) -> Result:
    """Do a task in another process as in this one: S3 compares the owners of the same buckets."""
    for bucket, account in owners.items():
        expect_owner(bucket, account)
    return work(task)


@contextmanager
def use_cluster(cluster: Cluster) -> Iterator[None]:
    """Let `distribute` run tasks on this cluster, until the block ends."""
    token = _cluster.set(cluster)
    try:
        yield
    finally:
        _cluster.reset(token)


_cluster: ContextVar[Cluster | None] = ContextVar("cluster", default=None)


@contextmanager
def keep_processes() -> Iterator[None]:
    """Keep the processes that `in_order` starts for its next calls, until the block ends.

    Starting them anew for each stage of a build took seconds: each imports the libraries again.
    Within a block that keeps them already, they are kept until that one ends.
    """
    if _pools.get() is not None:
        yield
        return
    pools = list[ProcessPoolExecutor]()
    token = _pools.set(pools)
    try:
        yield
    finally:
        _pools.reset(token)
        for pool in pools:
            pool.shutdown(cancel_futures=True)


_pools: ContextVar[list[ProcessPoolExecutor] | None] = ContextVar("pools", default=None)


@contextmanager
def _lend_processes(number: int) -> Iterator[ProcessPoolExecutor]:
    pools = _pools.get()
    if pools is None:
        with _processes(number) as pool:
            yield pool
        return
    if not pools:
        pools.append(_processes(number))
    try:
        yield pools[0]
    except BrokenProcessPool:  # a step that is tried again gets new ones
        pools.pop(0).shutdown()
        raise


def _processes(number: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(number, mp_context=get_context(_start_method()), initializer=_settle)


def _start_method() -> str:
    """Forked workers start at once, but a fork leaves other threads, and what they hold, behind."""
    if sys.platform != "linux":
        return "spawn"
    threads = len(list(Path("/proc/self/task").iterdir()))  # those of libraries too
    has_threads = threads > 1 or not _THREADED.isdisjoint(sys.modules)
    return "spawn" if has_threads else "fork"


def _settle() -> None:
    atexit.register(os._exit, 0)  # nothing is left to do then, and Python's way out takes its time
    threading.Thread(target=_end_with_parent, daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent gets it too, and ends the pool
    spare_pandas()
    collect_rarely()
    # Let malloc keep what is freed: fetching it anew for each object takes a sixth of the time.
    # Only glibc has the setting, and only it needs it.
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(_MMAP_THRESHOLD, KEPT_BYTES)
        libc.mallopt(_TRIM_THRESHOLD, KEPT_BYTES)


def _end_with_parent() -> None:
    """A parent that is killed can't end its workers, and they would wait for ever."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _collect(
    pool: Executor, work: Callable[[Task], Result], tasks: Iterable[Task], workers: int
) -> Iterator[Result]:
    waiting = deque[Future[Result]]()
    try:
        for task in tasks:
            waiting.append(pool.submit(work, task))
            if len(waiting) >= WAITING_PER_WORKER * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()
