"""The deployment of a tuned model, and one prompt to see that it answers.

What is asked for is recorded in the lake first, and its token is made of the release's digest. So a
deployment that was asked for twice, or whose answer was lost, is one deployment.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from bedrock_sluice.flows.recipe import Recipe
from bedrock_sluice.flows.recipe.build_recipe import job_recipe
from bedrock_sluice.flows.running.waits import growing_waits
from bedrock_sluice.flows.training.proof.compare import find_grader
from bedrock_sluice.flows.training.proof.model_calls import call_model, connect_runtime
from bedrock_sluice.flows.training.service_model import faults
from bedrock_sluice.flows.training.targets.base import COMPLETED, DIGEST_TAG, RELEASE_TAG
from bedrock_sluice.lake.aws import (
    Remedy,
    error_code,
    make_client,
    refusal_error,
    unreachable_error,
)
from bedrock_sluice.lake.releases.job_files import (
    DeploymentEnd,
    DeploymentRequest,
    put_deployment,
    read_deployment,
)
from bedrock_sluice.lake.releases.jobs import JobRecord, read_jobs
from bedrock_sluice.lake.releases.release import Release
from bedrock_sluice.lake.stores.store import Store
from bedrock_sluice.rewards.running.events import Sample
from bedrock_sluice.rewards.running.run import run_grader
from bedrock_sluice.transforms.errors import ConfigError, OutsideError, TransientError

if TYPE_CHECKING:
    from mypy_boto3_bedrock import BedrockClient
else:
    BedrockClient = Any

CREATE_OPERATION: Final = "CreateCustomModelDeployment"
STATUS_OPERATION: Final = "GetCustomModelDeployment"
CREATING, ACTIVE, FAILED, GONE = "Creating", "Active", "Failed", "NotFound"
FIRST_WAIT_SECONDS = 5.0
MAX_WAIT_SECONDS = 60.0
MAX_WAITS = 90  # about an hour and a half; then the command can be run again
MAX_ATTEMPTS = 100  # deployments of one job, one after the other
_BYTES_PER_MB = 1 << 20


class Deployment(NamedTuple):
    """A deployment of a job's model: `Creating`, `Active` or `Failed`."""

    job: str
    name: str
    model_arn: str
    arn: str
    region: str
    status: str
    message: str | None = None


class SmokeResult(NamedTuple):
    """The grade of one answer, without its text; `problem` says why there is none."""

    line_id: str
    score: float | None
    problem: str | None
    input_tokens: int | None
    output_tokens: int | None


def find_model(lake: Store, text: str) -> JobRecord:
    """Return the completed job of a name, of an ARN, or that made the model of an ARN.

    Raises:
        ConfigError: There is no such job, or its model cannot be deployed so.
    """
    records = [
        each for each in read_jobs(lake) if text in {each.name, each.job_arn, each.model_arn}
    ]
    if not records:
        raise ConfigError(f"no job of {lake.uri} is {text} or made it; see `sluice jobs list`")
    return _check(records[-1])


def find_release_model(release: Release) -> JobRecord:
    """Return the job that completed over a release.

    Raises:
        ConfigError: There is none, or its model cannot be deployed so.
    """
    records = read_jobs(release.lake, release.manifest.digest)
    if not records:
        raise ConfigError(f"no job was trained on {release.uri}; run `sluice train` first")
    completed_jobs = [each for each in records if each.status == COMPLETED]
    return _check((completed_jobs or records)[-1])


def _check(record: JobRecord) -> JobRecord:
    if record.status != COMPLETED or record.model_arn is None:
        raise ConfigError(
            f"job {record.name} has no model yet ({record.status}); `sluice jobs watch` waits for "
            "it"
        )
    target = record.request.target
    if target == "open_weight":
        raise ConfigError(
            f"{record.model_arn} needs no deployment: call it through the OpenAI-compatible API"
        )
    if target != "nova":
        raise ConfigError(
            f"{record.model_arn} is a model of {target}; import it with CreateCustomModel, and "
            "give it Provisioned Throughput: it cannot be deployed on demand"
        )
    return record


def deployment_request(record: JobRecord, number: int = 1) -> dict[str, Any]:
    """Return the arguments of the n-th request to deploy the model of a job.

    Raises:
        ConfigError: Bedrock would reject them.
    """
    suffix = f"-{number}" if number > 1 else ""
    request = {
        "modelDeploymentName": f"{record.name}{suffix}",
        "modelArn": record.model_arn,
        "clientRequestToken": f"sluice-{record.digest}-{record.lineage}-{record.number}{suffix}",
        "tags": [
            {"key": RELEASE_TAG, "value": record.release},
            {"key": DIGEST_TAG, "value": record.digest},
        ],
    }
    if wrong := faults("bedrock", CREATE_OPERATION, request):
        raise ConfigError("Bedrock would reject this deployment: " + "; ".join(wrong))
    return request


