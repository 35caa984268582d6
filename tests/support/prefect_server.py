"""A Prefect server as people start it, workers of it, and what its API answers."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from socket import socket
from typing import Any

import httpx
import pytest

ROOT = Path(__file__).parents[2]
PREFECT = str(Path(sys.executable).with_name("prefect"))
POOL = "sluice"
WAIT_SECONDS = 240  # of a machine that does other things, too
FINAL_TYPES = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}

Json = dict[str, Any]


def read_api(path: str, body: Json) -> Any:
    """What the API of the current server answers to a POST."""
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        return client.request("POST", path, json=body).json()  # type: ignore[arg-type]


def wait_for(read: Callable[[], Any]) -> Any:
    """Read again until there is something: the server stores logs and events with a delay."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not (result := read()):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    return result


@pytest.fixture(scope="module")
def server_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The API of `prefect server start`, with a database in a folder of its own."""
    from prefect.settings import PREFECT_API_URL, temporary_settings

    home = tmp_path_factory.mktemp("server")
    with closing(socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}/api"
    command = [PREFECT, "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    with _process(command, home, home / "err.txt", url):

        def is_healthy() -> bool:
            try:
                return httpx.get(f"{url}/health").is_success
            except httpx.TransportError:
                return False

        wait_for(is_healthy)
        with temporary_settings({PREFECT_API_URL: url}):
            yield url


@pytest.fixture(scope="module")
def deployments_url(server_url: str) -> str:
    """The same API, once `prefect.yaml` is deployed."""
    for arguments in (["work-pool", "create", POOL, "--type", "process"], ["deploy", "--all"]):
        run_prefect(server_url, *arguments)
    return server_url


def run_prefect(url: str, *arguments: str) -> None:
    """Run a command of Prefect in the folder of the project."""
    subprocess.run(
        [PREFECT, "--no-prompt", *arguments],
        cwd=ROOT,
        env=os.environ | {"PREFECT_API_URL": url},
        check=True,
        capture_output=True,
    )


@contextmanager
def worker(url: str, home: Path) -> Iterator[Path]:
    """A worker of the pool, started in a folder and a home of its own; yields its stderr."""
    err = home / "err.txt"
    home.mkdir()
    with _process([PREFECT, "worker", "start", "--pool", POOL], home, err, url):
        yield err


@contextmanager
def _process(command: list[str], home: Path, err: Path, url: str) -> Iterator[None]:
    """A process of Prefect, with a home and a working directory of its own."""
    environment = os.environ | {
        "HOME": str(home),
        "PREFECT_HOME": str(home / ".prefect"),
        "PREFECT_API_URL": url,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
    }
    environment.pop("PREFECT_API_DATABASE_CONNECTION_URL", None)
    with err.open("wb") as file:
        process = subprocess.Popen(
            command, cwd=home, env=environment, stdout=subprocess.DEVNULL, stderr=file
        )
        try:
            yield
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(WAIT_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def run_deployment(name: str, **parameters: object) -> Json:
    """Run a deployment by the worker, and return the run once it ended."""
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        deployment = client.read_deployment_by_name(f"{name}/{name}")
        run = client.create_flow_run_from_deployment(deployment.id, parameters=parameters)
    body = {"flow_runs": {"id": {"any_": [str(run.id)]}}}

    def read_end() -> Json | None:
        (current,) = read_api("/flow_runs/filter", body)
        return current if current["state_type"] in FINAL_TYPES else None

    end: Json = wait_for(read_end)
    return end
