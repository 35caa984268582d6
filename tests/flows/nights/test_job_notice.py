"""Notices of `sluice jobs watch`: unhealthy and ended jobs, each once, also after a kill."""

from pathlib import Path
from typing import Any

import boto3
import pytest
from support.protocols import RunSluice
from support.rft.state import ControlPlane
from support.training import LAMBDA, MakeRelease

Hook = tuple[str, list[dict[str, Any]]]


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
