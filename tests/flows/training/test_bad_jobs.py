"""Every configuration that no job may be started with: its message, and the exit code."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import pytest
from support.protocols import RunSluice
from support.releases import approve
from support.rft.state import CONTENT, NOVA, ControlPlane
from support.training import LAMBDA, ROLE, MakeRelease

from bedrock_sluice.lake.releases.release import Release

Act = Callable[[ControlPlane, Release], object]
LONG_NAME = "a" * 48
PRICES = {"per_1k_output_tokens": 1.0}
CREATE = "CreateModelCustomizationJob"


def fail(code: str, status: int = 400, operation: str = CREATE, times: int = 1) -> Act:
    return lambda plane, _: plane.fail_next(operation, code, status, times)


def nothing(_plane: ControlPlane, _release: Release) -> None:
    pass


def change_lines(_plane: ControlPlane, release: Release) -> None:
    path = Path(release.uri, "train.jsonl")
    path.write_text(path.read_text().replace("alles", "anders"))


def end_of_life(plane: ControlPlane, _release: Release) -> None:
    plane.lifecycles[NOVA] = {
        "status": "LEGACY",
        "endOfLifeTime": datetime(2026, 1, 31, tzinfo=UTC),
    }


class Case(NamedTuple):
    """The recipe's settings, what happens before the job, the exit code, words of the message."""

    settings: dict[str, object]
    act: Act
    code: int
    message: str


CASES = {
    "no role": Case({"role_arn": None}, nothing, 2, "roleArn: is missing ([train] role_arn"),
    "a role that is not there": Case(
        {}, lambda plane, _: plane.missing.add(ROLE), 2, "ValidationException"
    ),
    "wrong Region": Case(
        {"model": f"arn:aws:bedrock:us-east-1::foundation-model/{NOVA}", "aws": "eu-west-1"},
        nothing,
        2,
        'is trained in us-east-1, and the AWS settings name eu-west-1; set region = "us-east-1"',
    ),
    "wrong Region in [train]": Case({"region": "eu-west-1"}, nothing, 2, "ValidationException"),
    "illegal key": Case(
        {"data_uri": "s3://acme-data/dt=1"}, nothing, 2, "[train] data_uri: an s3:// prefix; keys"
    ),
    "name too long": Case(
        {"lineage": LONG_NAME, "attempts": 10}, nothing, 2, "jobName: must have 1 to 63 characters"
    ),
    "hyperparameter out of range": Case(
        {"hyper_parameters": {"batchSize": 8}}, nothing, 2, "batchSize: must be 16 to 512"
    ),
    "too many lines": Case({"lines": 20_001}, nothing, 1, "a job takes 20,000 at most"),
    "not approved": Case({"approved_by": None}, nothing, 1, "is not approved"),
    "digest changed": Case({}, change_lines, 1, "content differs from the manifest"),
    "no grader": Case({"grader": {"python": "g.py:f"}}, nothing, 2, "has no [grader] lambda_arn"),
    "a grader that is not there": Case(
        {}, lambda plane, _: plane.missing.add(LAMBDA), 2, "call the grader"
    ),
    "over budget": Case(
        {"prices": PRICES, "budget": 1.0}, nothing, 1, "may cost more than the budget of 1"
    ),
    "end of life": Case({}, end_of_life, 2, "reached its end of life on 2026-01-31"),
    "expired credentials": Case(
        {}, fail("ExpiredTokenException", 403, "*"), 3, "the session has expired"
    ),
    "expired credentials at the request": Case(
        {}, fail("ExpiredTokenException", 403), 3, "the session has expired"
    ),
    "access denied": Case(
        {}, fail("AccessDeniedException", 403), 3, f"the caller needs bedrock:{CREATE}"
    ),
    "throttled": Case({}, fail("ThrottlingException", 429, times=5), 3, "; run again"),
    "quota": Case({}, fail("ServiceQuotaExceededException"), 3, "ask for more quota"),
    "open weight: no key": Case(
        {"target": "open_weight", "no_key": True}, nothing, 3, "set AWS_BEARER_TOKEN_BEDROCK"
    ),
    "open weight: expired key": Case(
        {"target": "open_weight"},
        fail("invalid_api_key", 401, "UploadFile"),
        3,
        "the API key is not valid or has expired",
    ),
    "open weight: throttled": Case(
        {"target": "open_weight"},
        fail("rate_limit_exceeded", 429, "CreateFineTuningJob"),
        3,
        "; run again",
    ),
    "open weight: quota": Case(
        {"target": "open_weight"},
        fail("insufficient_quota", 429, "CreateFineTuningJob"),
        3,
        "ask for more quota",
    ),
    "open weight: Nova's hyperparameters": Case(
        {"target": "open_weight", "hyper_parameters": {"epochCount": 1}},
        nothing,
        2,
        "hyper_parameters.epochCount: is not known; known here: n_epochs, batch_size",
    ),
    "open weight: a grader that is not there": Case(
        {"target": "open_weight"}, lambda plane, _: plane.missing.add(LAMBDA), 2, "call the grader"
    ),
    "sagemaker: nothing but a model": Case(
        {"target": "sagemaker", "evaluator_arn": None, "accept_eula": None, "role_arn": None},
        nothing,
        2,
        "accept_eula: must be true",
    ),
    "sagemaker: quota": Case(
        {"target": "sagemaker"},
        fail("ResourceLimitExceeded", 400, "CreateTrainingJob"),
        3,
        "ask for more quota",
    ),
    "sagemaker: access denied": Case(
        {"target": "sagemaker"},
        fail("AccessDeniedException", 403, "CreateTrainingJob"),
        3,
        "the caller needs sagemaker:CreateTrainingJob",
    ),
}
OURS = ("aws", "attempts", "no_key", "target")  # what else a case may say


