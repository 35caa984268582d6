"""A Dask cluster builds what one machine builds, whatever happens to its workers."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest
from distributed import LocalCluster
from support.builds import without_checks
from support.protocols import MakeRecords, RunSluice, WriteLogs, WriteRecipe

from bedrock_sluice.flows.context import open_context
from bedrock_sluice.flows.pipeline import build
from bedrock_sluice.flows.running import dask_cluster
from bedrock_sluice.flows.running.dask_cluster import DaskCluster, open_cluster
from bedrock_sluice.flows.running.runner import ReportProgress, StageRunner, run_directly
from bedrock_sluice.flows.stages import derive
from bedrock_sluice.lake.logs import landed
from bedrock_sluice.lake.stores.folder import FolderStore
from bedrock_sluice.lake.stores.opening import open_store
from bedrock_sluice.lake.stores.s3 import S3Store
from bedrock_sluice.transforms.errors import (
    ConfigError,
    IntegrityError,
    OutsideError,
    TransientError,
)

ROOT = Path(__file__).parents[3]
PARTS = 8  # of the lake: one for each hour of the logs
WAIT_SECONDS = 120
PATIENCE_SECONDS = 30
CANARY = "jane.doe@example.com"

T = TypeVar("T")


@contextmanager
def local_cluster(folder: Path, workers: int, endpoint: str = "") -> Iterator[LocalCluster]:
    """Worker processes that have AWS settings and a temporary folder of their own."""
    settings = {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": endpoint,
        "TMPDIR": str(folder),
    }
    with LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",  # else two clusters ask for one port
        local_directory=str(folder),
        env=settings,
    ) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def two_workers(moto_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    with local_cluster(tmp_path_factory.mktemp("workers"), 2, moto_url) as cluster:
        yield cluster


def address_of(cluster: LocalCluster) -> str:
    return cluster.scheduler_address.removeprefix("tcp://")


@pytest.fixture
def workers(two_workers: LocalCluster) -> Iterator[DaskCluster]:
    """A connection to two workers."""
    with open_cluster(address_of(two_workers)) as cluster:
        yield cluster


# --- Whole builds


@pytest.fixture
def in_s3(
    tmp_path: Path, bucket: str, write_logs: WriteLogs, records: MakeRecords, recipe: WriteRecipe
) -> Path:
    """A recipe over logs and a lake in a bucket; of each hour, one line is cut off."""
    log_records = records(30 * PARTS)
    for n in range(PARTS):
        mine = log_records[n * 30 : (n + 1) * 30]
        mine[0]["input"]["inputBodyJson"]["messages"][0]["content"][0]["text"] += CANARY
        broken_line = f'{{"schemaType": "{CANARY}'.encode()
        write_logs(tmp_path / "logs", [[*mine, broken_line]], f"2026/10/01/{10 + n}")
    for entry in FolderStore(tmp_path / "logs").entries():
        S3Store(f"s3://{bucket}/logs").put_new(entry.key, tmp_path / "logs" / entry.key)
    swaps = {'"lake"': f'"s3://{bucket}/lake"', '"logs"': f'"s3://{bucket}/logs"'}
    return recipe(swaps=swaps, name="s3.toml")


def release_id(
    recipe: Path, executor: str = "processes", run_stage: StageRunner = run_directly
) -> str:
    with open_context(recipe, executor=executor) as context, without_checks():
        return build(context, run_stage).id


def test_two_workers_build_the_release_that_one_machine_builds(
    in_s3: Path, recipe: WriteRecipe, two_workers: LocalCluster
) -> None:
    expected = release_id(recipe())
    assert release_id(in_s3, f"dask://{address_of(two_workers)}") == expected
    logs = "".join(two_workers.get_logs().values())
    assert "distributed.worker" in logs
    assert CANARY not in logs


class Killer:
    """Runs stages; kills a worker that was given tasks of one stage before they are done.

    The worker is frozen first, so that it does not finish them before.
    """

    def __init__(self, cluster: LocalCluster, stage: str) -> None:
        self._cluster = cluster
        self._stage = stage
        self.lost_tasks = 0

    def __call__(self, name: str, work: Callable[[ReportProgress], T]) -> T:
        if name != self._stage:
            return run_directly(name, work)
        nanny = next(iter(self._cluster.workers.values()))
        os.kill(nanny.pid, signal.SIGSTOP)
        killer = threading.Thread(target=self._kill_at_work, args=(nanny.worker_address, nanny.pid))
        killer.start()
        try:
            return run_directly(name, work)
        finally:
            killer.join()

    def _kill_at_work(self, address: str, process_id: int) -> None:
        scheduler: Any = self._cluster.scheduler
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not self.lost_tasks and time.monotonic() < deadline:
            time.sleep(0.05)
            self.lost_tasks = len(scheduler.workers[address].processing)
        os.kill(process_id, signal.SIGKILL)


@pytest.mark.parametrize("stage", ["pull", "normalise"])
def test_tasks_of_a_worker_that_is_killed_are_run_by_another(
    in_s3: Path,
    recipe: WriteRecipe,
    two_workers: LocalCluster,
    stage: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(landed, "MAX_BATCH_OBJECTS", 1)  # each object is a task of its own
    monkeypatch.setattr(derive, "MAX_RUN_PARTS", 1)
    killer = Killer(two_workers, stage)
    by_the_other = release_id(in_s3, f"dask://{address_of(two_workers)}", killer)
    assert killer.lost_tasks
    assert by_the_other == release_id(recipe())


# --- Tasks


def test_results_come_in_the_order_of_the_tasks_and_few_tasks_are_ahead(
    workers: DaskCluster,
) -> None:
    numbers = list[int]()

    def tasks() -> Iterator[int]:
        for number in range(-50, 0):
            numbers.append(number)
            yield number

    results = workers.in_order(abs, tasks())
    assert next(results) == 50
    assert len(numbers) <= dask_cluster.MIN_WAITING
    assert list(results) == list(range(49, 0, -1))


def test_an_error_comes_as_it_was_raised_unless_it_may_have_content(
    workers: DaskCluster, two_workers: LocalCluster
) -> None:
    with pytest.raises(ConfigError, match="is neither a folder nor an s3:// URI"):
        list(workers.in_order(open_store, ["ftp://host"]))
    with pytest.raises(IntegrityError, match=r"ValueError at .*a bug in Sluice") as error:
        list(workers.in_order(int, [CANARY]))
    assert CANARY not in str(error.value)
    with pytest.raises(OutsideError, match="a Dask worker failed: No such file or directory"):
        list(workers.in_order(os.listdir, [f"/{CANARY}"]))
    assert CANARY not in "".join(two_workers.get_logs().values())


def test_tasks_are_cancelled_when_nobody_waits_for_them(
    workers: DaskCluster, two_workers: LocalCluster
) -> None:
    results = workers.in_order(time.sleep, [0.1] * 100)
    next(results)
    scheduler: Any = two_workers.scheduler
    tasks = scheduler.tasks
    assert tasks
    del results  # closes it, as Ctrl-C does
    deadline = time.monotonic() + WAIT_SECONDS
    while tasks and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not tasks


def test_a_task_that_kills_its_workers_is_given_up(
    workers: DaskCluster, two_workers: LocalCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(two_workers.scheduler, "allowed_failures", 0)  # each takes seconds
    with pytest.raises(TransientError, match="lost with each worker that ran it"):
        list(workers.in_order(os._exit, [9]))


# --- Clusters that are not fit


@pytest.fixture
def no_worker(tmp_path: Path) -> Iterator[LocalCluster]:
    """A scheduler alone."""
    with local_cluster(tmp_path, 0) as cluster:
        yield cluster


@pytest.fixture
def other_code(tmp_path: Path) -> Path:
    """A folder with Sluice in it, with one comment more."""
    package = tmp_path / "other" / "bedrock_sluice"
    shutil.copytree(ROOT / "api", package)
    for room in ("cli", "expectations", "flows", "lake", "rewards", "sql", "transforms"):
        shutil.copytree(ROOT / room, package / room, ignore=shutil.ignore_patterns("__pycache__"))
    with (package / "transforms" / "reasons.py").open("a") as file:
        file.write("# other code\n")
    return package.parent


def test_a_worker_with_other_code_refuses_its_tasks(
    no_worker: LocalCluster, other_code: Path
) -> None:
    dask = Path(sys.executable).with_name("dask")
    command = [str(dask), "worker", no_worker.scheduler_address, "--no-dashboard", "--no-nanny"]
    with subprocess.Popen(
        [*command, "--local-directory", str(other_code / "work")],
        env=os.environ | {"PYTHONPATH": str(other_code)},
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            with open_cluster(address_of(no_worker)) as cluster:
                message = r"bedrock-sluice .* \(code \w+\) instead of .* \(code \w+\); install the"
                with pytest.raises(ConfigError, match=message):
                    list(cluster.in_order(abs, [1]))
        finally:
            process.terminate()


def test_a_cluster_without_workers_is_given_up(
    no_worker: LocalCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dask_cluster, "CHECK_SECONDS", 0.2)
    monkeypatch.setattr(dask_cluster, "WORKERLESS_SECONDS", 1)
    message = "no worker for 1 seconds; start workers"
    with (
        open_cluster(address_of(no_worker)) as cluster,
        pytest.raises(OutsideError, match=message),
    ):
        list(cluster.in_order(abs, [1]))


def test_a_scheduler_that_goes_away_is_worth_a_retry(no_worker: LocalCluster) -> None:
    with open_cluster(address_of(no_worker)) as cluster:
        closing = threading.Timer(1, no_worker.close)
        closing.start()
        with pytest.raises(TransientError, match="the connection was lost"):
            list(cluster.in_order(abs, [1]))
        closing.join()


# --- The setting


@pytest.fixture
def nowhere(recipe: WriteRecipe, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A recipe over a lake and logs in buckets that nobody asks for."""
    monkeypatch.setattr(dask_cluster, "CONNECT_SECONDS", 0.5)
    return recipe(swaps={'"lake"': '"s3://bucket/lake"', '"logs"': '"s3://bucket/logs"'})


