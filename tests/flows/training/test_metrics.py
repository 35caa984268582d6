"""Metrics, health and failures of jobs, as `sluice jobs` fetches, stores and shows them."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import boto3
import pytest
from support.browser import DESKTOP, PHONE, Browser
from support.hostile_texts import HOSTILE_TEXTS
from support.protocols import RunSluice
from support.rft.state import ControlPlane
from support.training import MakeRelease

WriteMetrics = Callable[..., None]

STOP = "StopModelCustomizationJob"
HEALTHY = [0.2 + 0.5 * (1 - 0.97**step) for step in range(60)]
COLLAPSED = [*HEALTHY[:40], *([0.0] * 20)]


@pytest.fixture
def write_metrics(bucket: str) -> WriteMetrics:
    """Write what the only job of Bedrock has put below its output prefix."""

    def write(rewards: list[float], validations: list[float] | None = None) -> None:
        folder = "out/model-customization-job-000000000000"
        header = "step_number,critic/rewards/mean,response_length/mean,actor/entropy,made_up\n"
        rows = "".join(f"{n},{reward},300,0.5,7\n" for n, reward in enumerate(rewards, start=1))
        files = {"training_artifacts/step_wise_training_metrics.csv": header + rows}
        if validations:
            rows = "".join(f"{10 * n},{v}\n" for n, v in enumerate(validations, start=1))
            name = "validation_artifacts/post_fine_tuning_validation/validation_metrics.csv"
            files[name] = f"step_number,val-score/rewards/mean@1\n{rows}"
        s3 = boto3.client("s3")
        for name, text in files.items():
            s3.put_object(Bucket=bucket, Key=f"{folder}/{name}", Body=text.encode())
        s3.close()

    return write


@pytest.fixture
def train(
    training_release: MakeRelease, bucket: str, sluice: RunSluice
) -> Callable[..., tuple[str, str]]:
    """Start the job of a release; its lake, and its name."""

    def start(target: str = "nova", **train: object) -> tuple[str, str]:
        output = {} if target == "open_weight" else {"output_uri": f"s3://{bucket}/out/"}
        release = training_release(target, **output, **train)
        assert sluice("train", release.uri).code == 0
        result = sluice("jobs", "list", release.lake.uri, "--json")
        return release.lake.uri, json.loads(result.out)["jobs"][0]["job"]

    return start


@pytest.fixture
def sleep_until(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[int], None]], None]:
    """Call a function with the number of each wait of the watcher, instead of waiting."""

    def install(step: Callable[[int], None]) -> None:
        waits = list[float]()

        def sleep(seconds: float) -> None:
            waits.append(seconds)
            assert len(waits) < 50
            step(len(waits))

        monkeypatch.setattr("bedrock_sluice.flows.training.watch.time.sleep", sleep)

    return install


def test_metrics_are_not_there_yet_then_read_stored_and_shown(
    train: Callable[..., tuple[str, str]],
    write_metrics: WriteMetrics,
    sluice: RunSluice,
    bucket: str,
) -> None:
    lake, job = train()
    result = sluice("jobs", "metrics", lake, job)
    assert (result.code, "has written no metrics yet" in result.err) == (0, True)
    write_metrics(HEALTHY[:30], [0.2, 0.3, 0.4])
    assert sluice("jobs", "metrics", lake, job).code == 0
    write_metrics(HEALTHY, [0.2, 0.3, 0.4, 0.45, 0.5, 0.5])
    values = json.loads(sluice("jobs", "metrics", lake, job, "--json").out)
    assert values["summary"]["reward"]["last_step"] == 60
    assert values["summary"]["validation_reward"]["best"] == 0.5
    assert {row["metric"] for row in values["values"]} >= {"made_up", "actor/entropy"}
    # What is stored is shown after the files are gone, and stored once.
    s3 = boto3.resource("s3")
    s3.Bucket(bucket).objects.filter(Prefix="out/").delete()
    s3.meta.client.close()
    result = sluice("jobs", "metrics", lake, job)
    assert re.search(r"training reward +│ +0.6171 │ +60 │ +0.6171 │ +60 │ +\+0.01", result.err)
    files = [json.loads(path.read_text()) for path in Path(lake).rglob("metrics-*.json")]
    steps = [{v["step"] for v in file["values"] if v["metric"] == "made_up"} for file in files]
    assert sorted(steps, key=min) == [set(range(1, 31)), set(range(31, 61))]


def test_the_watcher_shows_the_last_step_and_warns(
    train: Callable[..., tuple[str, str]],
    write_metrics: WriteMetrics,
    sluice: RunSluice,
    control_plane: ControlPlane,
    sleep_until: Callable[[Callable[[int], None]], None],
) -> None:
    lake, job = train()

    def go_on(wait: int) -> None:
        if wait < 4:
            write_metrics(COLLAPSED[: 20 * wait])
        else:
            control_plane.end()

    sleep_until(go_on)
    result = sluice("jobs", "watch", lake, "--json")
    assert result.code == 0, result.err
    assert f"{job}: step 20; training reward 0.4197" in result.err
    assert result.err.count("is unhealthy (collapse, step 60)") == 1
    assert control_plane.count(STOP) == 0
    (row,) = json.loads(result.out)["jobs"]
    assert (row["status"], row["findings"][0]["rule"]) == ("Completed", "collapse")


def test_an_unhealthy_job_is_stopped_once_however_often_it_is_watched(
    train: Callable[..., tuple[str, str]],
    write_metrics: WriteMetrics,
    sluice: RunSluice,
    control_plane: ControlPlane,
    sleep_until: Callable[[Callable[[int], None]], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lake, job = train(on_unhealthy="stop")
    write_metrics(COLLAPSED)
    monkeypatch.setattr("support.rft.bedrock.STOPS_AS", "Stopping")

    def go_on(wait: int) -> None:
        if wait == 1:
            raise KeyboardInterrupt  # the watcher is interrupted, and started again
        if wait == 4:
            control_plane.end("Stopped")

    sleep_until(go_on)
    assert sluice("jobs", "watch", lake).code != 0
    result = sluice("jobs", "watch", lake)
    assert (result.code, "Stopped; its prompts are released" in result.err) == (1, True)
    assert control_plane.count(STOP) == 1
    (record,) = Path(lake).rglob("stopped.json")
    assert json.loads(record.read_text())["findings"][0]["rule"] == "collapse"
    assert job in record.read_text()


def test_a_job_that_may_not_be_stopped_is_an_error_and_healthy_ones_go_on(
    train: Callable[..., tuple[str, str]],
    write_metrics: WriteMetrics,
    sluice: RunSluice,
    control_plane: ControlPlane,
    sleep_until: Callable[[Callable[[int], None]], None],
) -> None:
    lake, _ = train(on_unhealthy="stop")
    write_metrics(HEALTHY)
    sleep_until(lambda wait: write_metrics(COLLAPSED))
    control_plane.fail_next(STOP, "AccessDeniedException", 403)
    result = sluice("jobs", "watch", lake)
    assert (result.code, f"bedrock:{STOP}" in result.err) == (3, True)
    assert control_plane.count(STOP) == 1


def test_metrics_of_an_open_weight_job_are_its_events(
    train: Callable[..., tuple[str, str]], sluice: RunSluice, control_plane: ControlPlane
) -> None:
    lake, job = train("open_weight")
    control_plane.events = [
        {"step": n, "total_steps": 150, "critic_rewards_mean": n / 150, "actor_entropy": 0.5}
        for n in range(150, 0, -1)
    ]
    values = json.loads(sluice("jobs", "metrics", lake, job, "--json").out)
    assert values["summary"]["reward"]["steps"] == 150
    assert values["summary"]["reward"]["last"] == 1.0


def test_sagemaker_gives_no_metrics(
    train: Callable[..., tuple[str, str]], sluice: RunSluice
) -> None:
    result = sluice("jobs", "metrics", *train("sagemaker"))
    assert (result.code, "this service gives no metrics" in result.err) == (0, True)


@pytest.mark.parametrize("target", ["nova", "open_weight", "sagemaker"])
def test_a_failure_is_shown_with_what_to_do_and_an_unknown_one_as_it_is(
    target: str,
    train: Callable[..., tuple[str, str]],
    sluice: RunSluice,
    control_plane: ControlPlane,
    sleep_until: Callable[[Callable[[int], None]], None],
) -> None:
    lake, _ = train(target)
    message = "[red]Lambda timed out[/red] \x1b[31m"
    control_plane.end("Failed", message)
    sleep_until(lambda wait: None)
    watching = sluice("jobs", "watch", lake)
    listing = sluice("jobs", "list", lake)
    assert watching.code == 1
    for text in (watching.err, listing.err):
        assert "[red]Lambda timed out[/red] \ufffd[31m" in text
        assert "what to do: raise the timeout of the grader's Lambda" in text
    train(target)  # another attempt
    control_plane.end("Failed", "the moon was full")
    assert sluice("jobs", "sync", lake).code == 0
    rows = json.loads(sluice("jobs", "list", lake, "--json").out)["jobs"]
    assert len(rows) == 2
    assert "the moon was full" in rows[1]["message"]
    # The OpenAI-compatible API has a code beside the message, and this one is known.
    assert (rows[1]["advice"] is None) == (target != "open_weight")


def test_the_page_of_a_job_shows_its_charts_and_runs_nothing(
    train: Callable[..., tuple[str, str]],
    write_metrics: WriteMetrics,
    sluice: RunSluice,
    control_plane: ControlPlane,
    tmp_path: Path,
    browser: Browser,
) -> None:
    lake, job = train()
    write_metrics(COLLAPSED, [0.2, 0.3, 0.4, 0.45, 0.1, 0.0])
    control_plane.end("Failed", "".join(HOSTILE_TEXTS)[:2_000])
    assert sluice("jobs", "sync", lake).code == 0
    page = tmp_path / "job.html"
    assert sluice("jobs", "metrics", lake, job, "--page", page).code == 1
    for size, is_dark in ((DESKTOP, False), (PHONE, True)):
        with browser.open(page, size=size, is_dark=is_dark) as visit:
            assert visit.overflow() == 0
            assert visit.violations() == []
            assert visit.active_nodes() == []
            assert visit.console == visit.requests == []
            visit.screenshot(f"job-{size.width}")
            assert visit.page.locator("figure").count() == 3
            assert "This run looks unhealthy" in visit.page.inner_text("main")
