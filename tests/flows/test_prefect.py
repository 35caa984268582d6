"""The flows on a real local Prefect server, and the deployments that `prefect.yaml` describes."""

import json
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml
from httpx import ConnectError
from msgspec.structs import replace
from support.builds import without_checks
from support.prefect_server import ROOT, read_api, wait_for
from support.protocols import MakeRecords, RunSluice, WriteLogs, WriteRecipe

from bedrock_sluice.flows.nights.rows import NightRow, summarize
from bedrock_sluice.flows.running import prefect_runner as tasks
from bedrock_sluice.flows.running.prefect_runner import without_content
from bedrock_sluice.lake.stores.folder import FolderStore
from bedrock_sluice.lake.stores.lease import take_lease
from bedrock_sluice.transforms.errors import (
    ConfigError,
    IntegrityError,
    OutsideError,
    RefusedError,
    SluiceError,
    TransientError,
)

DEPLOYMENTS = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
SERVER_START_SECONDS = 120
CANARY = "jane.doe@example.com"


@pytest.fixture(scope="module")
def server() -> Iterator[None]:
    """A Prefect server with a database of its own, over HTTP on this machine."""
    from prefect.testing.utilities import prefect_test_harness

    with prefect_test_harness(server_startup_timeout=SERVER_START_SECONDS):
        yield