@pytest.mark.parametrize("command", ["build", "pull"])
def test_a_scheduler_that_does_not_answer_is_exit_code_3(
    command: str, nowhere: Path, sluice: RunSluice
) -> None:
    result = sluice(command, nowhere, "--executor", "dask://127.0.0.1:1")
    assert result.code == 3
    assert "Dask scheduler at 127.0.0.1:1: cannot be reached" in result.err
    assert "start it, or correct --executor" in result.err


def test_a_server_that_is_not_a_scheduler_is_exit_code_3(
    moto_url: str, nowhere: Path, sluice: RunSluice
) -> None:
    result = sluice("pull", nowhere, "--executor", moto_url.replace("http", "dask"))
    assert result.code == 3
    assert "cannot be reached" in result.err


def test_without_its_extra_the_command_names_it(
    nowhere: Path, sluice: RunSluice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, dask_cluster.__name__)
    monkeypatch.delattr("bedrock_sluice.flows.running.dask_cluster")
    monkeypatch.setitem(sys.modules, "distributed", None)
    result = sluice("pull", nowhere, "--executor", "dask://127.0.0.1:1")
    assert result.code == 2
    assert "pip install 'bedrock-sluice[dask]'" in result.err


@pytest.mark.parametrize(
    ("swaps", "more", "key"),
    [
        ({'"logs"': '"s3://bucket/logs"'}, "", "lake"),
        ({'"lake"': '"s3://bucket/lake"'}, "", "source.uri"),
        (
            {
                '"lake"': '"s3://bucket/lake"',
                'uri = "logs"': 'uri = "s3://bucket/logs"\nbodies = ["bodies"]',
            },
            "",
            "source.bodies[0]",
        ),
    ],
)
def test_folders_are_refused_for_other_machines_have_them_not(
    swaps: dict[str, str], more: str, key: str, recipe: WriteRecipe, sluice: RunSluice
) -> None:
    result = sluice("build", recipe(more, swaps), "--executor", "dask://127.0.0.1:1")
    assert result.code == 2
    assert f"{key}: " in result.err
    assert "is a folder of this machine, which Dask workers cannot read" in result.err


@pytest.mark.parametrize(
    "executor", ["", "threads", "dask://", "dask://host", "dask://host:0", "dask://a:99999", "http"]
)
def test_another_executor_is_refused(executor: str, sums: Path, sluice: RunSluice) -> None:
    result = sluice("build", sums, "--executor", executor)
    assert result.code == 2
    assert "is neither 'processes' nor 'dask://HOST:PORT'" in result.err
