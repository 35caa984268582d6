"""`sluice deploy`: one deployment of a job's model, whatever happens, and one prompt."""

import json
from pathlib import Path
from typing import Any

import pytest
from support.protocols import RunSluice
from support.rft.state import ControlPlane
from support.training import MakeRelease

CREATE = "CreateCustomModelDeployment"
GRADER = """
def lambda_handler(event, context):
    return [
        {"id": each["id"], "aggregate_reward_score": float("310" in str(each["messages"][-1]))}
        for each in event
    ]
"""


class Model:
    """A release, the job over it, and the command that deploys its model."""

    def __init__(self, sluice: RunSluice, plane: ControlPlane, uri: str, lake: str) -> None:
        self.plane, self.uri, self.lake = plane, uri, lake
        self._sluice = sluice
        assert sluice("train", uri).code == 0
        plane.end()
        assert sluice("jobs", "sync", lake).code == 0
        (self.job,) = json.loads(sluice("jobs", "list", lake, "--json").out)["jobs"]

    def deploy(self, target: str | None = None, *options: str) -> Any:
        return self._sluice("deploy", target or self.uri, "--lake", self.lake, *options)


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that were waited, none of them really."""
    seconds = list[float]()
    monkeypatch.setattr("bedrock_sluice.flows.training.proof.deploy.time.sleep", seconds.append)
    return seconds


@pytest.fixture
def model(
    training_release: MakeRelease,
    control_plane: ControlPlane,
    sluice: RunSluice,
    tmp_path: Path,
    waits: list[float],
) -> Model:
    """A model that is trained; its grader is right about the line of 155 + 155."""
    (tmp_path / "grader.py").write_text(GRADER)
    grader = {
        "lambda_arn": "arn:aws:lambda:us-east-1:111122223333:function:grade",
        "python": str(tmp_path / "grader.py:lambda_handler"),
    }
    release = training_release(grader=grader)
    control_plane.answer = lambda _, question: "secret text: 310"
    return Model(sluice, control_plane, release.uri, release.lake.uri)


def test_a_model_is_deployed_tried_and_deployed_once(model: Model, waits: list[float]) -> None:
    dry_run = model.deploy(None, "--dry-run")
    request = json.loads(dry_run.out)
    assert (dry_run.code, model.plane.count(CREATE)) == (0, 0)
    result = model.deploy(None, "--json", "--line", "r-00155")
    assert result.code == 0, result.err
    facts = json.loads(result.out)
    assert (facts["status"], facts["smoke"]["score"]) == ("Active", 1.0)
    assert "secret" not in result.out + result.err
    assert waits
    (deployment,) = model.plane.deployments
    assert deployment["request"] == request
    assert request["modelArn"] == model.job["model"]
    for target in (model.job["job"], model.job["model"], model.job["job_arn"]):
        again = model.deploy(target)
        assert (again.code, again.out.strip()) == (0, facts["arn"])
        assert "line r-00150: score 1" in again.err
    assert model.plane.count(CREATE) == 1


def test_an_answer_that_is_lost_or_a_process_that_is_killed_makes_one_deployment(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    operation = "GetCustomModelDeployment"
    for code, status in (("AccessDeniedException", 403), ("ThrottlingException", 429)):
        model.plane.fail_next(operation, code, status, times=5)
        result = model.deploy()
        assert (result.code, len(model.plane.deployments)) == (3, 1)
        model.plane._faults.clear()
    assert model.deploy().code == 0
    assert len(model.plane.deployments) == 1


def test_a_deployment_that_failed_or_was_deleted_is_followed_by_another(model: Model) -> None:
    model.plane.deploys_as = "Failed"
    result = model.deploy()
    assert (result.code, "came to nothing (Failed)" in result.err) == (3, True)
    model.plane.deploys_as = "Active"
    assert model.deploy().code == 0
    first, second = (each["request"] for each in model.plane.deployments)
    assert second["modelDeploymentName"] == f"{first['modelDeploymentName']}-2"
    model.plane.deployments.clear()
    assert model.deploy().code == 0
    assert model.plane.deployments[0]["request"]["modelDeploymentName"].endswith("-3")
    ends = [
        json.loads(each.read_text()) for each in Path(model.lake).rglob("deployment-*-end.json")
    ]
    assert sorted(end["status"] for end in ends) == ["Active", "Active", "Failed"]


def test_an_answer_that_cannot_be_graded_is_said_without_its_text(
    model: Model, tmp_path: Path
) -> None:
    (tmp_path / "grader.py").write_text("def lambda_handler(event, context):\n    return []\n")
    result = model.deploy()
    assert (result.code, "not graded" in result.err, "secret" in result.err) == (1, True, False)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("open_weight", "needs no deployment"),
        ("sagemaker", "Provisioned Throughput"),
    ],
)
def test_models_of_other_services_are_not_deployed_so(
    target: str,
    message: str,
    training_release: MakeRelease,
    control_plane: ControlPlane,
    sluice: RunSluice,
) -> None:
    release = training_release(target)
    model = Model(sluice, control_plane, release.uri, release.lake.uri)
    result = model.deploy()
    assert (result.code, message in result.err) == (2, True)


def test_a_job_that_has_no_model_is_not_deployed(
    training_release: MakeRelease, control_plane: ControlPlane, sluice: RunSluice
) -> None:
    release = training_release()
    result = sluice("deploy", release.uri)
    assert (result.code, "run `sluice train` first" in result.err) == (2, True)
    assert sluice("train", release.uri).code == 0
    result = sluice("deploy", release.uri)
    assert (result.code, "has no model yet (Requested)" in result.err) == (2, True)
    result = sluice("deploy", "math-1234")
    assert (result.code, "add --lake LAKE" in result.err) == (2, True)
