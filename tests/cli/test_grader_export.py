"""Exporting a grader: what Lambda would load, the same bytes each time, and the least policy."""

import json
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest

from bedrock_sluice.flows.graders.export import export_grader, grader_names
from bedrock_sluice.rewards.running.events import Sample
from bedrock_sluice.rewards.running.process import LocalGrader
from bedrock_sluice.rewards.running.run import run_grader
from bedrock_sluice.transforms.errors import ConfigError, OutsideError

NOVA = "amazon.nova-pro-v1:0"
PROFILE = "arn:aws:bedrock:us-east-1:111122223333:inference-profile/us.amazon.nova-pro-v1:0"


def model_of(name: str) -> str | None:
    return NOVA if name == "judge" else None


def statements(policy: Path) -> list[dict[str, Any]]:
    policy_statements: list[dict[str, Any]] = json.loads(policy.read_bytes())["Statement"]
    return policy_statements


def test_every_grader_is_known_by_its_name() -> None:
    assert grader_names() == ["format", "judge", "math", "qa", "text", "tool"]


@pytest.mark.parametrize("name", grader_names())
def test_what_is_exported_runs_alone(name: str, tmp_path: Path) -> None:
    export = export_grader(name, tmp_path / "new" / "folder", model=model_of(name))
    with ZipFile(export.archive) as archive:
        assert archive.namelist() == ["lambda_function.py"]
        archive.extractall(tmp_path / "task")
    assert export.handler == "lambda_function.lambda_handler"
    assert "bedrock_sluice" not in (tmp_path / "task" / "lambda_function.py").read_text()
    grader = LocalGrader("lambda_function.py:lambda_handler", tmp_path / "task")
    (outcome,) = run_grader(
        grader, [Sample({"id": "a", "messages": [], "reference_answer": {}}, "x")]
    )
    problem = "the grader raised RuntimeError" if name == "judge" else None
    assert outcome.problem == problem  # the judge has no settings here


@pytest.mark.parametrize("name", ["math", "judge"])
def test_the_same_bytes_each_time(name: str, tmp_path: Path) -> None:
    first = export_grader(name, tmp_path / "a", model=model_of(name))
    second = export_grader(name, tmp_path / "b", model=model_of(name))
    assert first.archive.read_bytes() == second.archive.read_bytes()
    assert first.policy.read_bytes() == second.policy.read_bytes()
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == [
        f"{name}.zip",
        "policy.json",
    ]


def test_lambda_may_read_what_is_in_the_zip(tmp_path: Path) -> None:
    with ZipFile(export_grader("qa", tmp_path).archive) as archive:
        (entry,) = archive.infolist()
    assert entry.external_attr >> 16 == 0o100644
    assert entry.date_time == (1980, 1, 1, 0, 0, 0)


def test_a_function_may_write_its_own_log_and_nothing_else(tmp_path: Path) -> None:
    policy_statements = statements(export_grader("math", tmp_path, function="grade-sums").policy)
    group = "arn:aws:logs:*:*:log-group:/aws/lambda/grade-sums"
    assert [(each["Action"], each["Resource"]) for each in policy_statements] == [
        ("logs:CreateLogGroup", group),
        (["logs:CreateLogStream", "logs:PutLogEvents"], f"{group}:*"),
    ]


@pytest.mark.parametrize(
    ("model", "resources"),
    [
        (NOVA, [f"arn:aws:bedrock:*::foundation-model/{NOVA}"]),
        (
            f"us.{NOVA}",
            [
                f"arn:aws:bedrock:*:*:inference-profile/us.{NOVA}",
                f"arn:aws:bedrock:*::foundation-model/{NOVA}",
            ],
        ),
        (PROFILE, [PROFILE, f"arn:aws:bedrock:*::foundation-model/{NOVA}"]),
        (f"arn:aws:bedrock:us-east-1::foundation-model/{NOVA}",) * 2,
    ],
)
def test_the_judge_may_call_its_model(
    model: str, resources: list[str] | str, tmp_path: Path
) -> None:
    *_, invoke = statements(export_grader("judge", tmp_path, model=model).policy)
    expected = [resources] if isinstance(resources, str) else resources
    assert (invoke["Action"], invoke["Resource"]) == ("bedrock:InvokeModel", expected)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("maths", {}, "unknown grader 'maths'; known: format, judge, math"),
        ("../math", {}, "unknown grader"),
        ("judge", {}, "needs the model that judges"),
        ("math", {"model": NOVA}, "calls no model"),
        ("judge", {"model": "*"}, "neither an id nor an ARN"),
        ("judge", {"model": "arn:aws:s3:::bucket/*"}, "neither an id nor an ARN"),
        ("math", {"function": "*"}, "1 to 64 letters"),
    ],
)
def test_what_cannot_be_exported_is_told_and_nothing_is_written(
    name: str, options: dict[str, str], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=message):
        export_grader(name, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutsideError, match="file"):
        export_grader("math", tmp_path / "file")


def test_a_failed_write_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = export_grader("math", tmp_path).archive.read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OutsideError, match="No space left"):
        export_grader("math", tmp_path)
    assert (tmp_path / "math.zip").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["math.zip", "policy.json"]
