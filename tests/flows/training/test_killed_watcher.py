"""A watcher that gets SIGKILL at any write or request is followed by one that ends right."""

import signal

import boto3
import pytest
from support.rft.state import ControlPlane
from support.training import MakeRelease
from support.watchers import killed_watcher

from bedrock_sluice.flows.training.job import prepare, train_on
from bedrock_sluice.flows.training.watch import watch_jobs
from bedrock_sluice.lake.releases.job_files import read_stop
from bedrock_sluice.lake.releases.jobs import read_jobs

STOP = "StopModelCustomizationJob"
# Writes of a watcher that stops a job: metrics, why it was stopped, and how the job ended.
WRITES = 3
REQUESTS = 3  # new connections: to Bedrock, and to S3
METRICS = "out/model-customization-job-000000000000/training_artifacts/metrics.csv"


@pytest.mark.parametrize(
    ("event", "nth"),
    [
        *(("os.link", nth) for nth in range(1, WRITES + 1)),
        *(("socket.connect", nth) for nth in range(1, REQUESTS + 1)),
    ],
)
@pytest.mark.parametrize("is_healthy", [True, False])
def test_after_a_kill_the_next_watcher_ends_right(
    event: str,
    nth: int,
    is_healthy: bool,
    training_release: MakeRelease,
    control_plane: ControlPlane,
    bucket: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    release = training_release(output_uri=f"s3://{bucket}/out/", on_unhealthy="stop")
    train_on(prepare(release))
    rewards = [step / 40 if is_healthy or step < 20 else 0.0 for step in range(40)]
    rows = "".join(f"{step},{reward}\n" for step, reward in enumerate(rewards))
    s3 = boto3.client("s3")
    s3.put_object(Bucket=bucket, Key=METRICS, Body=f"step,reward\n{rows}".encode())
    s3.close()
    monkeypatch.setattr("support.rft.bedrock.STOPS_AS", "Stopping")
    if is_healthy:
        control_plane.jobs[0].will_end_after = 1
    writes = 2 if is_healthy else WRITES  # nothing is stopped
    exit_code = killed_watcher(release.lake.uri, event, nth)
    must_die = event == "socket.connect" or nth <= writes
    assert exit_code == (-signal.SIGKILL if must_die else 0)
    monkeypatch.setattr("bedrock_sluice.flows.training.watch.time.sleep", lambda _: None)
    (state,) = watch_jobs(release.lake, ["math"], report=lambda _: None)
    expected = ("Completed", "registered") if is_healthy else ("Stopped", "released")
    assert (state.status, state.state) == expected
    assert control_plane.count("CreateModelCustomizationJob") == 1
    assert control_plane.count(STOP) == (0 if is_healthy else 1)
    (record,) = read_jobs(release.lake)
    if (event, nth) != ("os.link", 2):  # killed after the stop, before its record
        assert (read_stop(release.lake, record) is None) == is_healthy


@pytest.mark.parametrize(
    ("target", "operation"),
    [("open_weight", "CreateFineTuningJob"), ("sagemaker", "CreateTrainingJob")],
)
@pytest.mark.parametrize("event", ["os.link", "socket.connect"])
@pytest.mark.parametrize("end", ["Completed", "Failed"])
def test_a_kill_leaves_one_job_and_its_right_end_on_every_target(
    event: str,
    end: str,
    target: str,
    operation: str,
    training_release: MakeRelease,
    control_plane: ControlPlane,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    release = training_release(target)
    train_on(prepare(release))
    control_plane.end(end)
    control_plane.events = [{"step": 1, "total_steps": 1, "critic_rewards_mean": 0.5}]
    exit_codes = list[int | None]()
    while 0 not in exit_codes:
        exit_codes.append(killed_watcher(release.lake.uri, event, len(exit_codes) + 1))
        assert len(exit_codes) < 10
    assert exit_codes[0] == -signal.SIGKILL
    monkeypatch.setattr("bedrock_sluice.flows.training.watch.time.sleep", lambda _: None)
    (state,) = watch_jobs(release.lake, ["math"], report=lambda _: None)
    states = {"Completed": "registered", "Failed": "released"}
    assert (state.status, state.state) == (end, states[end])
    assert control_plane.count(operation) == 1