@pytest.mark.filterwarnings("default")  # Prefect's own
@pytest.mark.usefixtures("server")
def test_the_nightly_builds_every_recipe_and_leaves_the_verdicts(
    tmp_path: Path,
    recipe: WriteRecipe,
    records: MakeRecords,
    write_logs: WriteLogs,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from bedrock_sluice.flows.nightly import nightly

    log_records = records(130)
    log_records[0]["input"]["inputBodyJson"]["messages"][0]["content"][0]["text"] += CANARY
    write_logs(tmp_path / "logs", [log_records])
    recipe()
    recipe("[split]\nvalidation = 0.2\nmax_lines = 99\n", {'"sums"': '"few"'}, "few.toml")
    recipe(swaps={'"sums"': '"gone"', '"logs"': '"nowhere"'}, name="gone.toml")
    recipe(swaps={"uri =": "url ="}, name="a-typo.toml")
    for name in ("twin.toml", "twin-2.toml"):
        recipe(swaps={'"sums"': '"twin"'}, name=name)
    with pytest.raises(ConfigError, match=r"4 of 6 recipes failed: a-typo\.toml, gone\.toml"):
        nightly(str(tmp_path))
    (page,) = _artifacts("sluice-nightly")
    assert page["description"].startswith("Last night of each recipe: 1 passed, 1 rejected (few")
    table, *paragraphs = page["data"].split("\n\n")
    cells = [line.split(" | ") for line in table.splitlines()[2:]]
    assert {line[0]: (line[2], line[3] != "") for line in cells} == {
        "| `a-typo.toml`": ("failed", False),
        "| `few.toml`": ("rejected", True),
        "| `gone.toml`": ("failed", False),
        "| `sums.toml`": ("passed", True),
        "| `twin-2.toml`": ("failed", False),
        "| `twin.toml`": ("failed", False),
    }
    why = {text.split("`")[1]: text for text in paragraphs}
    assert why["few.toml"].splitlines()[1:] == [
        r"- failed checks: train\_count",
        "- last good release: none",
    ]
    assert "a-typo.toml:4: " in why["a-typo.toml"]
    assert "another recipe of the folder has the name 'twin'" in why["twin.toml"]
    _assert_runs_say_what_became_of_each_recipe()
    _assert_artifacts_show_the_releases(tmp_path)
    _assert_steps_are_tasks_without_content()


@pytest.mark.filterwarnings("default")
@pytest.mark.usefixtures("server")
def test_where_prefect_itself_fails_the_release_is_published_and_the_nightly_goes_on(
    sums: Path, recipe: WriteRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bedrock_sluice.flows import nightly as flow_of_all
    from bedrock_sluice.flows.prefect_view import artifacts, flow_run, progress

    def fail(*_: object, **__: object) -> None:
        raise ConnectError(CANARY)

    for module, name in (
        (artifacts, "create_markdown_artifact"),
        (artifacts, "create_table_artifact"),
        (progress, "create_progress_artifact"),
        (flow_run, "get_client"),
    ):
        monkeypatch.setattr(module, name, fail)
    rows: Any = flow_of_all.nightly(str(sums.parent))
    (row,) = rows
    assert (row["verdict"], row["why"]) == ("passed", "")
    monkeypatch.setattr(flow_of_all, "rebuild", fail)
    assert flow_of_all.nightly(str(sums.parent)) == [row]


@pytest.mark.filterwarnings("default")
@pytest.mark.usefixtures("server", "sums")
def test_a_lake_in_use_is_skipped_and_a_refused_policy_fails_after_its_release(
    tmp_path: Path, recipe: WriteRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bedrock_sluice.flows.nightly import nightly
    from bedrock_sluice.flows.nights import run

    def refuse(*_: object) -> None:
        raise RefusedError("more than monthly_budget")

    monkeypatch.setattr(run, "follow_policy", refuse)
    recipe(swaps={'"sums"': '"busy"', '"lake"': '"busy-lake"'}, name="busy.toml")
    take_lease(FolderStore(tmp_path / "busy-lake"), "nightly", "other-host:7", run.utc_now)
    message = r"1 of 2 recipes failed: sums\.toml \(exit code 1\)"
    with without_checks(), pytest.raises(SluiceError, match=message):
        nightly(str(tmp_path))
    runs = read_api("/task_runs/filter", {"sort": "EXPECTED_START_TIME_DESC"})
    states = {run["name"]: run["state"] for run in reversed(runs) if "toml" in run["name"]}
    assert states["busy.toml"]["name"] == "Skipped"
    assert "other-host:7 works on this lake until" in states["busy.toml"]["message"]
    assert states["sums.toml"]["message"] == "more than monthly_budget"
    assert len([*(tmp_path / "lake" / "releases").rglob("manifest.json")]) == 1


@pytest.mark.parametrize(
    ("verdicts", "policy_code", "is_failed"),
    [
        (["passed"], 0, False),
        (["rejected", "passed"], 0, False),
        (["failed", "passed"], 0, True),
        (["passed"], 1, True),
        (["skipped"], 0, False),
    ],
)
def test_a_recipe_fails_if_a_night_or_its_policy_does(
    verdicts: list[Any], policy_code: int, is_failed: bool
) -> None:
    from bedrock_sluice.flows.prefect_view.recipe_task import has_failed

    codes = {"passed": 0, "rejected": 1, "failed": 3, "skipped": 0}
    nights = [NightRow(night=None, verdict=each, exit_code=codes[each]) for each in verdicts]
    row = summarize("sums.toml", "sums", nights)
    row = replace(row, exit_code=max(row.exit_code, policy_code))
    assert has_failed(row) is is_failed


def test_a_connection_that_prefect_lost_is_an_error_that_may_heal() -> None:
    def fail(_tick: object) -> None:
        raise ConnectError(CANARY)

    with pytest.raises(TransientError, match=r"Prefect's server failed \(ConnectError\)") as error:
        without_content("gate", fail)
    assert CANARY not in str(error.value)


def _artifacts(key: str) -> list[dict[str, Any]]:
    artifacts: list[dict[str, Any]] = read_api("/artifacts/filter", {})
    return [artifact for artifact in artifacts if artifact["key"] == key]


def _assert_runs_say_what_became_of_each_recipe() -> None:
    runs = {run["name"]: run for run in read_api("/flow_runs/filter", {})}
    states = {name: run["state_name"] for name, run in runs.items() if "rebuild" in name}
    assert states == {
        "rebuild-few": "Rejected",
        "rebuild-gone": "Failed",
        "rebuild-sums": "Completed",
    }
    few = runs["rebuild-few"]
    assert few["state_type"] == "COMPLETED"
    assert few["state"]["message"] == "failed checks: train_count"
    assert {run: sorted(runs[f"rebuild-{run}"]["tags"]) for run in ("few", "gone", "sums")} == {
        "few": ["few", "rejected"],
        "gone": ["gone"],
        "sums": ["passed", "sums"],
    }
    (night,) = (run for name, run in runs.items() if name.startswith("nightly-"))
    assert night["state"]["message"].startswith("4 of 6 recipes failed: ")
    lines = [log["message"] for log in read_api("/logs/filter", {})]
    assert "select: 130 of 130" in lines
    assert not [line for line in lines if "Traceback" in line]
    events = {"filter": {"event": {"name": ["sluice.release.rejected"]}}}
    (event,) = wait_for(lambda: read_api("/events/filter", events)["events"])
    assert event["payload"]["failed_checks"] == "train_count"


def _assert_artifacts_show_the_releases(folder: Path) -> None:
    kinds = ("release", "checks", "stages", "progress")
    few = {kind: _artifacts(f"sluice-{kind}-few")[0] for kind in kinds}
    assert all(artifact["description"] for artifact in few.values())
    page = few["release"]["data"]
    for text in ("# few: rejected", "**failed** `train_count`", "- measured: ", "- what to do: "):
        assert text in page
    assert "sluice approve" not in page
    (uri,) = (folder / "lake" / "releases" / "few").glob("*/")
    sums = _artifacts("sluice-release-sums")[0]["data"]
    assert "sluice approve" in sums
    assert "Not approved yet" in sums
    checks = json.loads(few["checks"]["data"])
    assert (checks[0]["result"], checks[0]["check"]) == ("failed", "train_count")
    stages = {row["stage"]: row for row in json.loads(few["stages"]["data"])}
    assert stages["select"]["input"] == 130
    assert _artifacts("sluice-report-few") == []  # a browser would not open a file
    assert str(uri) in page
    assert few["progress"]["data"] == 100


def _assert_steps_are_tasks_without_content() -> None:
    task_runs = read_api("/task_runs/filter", {})
    names = {run["name"] for run in task_runs}
    paths = ("/flow_runs/filter", "/logs/filter", "/artifacts/filter", "/events/filter")
    content = json.dumps([task_runs, *(read_api(path, {}) for path in paths)])
    assert {"pull", "select", "normalise", "curate", "answer", "gate", "release"} <= names
    assert {run["name"]: run["state_name"] for run in task_runs if "toml" in run["name"]} == {
        "a-typo.toml": "Failed",
        "few.toml": "Rejected",
        "gone.toml": "Failed",
        "sums.toml": "Completed",
        "twin-2.toml": "Failed",
        "twin.toml": "Failed",
    }
    assert CANARY not in content
    assert "What is" not in content


@pytest.mark.filterwarnings("default")
@pytest.mark.usefixtures("server")
def test_a_folder_without_recipes_is_an_error(tmp_path: Path) -> None:
    from bedrock_sluice.flows.nightly import nightly

    with pytest.raises(ConfigError, match="has no recipe"):
        nightly(str(tmp_path))


@pytest.mark.filterwarnings("default")
@pytest.mark.usefixtures("server")
@pytest.mark.parametrize(
    ("error", "tries"), [(TransientError("S3 is slow"), 2), (OutsideError("no"), 1)]
)
def test_only_what_may_heal_is_tried_again(
    error: OutsideError, tries: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from prefect import flow

    calls = []

    def work(_tick: object) -> str:
        calls.append(1)
        if len(calls) == 1:
            raise error
        return "done"

    monkeypatch.setattr(tasks, "RETRY_DELAYS_SECONDS", [0.0])
    run = flow(name="try")(lambda: tasks.run_as_task("try", work))
    if tries == 1:
        with pytest.raises(OutsideError):
            run()
    else:
        assert run() == "done"
    assert len(calls) == tries


def test_a_foreign_exception_loses_its_text_before_prefect_sees_it() -> None:
    def fail(_tick: object) -> None:
        raise ValueError(CANARY)

    with pytest.raises(IntegrityError) as error:
        without_content("curate", fail)
    assert "ValueError" in str(error.value)
    assert CANARY not in str(error.value)
    assert error.value.__context__ is None


@pytest.mark.parametrize(
    ("arguments", "url", "code", "message"),
    [
        (("nowhere",), "", 2, "nowhere is not a folder"),
        (("lake",), "", 2, "lake has no recipe"),
        (("broken",), "", 2, "typo.toml:4: unknown key `source.url`"),
        ((".", "--cron", "every night"), "", 2, "'every night' is not a cron schedule"),
        ((".",), "", 2, "no Prefect server is named; set PREFECT_API_URL"),
        ((".",), "http://me:secret@127.0.0.1:9/api", 3, "http://127.0.0.1:9/api does not answer"),
    ],
)
def test_serve_refuses_what_could_only_fail_at_night(
    sums: Path,
    recipe: WriteRecipe,
    sluice: RunSluice,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    url: str,
    code: int,
    message: str,
) -> None:
    from prefect.settings import PREFECT_API_URL, temporary_settings

    for name in ("broken", "lake"):
        (sums.parent / name).mkdir()
    recipe(swaps={"uri =": "url ="}, name="broken/typo.toml")
    monkeypatch.chdir(sums.parent)
    updates, defaults = ({PREFECT_API_URL: url}, None) if url else (None, {PREFECT_API_URL})
    with temporary_settings(updates=updates, restore_defaults=defaults):
        result = sluice("serve", *arguments)
    assert (result.code, message in result.err) == (code, True)


@pytest.mark.parametrize("entrypoint", [each["entrypoint"] for each in DEPLOYMENTS])
def test_every_deployment_names_a_flow(entrypoint: str) -> None:
    from prefect import Flow

    module, _, name = entrypoint.rpartition(".")
    assert isinstance(getattr(import_module(module), name), Flow)
