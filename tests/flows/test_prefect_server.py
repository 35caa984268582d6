"""A Prefect server, the deployments of `prefect.yaml`, and a worker started somewhere else."""

import hashlib
import os
import re
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
import yaml
from support.logs import make_records, write_logs
from support.prefect_server import (
    ROOT,
    read_api,
    run_deployment,
    run_prefect,
    wait_for,
    worker,
)
from support.protocols import RunSluice, WriteRecipe
from support.rft.state import ControlPlane
from support.training import LAMBDA, TRAIN, MakeRelease

from bedrock_sluice.lake.stores.folder import FolderStore
from bedrock_sluice.lake.stores.s3 import S3Store

pytestmark = [
    pytest.mark.filterwarnings("default"),  # Prefect's own
    pytest.mark.timeout(900),  # processes of Prefect take up to half a minute to start
]

Json = dict[str, Any]

NOISE = ("Traceback", "WARNING", "ERROR", "Warning", "nanobind")
FIRST, LAST = "2026-10-02", "2026-10-03"


@pytest.fixture
def on_s3(tmp_path: Path, bucket: str, recipe: WriteRecipe) -> tuple[Path, S3Store]:
    """A recipe with a job, over two days of logs, and its lake."""
    root = S3Store(f"s3://{bucket}")
    for day in (1, 2):
        records = make_records(130, datetime(2026, 10, day, 12, tzinfo=UTC))
        write_logs(tmp_path / "logs", [records], f"2026/10/{day:02}/12")
    for entry in FolderStore(tmp_path / "logs").entries():
        root.put_new(f"in/logs/{entry.key}", tmp_path / "logs" / entry.key)
    (tmp_path / "recipes").mkdir()
    train = TRAIN["nova"] | {"data_uri": f"s3://{bucket}/lines"}
    lines = "".join(f'{key} = "{value}"\n' for key, value in train.items())
    path = recipe(
        f'[grader]\nlambda_arn = "{LAMBDA}"\n[train]\n{lines}',
        {
            '"lake"': f'"s3://{bucket}/lake"',
            '"logs"': f'"s3://{bucket}/in/logs"',
            "since = 2026-10-01\nuntil = 2026-10-02": "last_days = 1",
        },
        "recipes/sums.toml",
    )
    return path, S3Store(f"s3://{bucket}/lake")


def digests(lake: S3Store) -> dict[str, str]:
    """SHA-256 of every file of the releases, by its key."""
    entries = list(lake.entries("releases/"))
    return {each.key: hashlib.sha256(lake.read(each)).hexdigest() for each in entries}


def test_a_worker_runs_what_is_deployed_and_publishes_what_the_command_line_does(
    tmp_path: Path,
    on_s3: tuple[Path, S3Store],
    deployments_url: str,
    control_plane: ControlPlane,
    sluice: RunSluice,
) -> None:
    path, lake = on_s3
    nights = {"first_night": FIRST, "last_night": LAST}
    with worker(deployments_url, tmp_path / "elsewhere") as err:
        runs = [run_deployment("nightly", recipes=str(path.parent), **nights)]
        release_digests = digests(lake)
        until, closing = (f"{LAST}T{hour}:00:00+00:00" for hour in ("00", "02"))
        same_night = {"until": until, "delivered_before": closing}
        runs.append(run_deployment("rebuild", recipe=str(path), **same_night))
        assert digests(lake) == release_digests
        (release,) = {
            key.split("/")[2] for key in release_digests if key.split("/")[2][:10] == LAST
        }
        uri = f"{lake.uri}/releases/sums/{release}"
        assert sluice("approve", uri, "--by", "Dana").code == 0
        runs.append(run_deployment("train", release=uri))
    assert [(run["name"], run["state_name"], run["state"]["message"]) for run in runs] == [
        ("nightly-recipes", "Completed", "1 passed"),
        ("rebuild-sums-2026-10-03", "Completed", None),
        (f"train-sums-{release}", "Completed", None),
    ]
    assert control_plane.count("CreateModelCustomizationJob") == 1
    log = err.read_text()
    assert "Flow run 'rebuild-sums-2026-10-03' - Finished in state Completed()" in log
    assert [line for line in log.splitlines() if any(noise in line for noise in NOISE)] == []

    boto3.resource("s3").Bucket(lake.bucket).objects.filter(Prefix="lake/").delete()
    assert sluice("nightly", path.parent, "--from", FIRST, "--to", LAST).code == 0
    assert digests(lake) == release_digests
    assert len({key.split("/")[2] for key in release_digests if key.endswith("manifest.json")}) == 2


