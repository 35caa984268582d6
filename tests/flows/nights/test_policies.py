"""The policies of nightly recipes: who is asked, and when a job starts."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from support.builds import without_checks
from support.logs import make_record, write_logs
from support.protocols import RunSluice, WriteRecipe
from support.rft.state import ControlPlane
from support.training import LAMBDA, TRAIN

Json = dict[str, Any]

LAST_DAYS = {"since = 2026-10-01\nuntil = 2026-10-02": "last_days = 1"}
CREATE = "CreateModelCustomizationJob"
JOB_COST = "prices = { per_1k_grader_calls = 1.0 }\nbudget = 1000.0\n"


def train_section(bucket: str) -> str:
    values = TRAIN["nova"] | {"data_uri": f"s3://{bucket}/lines"}
    lines = [f'{key} = "{value}"\n' for key, value in values.items()]
    return f'[grader]\nlambda_arn = "{LAMBDA}"\n[train]\n{"".join(lines)}{JOB_COST}'


def write_day(folder: Path, day: int, number: int = 130, more: str = "") -> None:
    records = [
        make_record(
            ask=f"What is {day}{n:03} plus {n:03}? {more}End with #### and the number.",
            reply=f"#### {day}{n:03}",
            request_id=f"r-{day}-{n}",
            at=datetime(2026, 10, day, 12, tzinfo=UTC),
        )
        for n in range(number)
    ]
    write_logs(folder / "logs", [records], f"2026/10/{day:02}/12")


def run_night(sluice: RunSluice, folder: Path, day: int) -> tuple[int, Json]:
    with without_checks():
        now = f"2026-10-{day:02}T03:00:00"
        result = sluice("nightly", folder, "--json", "--now", now)
    return result.code, json.loads(result.out)


def test_ask_sends_one_notice_with_the_command_and_no_content(
    tmp_path: Path, recipe: WriteRecipe, sluice: RunSluice, hook: tuple[str, list[Json]]
) -> None:
    address, messages = hook
    write_day(tmp_path, 1)
    recipe(f'[nightly]\npolicy = "ask"\nnotify = "{address}"\n', LAST_DAYS)
    rows = [run_night(sluice, tmp_path, 2)[1] for _ in range(2)]
    (message,) = messages
    release = rows[0]["release"]
    assert message["command"] == f"sluice approve {release} --by NAME"
    assert (message["verdict"], message["train"]) == ("passed", rows[0]["train"])
    assert "What is" not in json.dumps(message)
    assert [row["action"].endswith("notice sent") for row in rows] == [True, True]
    assert b"hook-7f3a" not in Path(release, "manifest.json").read_bytes()


def test_a_notice_that_cannot_be_sent_fails_no_build(
    tmp_path: Path, recipe: WriteRecipe, sluice: RunSluice
) -> None:
    write_day(tmp_path, 1)
    recipe('[nightly]\npolicy = "ask"\nnotify = "http://127.0.0.1:9/hook-7f3a"\n', LAST_DAYS)
    code, row = run_night(sluice, tmp_path, 2)
    assert (code, row["verdict"], row["action"].endswith("notice not sent")) == (0, "passed", True)


def test_the_newest_approved_release_is_trained_on_once(
    tmp_path: Path,
    recipe: WriteRecipe,
    sluice: RunSluice,
    bucket: str,
    control_plane: ControlPlane,
) -> None:
    write_day(tmp_path, 1)
    recipe(train_section(bucket) + '[nightly]\npolicy = "train_when_approved"\n', LAST_DAYS)
    code, row = run_night(sluice, tmp_path, 2)
    assert (code, row["job"], control_plane.count(CREATE)) == (0, None, 0)
    assert "waits for approval" in row["action"]
    assert sluice("approve", row["release"], "--by", "Dana").code == 0
    jobs = [run_night(sluice, tmp_path, 2)[1]["job"] for _ in range(2)]
    assert jobs[0] == jobs[1] is not None
    assert control_plane.count(CREATE) == 1
    control_plane.end("Failed")
    code, row = run_night(sluice, tmp_path, 2)
    assert (code, "to try again, run sluice train" in row["action"]) == (0, True)
    assert control_plane.count(CREATE) == 1


def test_automatic_training_needs_an_approved_release_before_and_money(
    tmp_path: Path,
    recipe: WriteRecipe,
    sluice: RunSluice,
    bucket: str,
    control_plane: ControlPlane,
) -> None:
    for day in (1, 2, 3):
        write_day(tmp_path, day)
    path = recipe(train_section(bucket) + '[nightly]\npolicy = "train_automatically"\n', LAST_DAYS)
    first = run_night(sluice, tmp_path, 2)[1]
    assert "no approved release to measure drift from" in first["action"]
    assert sluice("approve", first["release"], "--by", "Dana").code == 0
    code, second = run_night(sluice, tmp_path, 3)
    assert (code, second["action"]) == (0, f"started the job of {Path(second['release']).name}")
    assert control_plane.count(CREATE) == 1
    control_plane.end("Completed")

    path.write_text(path.read_text() + "monthly_budget = 0.5\n")
    code, third = run_night(sluice, tmp_path, 4)
    assert (code, third["verdict"], third["job"]) == (1, "passed", None)
    assert "more than monthly_budget = 0.5" in third["action"]
    assert control_plane.count(CREATE) == 1


def test_drift_from_the_last_approved_release_stops_automatic_training_until_a_person_approves(
    tmp_path: Path,
    recipe: WriteRecipe,
    sluice: RunSluice,
    bucket: str,
    control_plane: ControlPlane,
) -> None:
    for day in (1, 2, 3, 4):
        write_day(tmp_path, day, more="" if day == 1 else "Work in small steps. ")
    recipe(train_section(bucket) + '[nightly]\npolicy = "train_automatically"\n', LAST_DAYS)

    def run(day: int) -> Json:
        result = sluice("nightly", tmp_path, "--json", "--now", f"2026-10-{day:02}T03:00:00")
        row: Json = json.loads(result.out)
        return row

    assert sluice("approve", run(2)["release"], "--by", "Dana").code == 0
    # The second of these is like the release before it, and as far from the approved one.
    rows = [run(day) for day in (3, 4)]
    assert ["warned: drift_prompt_length" in row["action"] for row in rows] == [True, True]
    assert control_plane.count(CREATE) == 0
    assert sluice("approve", rows[-1]["release"], "--by", "Dana").code == 0
    assert "warned: drift" not in run(5)["action"]


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ('policy = "train_when_approved"', "needs [train]"),
        ("monthly_budget = 5.0", "monthly_budget needs prices"),
        ('notify = "file:///etc/passwd"', "must be an https:// address or the ARN"),
    ],
)
def test_a_policy_without_what_it_needs_is_a_wrong_recipe(
    recipe: WriteRecipe, sluice: RunSluice, section: str, message: str
) -> None:
    result = sluice("validate", recipe(f"[nightly]\n{section}\n", LAST_DAYS))
    assert (result.code, message in result.err) == (2, True)
