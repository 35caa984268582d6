"""The training job of a release: the exact request, whether it may be sent, sending it, its end.

What a job is trained on is reserved in the lake's registry before the job is asked for; `settle`
asks Bedrock how jobs ended, and writes that down.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from bedrock_sluice.flows.approval import check_passed, find_approval, recipe_of
from bedrock_sluice.flows.recipe import Recipe
from bedrock_sluice.flows.recipe_sections import TrainSection
from bedrock_sluice.flows.spending import keep_to_budget
from bedrock_sluice.lake.aws import CLIENT_CONFIG, unreached
from bedrock_sluice.lake.registry import (
    Claim,
    JobAsked,
    JobEnded,
    Use,
    read_uses,
    reserve,
    used_prompts,
)
from bedrock_sluice.lake.releases import ID_DIGITS, Release, put_same
from bedrock_sluice.lake.service_model import faults
from bedrock_sluice.lake.store import S3_SCHEME, Store, open_store
from bedrock_sluice.transforms.errors import (
    ConfigError,
    OutsideError,
    RefusedError,
    SluiceError,
    TransientError,
)
from bedrock_sluice.transforms.trained_before import REGISTERED, RELEASED, RESERVED

if TYPE_CHECKING:
    from mypy_boto3_bedrock import BedrockClient
else:
    BedrockClient = Any

SERVICE: Final = "bedrock"
OPERATION, STATUS_OPERATION = "CreateModelCustomizationJob", "GetModelCustomizationJob"
TRAIN_FILE, VALIDATION_FILE = "train.jsonl", "validation.jsonl"
UNKNOWN = "NotFound"  # beside Bedrock's own statuses: it has no job of that name
COMPLETED, _IN_VAIN = "Completed", frozenset({"Failed", "Stopped"})
_CONFLICTS = frozenset({"ConflictException", "ResourceInUseException"})  # there may be a job
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
    if recipe.grader is None or recipe.grader.lambda_arn is None:
        told = "has no [grader] lambda_arn; add it, and build again"
        raise ConfigError(f"the recipe of {recipe.name} {told}")
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


def bedrock_client(region: str | None = None) -> BedrockClient:
    """Bedrock's client, with the usual AWS settings, in their Region or another.

    Raises:
        OutsideError: the settings lack something, such as a Region.
    """
    try:
        session = boto3.session.Session()
        return session.client(SERVICE, region_name=region, config=CLIENT_CONFIG)
    except (BotoCoreError, ValueError) as error:
        raise unreached(error, "Bedrock") from None


def train_on(release: Release, *, is_dry_run: bool = False) -> str | Request:
    """Start the job of an approved release, and return its ARN; in a dry run, what would be asked.

    First it is looked how earlier jobs of the lineage ended.

    Raises:
        RefusedError, IntegrityError, ConfigError, OutsideError: as `rehearse` does, or `start`.
    """
    if is_dry_run:
        return rehearse(release)
    settle(release.lake, recipe_of(release).lineage)
    return start(release, bedrock_client())


def rehearse(release: Release) -> Request:
    """The request that `start` would send, after all that it checks; changes nothing anywhere.

    Raises:
        RefusedError, IntegrityError, ConfigError: as `prepare` does, or `used_prompts`.
    """
    return _checked(release).request


def _checked(release: Release) -> Job:
    job = prepare(release)
    used_prompts(release)
    keep_to_budget(release, recipe_of(release))
    return job


def start(release: Release, client: BedrockClient) -> str:
    """Reserve the prompts of an approved release in the registry, and start its job; its ARN.

    To run it again starts no second job. Where AWS refused the one request that was sent, the
    prompts are free again; after any other failure there may be a job, and they stay reserved.

    Raises:
        RefusedError, IntegrityError, ConfigError, OutsideError: as `submit` does, or `reserve`.
    """
    job = _checked(release)
    _upload(release, job)
    asked = JobAsked(
        f"{release.name}/{release.id}", job.request["jobName"], client.meta.region_name
    )
    claim = reserve(release, recipe_of(release).lineage, asked)
    try:
        return _create(client, job.request)
    except SluiceError as error:
        if _made_nothing(error.__context__):
            claim.release(JobEnded("Refused"))
        raise


def submit(release: Release, client: BedrockClient) -> str:
    """Start the job of an approved release, and reserve nothing: `start` is what people run.

    Returns the job's ARN. To run it again starts no second one.

    Raises:
        RefusedError, IntegrityError, ConfigError: as `prepare` does; or Bedrock refused the
            request, or other lines lie where these would be uploaded.
        OutsideError, TransientError: AWS did not do its part.
    """
    job = prepare(release)
    _upload(release, job)
    return _create(client, job.request)


def _create(client: BedrockClient, request: Request) -> str:
    with _explained(request["jobName"]):
        return client.create_model_customization_job(**request)["jobArn"]


def _upload(release: Release, job: Job) -> None:
    if job.must_upload:
        store = open_store(job.data_uri)
        for name, path in job.files.items():
            put_same(store, name, path, release.manifest["files"][name]["sha256"])


class Settled(NamedTuple):
    """A release of a lineage: its job's last known status, and what that makes of its prompts."""

    release: str  # its id
    job: str | None  # None where no request followed the reservation
    status: str
    state: str