def test_the_server_schedules_the_nights(deployments_url: str) -> None:
    pending_runs = {"flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}}}
    assert wait_for(lambda: read_api("/flow_runs/filter", pending_runs))
    deployments = {each["name"]: each for each in read_api("/deployments/filter", {})}
    assert {name: each["entrypoint"] for name, each in deployments.items()} == {
        name: f"bedrock_sluice.flows.{name}.{name}" for name in ("nightly", "rebuild", "train")
    }
    for each in deployments.values():
        parameters = each["parameter_openapi_schema"]["properties"]
        assert all(parameter.get("description") for parameter in parameters.values())
    assert deployments["nightly"]["schedules"][0]["schedule"]["cron"] == "0 3 * * *"


def test_the_automation_of_the_docs_acts_on_a_rejected_release(
    tmp_path: Path, recipe: WriteRecipe, deployments_url: str, hook: tuple[str, list[Json]]
) -> None:
    from prefect.blocks.notifications import CustomWebhookNotificationBlock

    address, messages = hook
    fields = {"subject": "{{subject}}", "body": "{{body}}"}
    block = CustomWebhookNotificationBlock.model_validate(
        {"name": "team", "url": address, "json_data": fields}
    )
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    (text,) = re.findall(r"```yaml\n(name: sluice-rejected.*?)```", page, re.DOTALL)
    automation = yaml.safe_load(text)
    automation["actions"][0]["block_document_id"] = str(block.save("team"))
    (tmp_path / "rejected.yaml").write_text(yaml.safe_dump(automation))
    run_prefect(
        deployments_url, "automation", "create", "--from-file", str(tmp_path / "rejected.yaml")
    )

    write_logs(tmp_path / "logs", [make_records(20, datetime(2026, 10, 1, 12, tzinfo=UTC))])
    with worker(deployments_url, tmp_path / "elsewhere"):
        run = run_deployment("rebuild", recipe=str(recipe()))
        (message,) = wait_for(lambda: messages)
    assert (run["state_name"], run["state_type"]) == ("Rejected", "COMPLETED")
    assert message == {
        "subject": "rebuild-sums: rejected",
        "body": run["state"]["message"],
    }


@pytest.mark.parametrize("end", ["Completed", "Failed"])
def test_train_with_wait_shows_how_far_the_job_is_and_ends_as_it_does(
    training_release: MakeRelease,
    server_url: str,
    control_plane: ControlPlane,
    monkeypatch: pytest.MonkeyPatch,
    end: str,
) -> None:
    from bedrock_sluice.flows.train import train

    lineage = f"sums-{end.lower()}"
    release = training_release("open_weight", lineage=lineage)
    progress = list[tuple[float, str]]()

    def next_poll(_: float) -> None:
        progress.append(read_progress(f"sluice-job-{lineage}"))
        if control_plane.events:
            control_plane.end(end, "hidden: lambda timed out")
        step = {"step": 12, "total_steps": 48, "critic_rewards_mean": 0.5}
        control_plane.events = [step]

    clock = SimpleNamespace(sleep=next_poll)  # that of the watcher alone: Prefect sleeps too
    monkeypatch.setattr("bedrock_sluice.flows.training.watch.time", clock)
    state: Any = train(release=release.uri, wait=True, return_state=True)
    progress.append(read_progress(f"sluice-job-{lineage}"))
    job = f"{lineage}-{release.manifest.digest[:12]}"
    assert progress[0] == (0.0, f"Job {job}: InProgress")
    assert progress[1] == (25.0, f"Job {job}: InProgress, step 12 of 48, training reward 0.5")
    percent, text = progress[2]
    assert (percent, text.split(",")[0]) == (
        100.0 if end == "Completed" else 25.0,
        f"Job {job}: {end}",
    )
    assert state.name == end
    if end == "Failed":
        assert f"job {job} did not complete: Failed; " in state.message
        assert "raise the timeout" in state.message
        assert "hidden" not in state.message + text


def read_progress(key: str) -> tuple[float, str]:
    """What a progress artifact shows."""
    (artifact,) = read_api("/artifacts/filter", {"artifacts": {"key": {"any_": [key]}}})
    return artifact["data"], artifact["description"]


def test_serve_leaves_other_deployments_alone_and_its_own_active(
    deployments_url: str, sums: Path
) -> None:
    before = {each["id"]: each for each in read_api("/deployments/filter", {})}
    environment = os.environ | {"PREFECT_API_URL": deployments_url}
    command = [sys.executable, "-m", "bedrock_sluice.cli.app", "serve", str(sums.parent)]
    serving = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: [each["status"] for each in served_deployments()] == ["READY"] * 3)
    assert serving.poll() is None
    serving.send_signal(signal.SIGINT)
    _, err = serving.communicate(timeout=120)
    assert (serving.returncode, "Traceback" in err) == (130, False)
    assert err.splitlines()[-1].startswith("sluice: stopped by SIGINT")
    deployments = served_deployments()
    assert {each["entrypoint"] for each in deployments} == {
        f"bedrock_sluice.flows.{name}.{name}" for name in ("nightly", "rebuild", "train")
    }
    assert [each["paused"] for each in deployments] == [False] * 3
    after = {each["id"] for each in read_api("/deployments/filter", {})}
    assert after >= before.keys()


def served_deployments() -> list[Json]:
    """The deployments of `sluice serve`."""
    deployments: list[Json] = read_api("/deployments/filter", {})
    return [each for each in deployments if each["name"].endswith("-served")]