def deploy(
    lake: Store,
    record: JobRecord,
    report: Callable[[Deployment], None] = lambda _: None,
    client: BedrockClient | None = None,
) -> Deployment:
    """Deploy the model of a job, and wait until it can be called; record both in the lake.

    To run it again makes no second deployment, unless the first one failed or was deleted.

    Raises:
        ConfigError: Bedrock would reject it.
        OutsideError: Bedrock refused, or the deployment failed.
        TransientError: Bedrock was busy, or the deployment takes longer than we wait.
    """
    service = client or make_client("bedrock", record.region or None)
    number, deployment = find_deployment(lake, record, service)
    if deployment is None:
        deployment = _create(lake, record, number, service)
    for seconds in islice(growing_waits(FIRST_WAIT_SECONDS, MAX_WAIT_SECONDS), MAX_WAITS):
        report(deployment)
        if deployment.status != CREATING:
            break
        time.sleep(seconds)
        deployment = _look(service, record, deployment.arn)
    if deployment.status == CREATING:
        raise TransientError(
            f"deployment {deployment.name} is still being created; run again to go on waiting"
        )
    end = DeploymentEnd(job=record.name, status=deployment.status, deployment_arn=deployment.arn)
    put_deployment(lake, record, number, end)
    if deployment.status != ACTIVE:
        raise OutsideError(
            f"deployment {deployment.name} came to nothing ({deployment.status}); the console of "
            "Bedrock may say why. Run again to try another one"
        )
    return deployment


def find_deployment(
    lake: Store, record: JobRecord, client: BedrockClient | None = None
) -> tuple[int, Deployment | None]:
    """Return the number of the deployment that stands and its state, or the next number and None.

    Without a client, Bedrock is not asked whether it was deleted, and there is no state.

    Raises:
        OutsideError, TransientError: Bedrock refused, or was not reached.
    """
    for number in range(1, MAX_ATTEMPTS + 1):
        request, end = read_deployment(lake, record, number)
        if request is None or end is None:
            return number, None
        if end.status == ACTIVE and end.deployment_arn:
            if client is None:
                return number, None
            deployment = _look(client, record, end.deployment_arn)
            if deployment.status != GONE:
                return number, deployment
    raise ConfigError(f"{MAX_ATTEMPTS} deployments of job {record.name} came to nothing")


def try_deployment(
    release: Release,
    deployment_arn: str,
    line_id: str | None = None,
    current: Recipe | None = None,
    base: Path | None = None,
) -> SmokeResult:
    """Have a deployment answer one validation line, the first unless its id is given; grade it.

    `current` and `base` are the recipe as it is now and its folder, as for `compare_models`.

    Raises:
        ConfigError: There is no such line, or the recipe has no grader.
        OutsideError, TransientError: Bedrock or the grader refused, or was not reached.
    """
    texts = release.file("validation.jsonl").read_bytes().splitlines()
    lines = [msgspec.json.decode(text) for text in texts]
    line = next((each for each in lines if line_id in {None, str(each["id"])}), None)
    if line is None:
        raise ConfigError(f"{release.uri} has no validation line {line_id or ''}".rstrip())
    response = call_model(connect_runtime(deployment_arn), deployment_arn, line)
    caller, section = find_grader(job_recipe(release, current), base)
    (result,) = run_grader(
        caller,
        [Sample(line, response.message)],
        timeout_seconds=section.timeout_seconds,
        memory_bytes=section.memory_mb * _BYTES_PER_MB,
        form=section.form,
    )
    tokens = response.input_tokens, response.output_tokens
    return SmokeResult(str(line["id"]), result.score, result.problem, *tokens)


def _create(lake: Store, record: JobRecord, number: int, client: BedrockClient) -> Deployment:
    """Send the n-th request as it is recorded; Bedrock keeps the deployment of a token it knows."""
    request = DeploymentRequest(
        job=record.name, region=record.region, request=deployment_request(record, number)
    )
    put_deployment(lake, record, number, request)
    earlier_request, _ = read_deployment(lake, record, number)
    arguments = (earlier_request or request).request
    with _explain(record, CREATE_OPERATION):
        answer = client.create_custom_model_deployment(**arguments)
    return _look(client, record, answer["customModelDeploymentArn"])


def _look(client: BedrockClient, record: JobRecord, arn: str) -> Deployment:
    """The state of a deployment; `NotFound` if it was deleted."""
    model = record.model_arn or ""
    with _explain(record, STATUS_OPERATION):
        try:
            answer = client.get_custom_model_deployment(customModelDeploymentIdentifier=arn)
        except ClientError as error:
            if error_code(error) != "ResourceNotFoundException":
                raise
            return Deployment(record.name, "", model, arn, record.region, GONE)
    name, status = answer["modelDeploymentName"], answer["status"]
    message = answer.get("failureMessage")
    return Deployment(record.name, name, model, arn, record.region, status, message)


@contextmanager
def _explain(record: JobRecord, operation: str) -> Iterator[None]:
    """Turn botocore's errors about a deployment into ours."""
    try:
        yield
    except ClientError as error:
        message = f"Bedrock refused {operation} for the model of job {record.name}"
        remedies = {**_REMEDIES, "AccessDeniedException": _access(operation)}
        raise refusal_error(error, message, remedies, "look for the code in its pages") from None
    except BotoCoreError as error:
        raise unreachable_error(error, "Bedrock") from None


def _access(operation: str) -> Remedy:
    return OutsideError, f"the caller needs bedrock:{operation}"


_REMEDIES: dict[str, Remedy] = {
    "ResourceNotFoundException": (ConfigError, "see that the model still exists in its Region"),
    "ValidationException": (
        ConfigError,
        "see that models of this kind can be deployed on demand in this Region",
    ),
    "ServiceQuotaExceededException": (
        OutsideError,
        "delete a deployment that is not used, or ask for more quota",
    ),
    "ThrottlingException": (TransientError, "run again"),
    "InternalServerException": (TransientError, "run again"),
}
