"""Notices of `sluice jobs watch`: unhealthy and ended jobs, each once, also after a kill."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from support.protocols import RunSluice
from support.rft.state import ControlPlane
from support.training import LAMBDA, MakeRelease

Json = dict[str, Any]
Hook = tuple[str, list[Json]]


@pytest.fixture
def watch(
    training_release: MakeRelease, bucket: str, sluice: RunSluice, tmp_path: Path, hook: Hook
) -> Path:
    """The recipe of a job that collapses, whose watcher sends notices."""
    release = training_release(output_uri=f"s3://{bucket}/out/")
    recipe = tmp_path / "math.toml"
    recipe.write_text(
        f'name = "math"\nlake = "{release.lake.uri}"\n[source]\nuri = "logs"\n'
        f'[template]\nname = "math"\n[grader]\nlambda_arn = "{LAMBDA}"\n'
        f'[nightly]\nnotify = "{hook[0]}"\n'
    )
    assert sluice("train", release.uri).code == 0
    rows = "".join(f"{step},{float(step < 20)}\n" for step in range(40))
    name = "out/model-customization-job-000000000000/training_artifacts/metrics.csv"
    s3 = boto3.client("s3")
    s3.put_object(Bucket=bucket, Key=name, Body=f"step,reward\n{rows}".encode())
    s3.close()
    return recipe


def test_notices_are_sent_once_and_the_end_is_told_after_a_kill(
    watch: Path,
    sluice: RunSluice,
    control_plane: ControlPlane,
    hook: Hook,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    messages = hook[1]

    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("bedrock_sluice.flows.training.watch.time.sleep", interrupt)
    for _ in range(2):
        assert sluice("jobs", "watch", watch).code != 0
    assert [message["event"] for message in messages] == ["unhealthy"]
    assert messages[0]["findings"] == [{"rule": "collapse", "step": 39}]
    control_plane.end("Failed", "secret text: lambda timed out")
    assert sluice("jobs", "sync", watch).code == 0  # another process records the end
    for _ in range(2):
        assert sluice("jobs", "watch", watch).code == 1
    assert [message["event"] for message in messages] == ["unhealthy", "failed"]
    assert "raise the timeout" in messages[1]["advice"]
    assert "secret" not in str(messages)


@pytest.fixture
def topic(control_plane: ControlPlane) -> Iterator[tuple[str, Callable[[], list[Json]]]]:
    """An SNS topic in another Region than that of the settings, and what it has sent."""
    sns, sqs = (boto3.client(name, region_name="eu-west-1") for name in ("sns", "sqs"))
    arn = sns.create_topic(Name="jobs")["TopicArn"]
    url = sqs.create_queue(QueueName="jobs")["QueueUrl"]
    queue = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]
    sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=queue["QueueArn"])

    def receive() -> list[Json]:
        answer = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)
        return [json.loads(each["Body"]) for each in answer.get("Messages", [])]

    yield arn, receive
    sns.delete_topic(TopicArn=arn)
    sqs.delete_queue(QueueUrl=url)
    sns.close()
    sqs.close()


def test_a_topic_gets_the_notice_with_a_subject_and_its_loss_is_logged_and_made_up_for(
    watch: Path,
    sluice: RunSluice,
    control_plane: ControlPlane,
    hook: Hook,
    topic: tuple[str, Callable[[], list[Json]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    arn, receive = topic

    def end_then_stop(_: float) -> None:
        control_plane.end("Failed", "secret text: lambda timed out")

    monkeypatch.setattr("bedrock_sluice.flows.training.watch.time.sleep", end_then_stop)
    watch.write_text(watch.read_text().replace(hook[0], f"{arn}-of-nobody"))
    failure = sluice("jobs", "watch", watch)
    assert (failure.code, failure.err.count("was not sent: NotFoundException")) == (1, 3)
    assert "of-nobody" not in failure.err
    watch.write_text(watch.read_text().replace("-of-nobody", ""))
    assert [sluice("jobs", "watch", watch).code for _ in range(2)] == [1, 1]
    (notice,) = receive()
    job = json.loads(notice["Message"])
    assert notice["Subject"] == f"Sluice: {job['job']} failed"
    assert (job["event"], job["status"]) == ("failed", "Failed")
    assert "raise the timeout" in job["advice"]
    assert "secret" not in notice["Message"]
    assert hook[1] == []


def test_an_end_of_long_ago_and_an_address_that_is_dead_are_no_trouble(
    watch: Path, sluice: RunSluice, control_plane: ControlPlane, hook: Hook
) -> None:
    control_plane.end()
    assert sluice("jobs", "sync", watch).code == 0
    assert sluice("jobs", "watch", watch).code == 0
    assert hook[1] == []
    watch.write_text(watch.read_text().replace(hook[0], "http://127.0.0.1:9/hook-7f3a"))
    result = sluice("jobs", "watch", watch)
    assert (result.code, "hook-7f3a" in result.err) == (0, False)