@pytest.mark.parametrize("name", CASES)
def test_no_job_is_started(
    training_release: MakeRelease,
    control_plane: ControlPlane,
    sluice: RunSluice,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    case = CASES[name]
    settings = {key: value for key, value in case.settings.items() if key not in OURS}
    release = training_release(str(case.settings.get("target", "nova")), **settings)
    prepare_case(case, monkeypatch)
    case.act(control_plane, release)
    result = sluice("train", release.uri)
    assert (result.code, case.message in result.err) == (case.code, True), result.err
    assert control_plane.jobs == []
    assert CONTENT not in result.err
    assert "Traceback" not in result.err


def test_the_docs_list_what_the_command_says() -> None:
    page = Path(__file__).parents[3].joinpath("docs", "training.md").read_text(encoding="utf-8")
    section = page.partition("## Find out what an error means")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| ([^|`]+) \| `([^`]+)` \| (\d) \|", section, re.MULTILINE)
    assert rows == [(name, CASES[name].message, str(CASES[name].code)) for name, *_ in rows]
    assert {each for each in CASES if ": " not in each} - {name for name, *_ in rows} == {
        "expired credentials at the request"  # the same message
    }


def prepare_case(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set what stands outside of the recipe."""
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0)
    if region := case.settings.get("aws"):
        monkeypatch.setenv("AWS_DEFAULT_REGION", str(region))
    if case.settings.get("no_key"):
        monkeypatch.delenv("OPENAI_API_KEY")
    if attempts := case.settings.get("attempts"):
        monkeypatch.setattr(
            "bedrock_sluice.flows.training.examination.find_use", lambda *_: FailedUse(attempts)
        )


class FailedUse(NamedTuple):
    """Jobs that failed before."""

    number: object

    def failed_jobs(self) -> object:
        """How many there were."""
        return self.number


# --- Dry runs


def test_a_dry_run_prints_the_request_before_any_approval(
    training_release: MakeRelease, control_plane: ControlPlane, sluice: RunSluice
) -> None:
    release = training_release(approved_by=None)
    result = sluice("train", release.uri, "--dry-run")
    assert (result.code, "still missing" in result.err) == (0, True)
    assert "sluice approve" in result.err
    assert control_plane.calls == []
    approve(release, "Dana", datetime(2026, 11, 2, tzinfo=UTC))
    after = sluice("train", release.uri, "--dry-run")
    assert (after.out, "nothing is missing" in after.err) == (result.out, True)
    sluice("train", release.uri)
    bodies = [call.body for call in control_plane.calls if call.operation == CREATE]
    assert bodies == [json.loads(result.out)]


def test_a_dry_run_names_everything_that_is_missing_at_once(
    training_release: MakeRelease, sluice: RunSluice
) -> None:
    release = training_release(
        approved_by=None,
        role_arn=None,
        output_uri=None,
        grader={"python": "g.py:f"},
        prices=PRICES,
        budget=1.0,
    )
    result = sluice("train", release.uri, "--dry-run")
    parts = ("not approved", "roleArn", "outputDataConfig", "lambda_arn", "budget of 1")
    assert [part for part in parts if part not in result.err] == []
    assert result.code == 2
    assert json.loads(result.out)["jobName"].startswith("math-")


def test_an_estimate_needs_no_approval(training_release: MakeRelease, sluice: RunSluice) -> None:
    result = sluice("estimate", training_release(approved_by=None).uri)
    assert (result.code, "150 to train" in result.err) == (0, True)


# --- Lifecycles that do not forbid a job


@pytest.mark.parametrize(
    ("lifecycle", "judge", "failure", "warning"),
    [
        ({"status": "LEGACY"}, None, None, f"{NOVA} is a legacy model; plan"),
        (
            {"status": "LEGACY", "endOfLifeTime": datetime(2999, 6, 1, tzinfo=UTC)},
            None,
            None,
            "ends on 2999-06-01",
        ),
        ({"status": "ACTIVE"}, None, ("AccessDeniedException", 403), "needs bedrock:GetFoundation"),
        ({"status": "ACTIVE"}, "unknown.judge-v1:0", None, "unknown.judge-v1:0 could not be check"),
        ({"status": "ACTIVE"}, None, None, ""),
    ],
)
def test_a_model_that_may_end_is_a_warning(
    training_release: MakeRelease,
    control_plane: ControlPlane,
    sluice: RunSluice,
    lifecycle: dict[str, object],
    judge: str | None,
    failure: tuple[str, int] | None,
    warning: str,
) -> None:
    control_plane.lifecycles[NOVA] = lifecycle
    if failure:
        control_plane.fail_next("GetFoundationModel", *failure)
    result = sluice("train", training_release(judge_model=judge).uri)
    assert (result.code, len(control_plane.jobs)) == (0, 1), result.err
    assert warning in result.err
    assert bool(warning) is ("legacy" in result.err or "could not be checked" in result.err)