def settle(
    lake: Store,
    lineage: str,
    client_of: Callable[[str], BedrockClient] = bedrock_client,
    never_started: Collection[str] = (),
) -> list[Settled]:
    """Ask Bedrock (by Region) how the open jobs of a lineage ended, and write it down.

    What completed is registered; what failed or was stopped is released. A job that Bedrock does
    not know stays reserved, since its request may be under way, or the job in another account; but
    of the release ids in `never_started` a person knows better, and they are released.

    Raises:
        ConfigError, IntegrityError: as `read_uses` does.
        OutsideError, TransientError: AWS did not do its part; what was written down stays.
    """
    clients = cache(client_of)
    status = cache(lambda region, job: _status(clients(region), job))
    return sorted(_settle(use, status, never_started) for use in read_uses(lake, lineage))


def _settle(
    use: Use, status: Callable[[str, str], JobEnded], never_started: Collection[str]
) -> Settled:
    """Each claim is asked about by itself, for two requests may have gone to two Regions."""
    release, last, ended = use.release_id(), use.asked(), use.ended()
    job = last.job if last else None
    if ended:
        return Settled(release, job, ended.status, use.state)
    asked = [(claim, use.asked(claim.number)) for claim in use.claims]
    told = [(c, status(a.region, a.job) if a else JobEnded(UNKNOWN)) for c, a in asked]
    return Settled(release, job, *_write_down(use, told, is_void=release in never_started))


def _write_down(
    use: Use, told: Sequence[tuple[Claim, JobEnded]], *, is_void: bool
) -> tuple[str, str]:
    """Register or release by what Bedrock told of each claim; the status, and the state then."""
    for _, ended in told:
        if ended.status == COMPLETED:
            use.register(ended)
            return COMPLETED, REGISTERED
    vain = {*_IN_VAIN, UNKNOWN} if is_void else _IN_VAIN
    for claim, ended in told:
        if ended.status in vain:
            claim.release(ended)
    statuses = [ended.status for _, ended in told]
    open_ones = [status for status in statuses if status not in vain]
    return (open_ones[-1], RESERVED) if open_ones else (statuses[-1], RELEASED)


def _status(client: BedrockClient, job: str) -> JobEnded:
    """What Bedrock says of a job now; `UNKNOWN` if it has none of that name."""
    with _explained(job, STATUS_OPERATION):
        try:
            told = client.get_model_customization_job(jobIdentifier=job)
        except ClientError as error:
            if _code(error) == "ResourceNotFoundException":
                return JobEnded(UNKNOWN)
            raise
    return JobEnded(told["status"], told["jobArn"], told.get("outputModelArn"))


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


@contextmanager
def _explained(job: str, operation: str = OPERATION) -> Iterator[None]:
    """Turn botocore's errors about a job into ours."""
    try:
        yield
    except ClientError as error:
        raise _refused(error, job, operation) from None
    except BotoCoreError as error:
        raise unreached(error, "Bedrock") from None


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", "?"))


def _made_nothing(error: BaseException | None) -> bool:
    """Whether the request surely made no job: it was sent but once, and was at fault itself."""
    if not isinstance(error, ClientError):
        return False
    answer = error.response.get("ResponseMetadata", {})
    is_refusal = 400 <= answer.get("HTTPStatusCode", 0) < 500 and _code(error) not in _CONFLICTS
    return is_refusal and not answer.get("RetryAttempts")


def _refused(error: ClientError, name: str, operation: str) -> SluiceError:
    """What the code asks the caller to do. AWS's own words may quote lines, and stay out."""
    code = _code(error)
    answer = error.response.get("ResponseMetadata", {})
    is_passing = answer.get("HTTPStatusCode", 0) >= 500
    other = (TransientError if is_passing else OutsideError, "look for the code in Bedrock's pages")
    kind, hint = _REFUSALS.get(code, other)
    if operation == STATUS_OPERATION and kind is OutsideError:
        hint = f"the caller needs bedrock:{STATUS_OPERATION}, to see how the job ended"
    request_id = answer.get("RequestId", "?")
    return kind(f"Bedrock refused job {name} ({code}, AWS request {request_id}); {hint}")
