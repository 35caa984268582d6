"""The training job of a release: the exact request, whether it may be sent, and sending it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from bedrock_sluice.flows.approval import check_passed, find_approval, recipe_of
from bedrock_sluice.flows.recipe import Recipe, TrainSection
from bedrock_sluice.lake.aws import CLIENT_CONFIG, unreached
from bedrock_sluice.lake.releases import ID_DIGITS, Release, put_same
from bedrock_sluice.lake.service_model import faults
from bedrock_sluice.lake.store import S3_SCHEME, open_store
from bedrock_sluice.transforms.errors import (
    ConfigError,
    OutsideError,
    RefusedError,
    SluiceError,
    TransientError,
)

if TYPE_CHECKING:
    from mypy_boto3_bedrock import BedrockClient
else:
    BedrockClient = Any

SERVICE: Final = "bedrock"
OPERATION = "CreateModelCustomizationJob"
TRAIN_FILE, VALIDATION_FILE = "train.jsonl", "validation.jsonl"
RELEASE_TAG, DIGEST_TAG = "sluice:release", "sluice:digest"

Request = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Job:
    """A job that may be started: its request, where it reads, and the verified files of lines.

    `must_upload` says that the files are not there yet, because the release lies elsewhere.
    """

    request: Request
    data_uri: str
    files: Mapping[str, Path]
    must_upload: bool


def prepare(release: Release) -> Job:
    """Everything short of starting the job; a dry run ends here. Changes nothing anywhere.

    Raises:
        RefusedError: the release was rejected, or nobody has approved it.
        IntegrityError: the release or its approval is not what was written.
        ConfigError: its recipe can't be trained with.
    """
    recipe = recipe_of(release)
    check_passed(release)
    if find_approval(release) is None:
        raise RefusedError(
            f"{release.uri} is not approved; let somebody read its report, then run "
            f"sluice approve {release.uri} --by NAME"
        )
    train = _train_section(recipe)
    uri = lines_uri(release, train)
    request = job_request(release, uri)
    files = {name: release.file(name) for name in _files(release, train)}
    return Job(request, uri, files, must_upload=uri != release.uri)


def job_request(release: Release, data_uri: str) -> Request:
    """The arguments of `create_model_customization_job`, for lines that lie below `data_uri`.

    Raises:
        ConfigError: the recipe has no [train] or [grader], or Bedrock's own model of the request
            forbids something; all of that is in the message.
        IntegrityError: the manifest does not fit its digest.
    """
    recipe = recipe_of(release)
    train = _train_section(recipe)
    name = f"{release.name}-{release.manifest['digest'][:ID_DIGITS]}"
    request: Request = {
        "jobName": name,
        "customModelName": name,
        "roleArn": train.role_arn,
        "clientRequestToken": f"sluice-{release.manifest['digest']}",
        "baseModelIdentifier": train.model,
        "customizationType": "REINFORCEMENT_FINE_TUNING",
        "jobTags": _tags(release, train),
        "outputDataConfig": {"s3Uri": train.output_uri},
        "customizationConfig": {"rftConfig": _rft_config(recipe, train)},
        **_data_configs(release, train, data_uri),
    }
    if train.kms_key_id:
        request["customModelKmsKeyId"] = train.kms_key_id
    if wrong := faults(SERVICE, OPERATION, request):
        told = "\n".join(f"  {fault}" for fault in wrong)
        raise ConfigError(f"Bedrock would refuse the job; mend the recipe, build again:\n{told}")
    return request


def _train_section(recipe: Recipe) -> TrainSection:
    if recipe.train is None:
        raise ConfigError(f"the recipe of {recipe.name} has no [train]; add it, and build again")
    return recipe.train


def lines_uri(release: Release, train: TrainSection) -> str:
    """Where the job reads the lines: beside [train] data_uri, or in the release itself."""
    if train.data_uri:
        uri = f"{train.data_uri.rstrip('/')}/{release.name}/{release.id}"
    else:
        uri = release.uri
    if not uri.startswith(S3_SCHEME):
        raise ConfigError(
            "Bedrock reads lines from S3 alone; set data_uri in [train] to an s3:// prefix, and "
            "build again"
        )
    return uri


def _files(release: Release, train: TrainSection) -> list[str]:
    told = release.manifest["files"].get(VALIDATION_FILE, {"bytes": 0})
    has_validation = train.validation and told["bytes"] > 0
    return [TRAIN_FILE, VALIDATION_FILE] if has_validation else [TRAIN_FILE]


def _data_configs(release: Release, train: TrainSection, data_uri: str) -> Request:
    configs: Request = {"trainingDataConfig": {"s3Uri": f"{data_uri}/{TRAIN_FILE}"}}
    if VALIDATION_FILE in _files(release, train):
        validators = [{"s3Uri": f"{data_uri}/{VALIDATION_FILE}"}]
        configs["validationDataConfig"] = {"validators": validators}
    return configs


def _rft_config(recipe: Recipe, train: TrainSection) -> Request:
    if recipe.grader is None:
        raise ConfigError(f"the recipe of {recipe.name} has no [grader]; add it, and build again")
    grader = {"lambdaGrader": {"lambdaArn": recipe.grader.lambda_arn}}
    given = {"hyperParameters": dict(train.hyper_parameters)} if train.hyper_parameters else {}
    return {"graderConfig": grader, **given}


def _tags(release: Release, train: TrainSection) -> list[dict[str, str]]:
    ours = {
        RELEASE_TAG: f"{release.name}/{release.id}",
        DIGEST_TAG: release.manifest["digest"],
    }
    if taken := ours.keys() & train.tags.keys():
        raise ConfigError(f"tags in [train]: {', '.join(sorted(taken))} is set by Sluice itself")
    return [{"key": key, "value": value} for key, value in {**train.tags, **ours}.items()]


def bedrock_client() -> BedrockClient:
    """Bedrock's client, with the usual AWS settings.

    Raises:
        OutsideError: the settings lack something, such as a Region.
    """
    try:
        return boto3.session.Session().client(SERVICE, config=CLIENT_CONFIG)
    except (BotoCoreError, ValueError) as error:
        raise unreached(error, "Bedrock") from None


def submit(release: Release, client: BedrockClient) -> str:
    """Start the job of an approved release; returns its ARN. To run it again starts no second one.

    Raises:
        RefusedError, IntegrityError, ConfigError: as `prepare` does; or Bedrock refused the
            request, or other lines lie where these would be uploaded.
        OutsideError, TransientError: AWS did not do its part.
    """
    job = prepare(release)
    if job.must_upload:
        _upload(release, job)
    try:
        answer = client.create_model_customization_job(**job.request)
    except ClientError as error:
        raise _refused(error, job.request["jobName"]) from None
    except BotoCoreError as error:
        raise unreached(error, "Bedrock") from None
    return answer["jobArn"]


def _upload(release: Release, job: Job) -> None:
    store = open_store(job.data_uri)
    for name, path in job.files.items():
        put_same(store, name, path, release.manifest["files"][name]["sha256"])


_REFUSALS: dict[str, tuple[type[SluiceError], str]] = {
    "ValidationException": (
        ConfigError,
        "see that the model can be trained so, and that the role may read the lines, write to "
        "output_uri and call the grader ([train], [grader])",
    ),
    "ResourceNotFoundException": (
        ConfigError,
        "see that [train] and [grader] name what is there, in the Region of the client",
    ),
    "TooManyTagsException": (ConfigError, "give fewer tags in [train]"),
    "AccessDeniedException": (
        OutsideError,
        f"the caller needs bedrock:{OPERATION}, and iam:PassRole for the role of [train]",
    ),
    "ServiceQuotaExceededException": (OutsideError, "wait for other jobs, or ask for more quota"),
    "ConflictException": (OutsideError, "look in Bedrock for a job or model of this name"),
    "ThrottlingException": (TransientError, "run again"),
    "InternalServerException": (TransientError, "run again"),
}


def _refused(error: ClientError, name: str) -> SluiceError:
    """What the code asks the caller to do. AWS's own words may quote lines, and stay out."""
    code = error.response.get("Error", {}).get("Code", "?")
    answer = error.response.get("ResponseMetadata", {})
    is_passing = answer.get("HTTPStatusCode", 0) >= 500
    other = (TransientError if is_passing else OutsideError, "look for the code in Bedrock's pages")
    kind, hint = _REFUSALS.get(code, other)
    request_id = answer.get("RequestId", "?")
    return kind(f"Bedrock refused job {name} ({code}, AWS request {request_id}); {hint}")
