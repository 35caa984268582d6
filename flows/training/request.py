"""The exact request for the training job of a release, checked against Bedrock's own model of it.

The release holds the lines; the job settings are the recipe's [train] and its grader's Lambda. They
decide nothing about the data, so they may be others than those the release was built with.
"""

from typing import Any, Final

from bedrock_sluice.flows.recipe import Recipe
from bedrock_sluice.flows.recipe.sections import TrainSection
from bedrock_sluice.flows.training.service_model import faults
from bedrock_sluice.lake.releases.release import ID_DIGITS, Release
from bedrock_sluice.lake.stores.store import S3_SCHEME
from bedrock_sluice.transforms.errors import ConfigError

SERVICE: Final = "bedrock"
OPERATION: Final = "CreateModelCustomizationJob"
TRAIN_FILE, VALIDATION_FILE = "train.jsonl", "validation.jsonl"
RELEASE_TAG, DIGEST_TAG = "sluice:release", "sluice:digest"

_OTHER_API_ONLY = ("openai.", "qwen.")  # providers whose models only the other API trains

Request = dict[str, Any]


def job_request(release: Release, recipe: Recipe, data_uri: str, attempt: int = 1) -> Request:
    """The arguments of `create_model_customization_job`, for lines that lie below `data_uri`.

    Name and token carry the number of the attempt, so that a job that failed can be tried again.

    Raises:
        ConfigError: the recipe has no [train] or [grader], names a model that can't be trained so,
            or Bedrock's own model of the request forbids something; the message has all of that.
    """
    train = train_section(recipe)
    check_model(train)
    digest = release.manifest.digest
    suffix = f"-{attempt}" if attempt > 1 else ""
    name = f"{recipe.lineage}-{digest[:ID_DIGITS]}{suffix}"
    # The token is made of the digest: Bedrock starts one job for it, however often it is sent.
    lineage = "" if recipe.lineage == release.name else f"-{recipe.lineage}"
    request: Request = {
        "jobName": name,
        "customModelName": name,
        "roleArn": train.role_arn,
        "clientRequestToken": f"sluice-{digest}{lineage}{suffix}",
        "baseModelIdentifier": train.model,
        "customizationType": "REINFORCEMENT_FINE_TUNING",
        "jobTags": _tags(release, train),
        "outputDataConfig": {"s3Uri": train.output_uri},
        "customizationConfig": {"rftConfig": _rft_config(recipe, train)},
        "trainingDataConfig": {"s3Uri": f"{data_uri}/{TRAIN_FILE}"},
    }
    if VALIDATION_FILE in job_files(release, train):
        validators = [{"s3Uri": f"{data_uri}/{VALIDATION_FILE}"}]
        request["validationDataConfig"] = {"validators": validators}
    if train.kms_key_id:
        request["customModelKmsKeyId"] = train.kms_key_id
    if wrong := faults(SERVICE, OPERATION, request):
        fault_lines = "\n".join(f"  {fault}" for fault in wrong)
        raise ConfigError(f"Bedrock would reject this request. Fix the recipe:\n{fault_lines}")
    return request


def check_model(train: TrainSection) -> None:
    """See that this API can train the model.

    Raises:
        ConfigError: only Bedrock's OpenAI-compatible API can.
    """
    if train.model.rpartition("/")[2].startswith(_OTHER_API_ONLY):
        raise ConfigError(
            f"[train] model: {OPERATION} can't train {train.model}; Bedrock fine-tunes it only "
            "through its OpenAI-compatible API, which Sluice does not call. Name a Nova model, or "
            "give train.jsonl to that API yourself"
        )


def train_section(recipe: Recipe) -> TrainSection:
    """The recipe's job settings.

    Raises:
        ConfigError: it has none.
    """
    if recipe.train is None:
        raise ConfigError(
            f"the recipe of {recipe.name} has no [train]; add it, and name the recipe: "
            "sluice train RELEASE --recipe RECIPE"
        )
    return recipe.train


def lines_uri(release: Release, train: TrainSection) -> str:
    """Where the job reads the lines: beside [train] data_uri, or in the release itself.

    Raises:
        ConfigError: that is not on S3.
    """
    if train.data_uri:
        uri = f"{train.data_uri.rstrip('/')}/{release.name}/{release.id}"
    else:
        uri = release.uri
    if not uri.startswith(S3_SCHEME):
        raise ConfigError(
            "Bedrock reads lines from S3 alone; set data_uri in [train] to an s3:// prefix"
        )
    return uri


def job_files(release: Release, train: TrainSection) -> list[str]:
    """The files of a release that the job is given."""
    facts = release.manifest.files.get(VALIDATION_FILE)
    has_validation = train.validation and facts is not None and facts.bytes > 0
    return [TRAIN_FILE, VALIDATION_FILE] if has_validation else [TRAIN_FILE]


def _rft_config(recipe: Recipe, train: TrainSection) -> Request:
    if recipe.grader is None or recipe.grader.lambda_arn is None:
        raise ConfigError(f"the recipe of {recipe.name} has no [grader] lambda_arn; add it")
    grader = {"lambdaGrader": {"lambdaArn": recipe.grader.lambda_arn}}
    parameters = {"hyperParameters": dict(train.hyper_parameters)} if train.hyper_parameters else {}
    return {"graderConfig": grader, **parameters}


def _tags(release: Release, train: TrainSection) -> list[dict[str, str]]:
    ours = {
        RELEASE_TAG: f"{release.name}/{release.id}",
        DIGEST_TAG: release.manifest.digest,
    }
    if reserved_keys := ours.keys() & train.tags.keys():
        raise ConfigError(
            f"tags in [train]: {', '.join(sorted(reserved_keys))} is set by Sluice itself"
        )
    return [{"key": key, "value": value} for key, value in {**train.tags, **ours}.items()]
