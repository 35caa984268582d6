"""`sluice jobs`: list, watch and stop, and a watcher that is killed at each step."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from support.protocols import RunSluice
from support.rft.state import ControlPlane
from support.training import MakeRelease

from bedrock_sluice.flows.training import watch
from bedrock_sluice.lake.stores.folder import FolderStore

TARGETS = ("nova", "open_weight", "sagemaker")


class KilledError(BaseException):
    """The process ends here."""


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that the watcher waited, none of them really."""
    seconds = list[float]()
    monkeypatch.setattr("bedrock_sluice.flows.training.watch.time.sleep", seconds.append)
    return seconds


def jobs_of(sluice: RunSluice, lake: str) -> list[dict[str, Any]]:
    result = sluice("jobs", "list", lake, "--json")
    assert result.code == 0, result.err
    rows: list[dict[str, Any]] = json.loads(result.out)["jobs"]
    return rows


def create_calls(plane: ControlPlane) -> int:
    return sum(call.operation.startswith("Create") for call in plane.calls)


def test_a_job_is_listed_watched_until_it_ends_and_listed_with_its_model(
    training_release: MakeRelease,
    control_plane: ControlPlane,
    sluice: RunSluice,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    release = training_release()
    lake = release.lake.uri
    assert sluice("train", release.uri).code == 0
    (row,) = jobs_of(sluice, lake)
    assert (row["status"], row["target"], row["model"]) == ("Requested", "nova", None)
    assert row["since"]
    waits = list[float]()

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 12:
            control_plane.end()

    monkeypatch.setattr("bedrock_sluice.flows.training.watch.time.sleep", sleep)
    result = sluice("jobs", "watch", lake, row["job"])
    assert result.code == 0, result.err
    assert waits == sorted(waits)
    assert (waits[0], waits[-1]) == (watch.FIRST_WAIT_SECONDS, watch.MAX_WAIT_SECONDS)
    assert result.err.count("InProgress") == 1  # only what changed is shown
    (row,) = jobs_of(sluice, lake)
    assert row["status"] == "Completed"
    assert ":custom-model/" in row["model"]


@pytest.mark.parametrize("target", TARGETS)
def test_a_job_is_stopped_and_its_prompts_are_free_again(
    target: str,
    training_release: MakeRelease,
    control_plane: ControlPlane,
    sluice: RunSluice,
    waits: list[float],
) -> None:
    release = training_release(target)
    lake = release.lake.uri
    assert sluice("train", release.uri).code == 0
    (row,) = jobs_of(sluice, lake)
    assert control_plane.jobs[0].status == "InProgress"
    assert sluice("jobs", "stop", lake, row["job"]).code != 0  # nobody is there to say yes
    assert control_plane.jobs[0].status == "InProgress"
    assert sluice("jobs", "stop", lake, row["job"], "--yes").code == 0
    result = sluice("jobs", "watch", lake)
    assert (result.code, "Stopped; its prompts are released" in result.err) == (1, True)
    again = sluice("jobs", "stop", lake, row["job"], "--yes")
    assert (again.code, "has ended: Stopped" in again.err) == (2, True)


@pytest.mark.parametrize(("end", "state"), [("Completed", "registered"), ("Failed", "released")])
def test_a_watcher_that_is_killed_at_any_step_is_followed_by_one_that_ends_right(
    end: str,
    state: str,
    training_release: MakeRelease,
    control_plane: ControlPlane,
    monkeypatch: pytest.MonkeyPatch,
    waits: list[float],
) -> None:
    from bedrock_sluice.flows.training.job import prepare, train_on

    release = training_release()
    train_on(prepare(release))
    control_plane.end(end)
    steps, deadline = [0], [1]

    def mortal(method: Callable[..., Any], *, dies_after: bool) -> Callable[..., Any]:
        def run(*arguments: Any, **options: Any) -> Any:
            steps[0] += 1
            is_last = steps[0] == deadline[0]
            if is_last and not dies_after:
                raise KilledError
            result = method(*arguments, **options)
            if is_last:
                raise KilledError
            return result

        return run

    for dies_after in (False, True):
        for name in ("entries", "read", "put_new"):
            method = mortal(getattr(FolderStore, name), dies_after=dies_after)
            monkeypatch.setattr(FolderStore, name, method)
    kills = 0
    while True:
        steps[0] = 0
        try:
            rows = watch.watch_jobs(release.lake, ["math"], report=lambda _: None)
        except KilledError:
            kills, deadline[0] = kills + 1, deadline[0] + 1
        else:
            break
    assert kills > 5
    assert [(row.status, row.state) for row in rows] == [(end, state)]
    assert create_calls(control_plane) == 1


def test_a_busy_service_is_asked_again_and_given_up_after_a_limit(
    training_release: MakeRelease,
    control_plane: ControlPlane,
    sluice: RunSluice,
    waits: list[float],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    release = training_release()
    assert sluice("train", release.uri).code == 0
    control_plane.end()
    operation = "GetModelCustomizationJob"
    monkeypatch.setattr(watch, "MAX_FAILED_POLLS", 2)
    control_plane.fail_next(operation, "ThrottlingException", 429, times=100)
    assert sluice("jobs", "watch", release.lake.uri).code == 3
    control_plane._faults.clear()
    assert sluice("jobs", "watch", release.lake.uri).code == 0
