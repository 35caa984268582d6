"""Target `nova`: Bedrock's own customization jobs, `CreateModelCustomizationJob` with `rftConfig`.

`clientRequestToken` makes twice once: Bedrock keeps the job of a token that it knows.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import polars as pl
from botocore.exceptions import ClientError

from bedrock_sluice.flows.recipe import Recipe
from bedrock_sluice.flows.recipe.sections import TargetName, TrainSection
from bedrock_sluice.flows.training.refusals import (
    OPERATION,
    STATUS_OPERATION,
    STOP_OPERATION,
    explain_refusals,
)
from bedrock_sluice.flows.training.service_model import faults
from bedrock_sluice.flows.training.targets.base import (
    FAILED,
    TRAIN_FILE,
    UNKNOWN,
    VALIDATION_FILE,
    Draft,
    JobDraft,
    Request,
    job_files,
    lines_uri,
    with_advice,
    without_none,
)
from bedrock_sluice.flows.training.targets.boto import BotoTarget
from bedrock_sluice.flows.training.targets.output_files import read_output
from bedrock_sluice.flows.training.targets.upload import upload_files
from bedrock_sluice.lake.aws import error_code
from bedrock_sluice.lake.releases.registry import JobEnd, JobRequest
from bedrock_sluice.transforms.errors import ConfigError

if TYPE_CHECKING:
    from mypy_boto3_bedrock import BedrockClient
else:
    BedrockClient = Any

SERVICE: Final = "bedrock"
_KEYS = {
    "roleArn": "[train] role_arn: the role that the job assumes",
    "outputDataConfig": "[train] output_uri: an s3:// prefix; keys may not hold = : + @ or spaces",
    "trainingDataConfig": "[train] data_uri: an s3:// prefix; keys may not hold = : + @ or spaces",
    "validationDataConfig": "[train] data_uri",
    "customModelKmsKeyId": "[train] kms_key_id",
    "baseModelIdentifier": "[train] model",
    "jobName": "the lineage in [train], or the name of the recipe, is too long",
    "customModelName": "the lineage in [train], or the name of the recipe, is too long",
    "jobTags": "[train] tags",
    "customizationConfig.rftConfig.hyperParameters": "[train] hyper_parameters",
    "customizationConfig.rftConfig.graderConfig": "[grader] lambda_arn",
}
_NO_GRADER = "the recipe has no [grader] lambda_arn; add the ARN of the deployed grader"


class NovaTarget(BotoTarget):
    """See the module."""

    name: TargetName = "nova"
    service = SERVICE

    def draft(self, job: JobDraft) -> Draft:
        """See `Target.draft`."""
        uri, problems = "", list[str]()
        try:
            uri = lines_uri(job.release, job.train)
        except ConfigError as error:
            problems.append(str(error))
        request = self.request(job, uri)
        if problems:  # without a place for them, the paths of the lines can't be judged
            request = {k: v for k, v in request.items() if not k.startswith(("training", "valid"))}
        wrong = with_advice(faults(SERVICE, OPERATION, request), _KEYS)
        if problems:
            wrong = [fault for fault in wrong if not fault.startswith("trainingDataConfig")]
        if _lambda_arn(job.recipe) is None:
            wrong = [fault for fault in wrong if not fault.startswith("customizationConfig")]
            problems.append(_NO_GRADER)
        return Draft(request, problems + wrong)

    def request(self, job: JobDraft, data_uri: str) -> Request:
        """The arguments of `create_model_customization_job`, for lines below `data_uri`."""
        train = job.train
        request: Request = {
            "jobName": job.name,
            "customModelName": job.name,
            "roleArn": train.role_arn,
            "clientRequestToken": job.token,
            "baseModelIdentifier": train.model,
            "customizationType": "REINFORCEMENT_FINE_TUNING",
            "jobTags": [{"key": key, "value": value} for key, value in job.tags.items()],
            "outputDataConfig": {"s3Uri": train.output_uri} if train.output_uri else None,
            "customizationConfig": _rft_config(job.recipe, train),
            "trainingDataConfig": {"s3Uri": f"{data_uri}/{TRAIN_FILE}"},
            "customModelKmsKeyId": train.kms_key_id,
        }
        if VALIDATION_FILE in job_files(job.release, train):
            validators = [{"s3Uri": f"{data_uri}/{VALIDATION_FILE}"}]
            request["validationDataConfig"] = {"validators": validators}
        return without_none(request)

    def upload(self, job: JobDraft, client: BedrockClient) -> Mapping[str, str]:  # noqa: ARG002
        """See `Target.upload`; a release that lies on S3 was verified there already."""
        uri = lines_uri(job.release, job.train)
        if uri != job.release.uri:
            names = job_files(job.release, job.train)
            upload_files(uri, {name: job.release.file(name) for name in names})
        return {}

    def submit(
        self,
        client: BedrockClient,
        record: JobRequest,
        files: Mapping[str, str],  # noqa: ARG002 - the request names them
        *,
        is_first: bool,  # noqa: ARG002 - the token decides
    ) -> str:
        """See `Target.submit`."""
        with explain_refusals(record.job):
            return client.create_model_customization_job(**record.request)["jobArn"]

    def status(
        self,
        client: BedrockClient,
        record: JobRequest,
        job_id: str | None,  # noqa: ARG002 - its name is known
    ) -> JobEnd:
        """See `Target.status`."""
        with explain_refusals(record.job, STATUS_OPERATION):
            try:
                answer = client.get_model_customization_job(jobIdentifier=record.job)
            except ClientError as error:
                if error_code(error) == "ResourceNotFoundException":
                    return JobEnd(UNKNOWN)
                raise
        message = answer.get("failureMessage") if answer["status"] == FAILED else None
        return JobEnd(answer["status"], answer["jobArn"], answer.get("outputModelArn"), message)

    def stop(
        self,
        client: BedrockClient,
        record: JobRequest,
        job_id: str | None,  # noqa: ARG002 - its name is known
    ) -> None:
        """See `Target.stop`."""
        with explain_refusals(record.job, STOP_OPERATION):
            client.stop_model_customization_job(jobIdentifier=record.job)

    def metrics(
        self,
        client: BedrockClient,  # noqa: ARG002 - they are files on S3
        record: JobRequest,
        job_id: str,
    ) -> pl.DataFrame | None:
        """See `Target.metrics`: what the job has written below its output prefix."""
        return read_output(record.request["outputDataConfig"]["s3Uri"], job_id.rpartition("/")[2])


def _lambda_arn(recipe: Recipe) -> str | None:
    return recipe.grader.lambda_arn if recipe.grader else None


def _rft_config(recipe: Recipe, train: TrainSection) -> Request | None:
    arn = _lambda_arn(recipe)
    if arn is None:
        return None
    grader = {"graderConfig": {"lambdaGrader": {"lambdaArn": arn}}}
    parameters = {"hyperParameters": dict(train.hyper_parameters)} if train.hyper_parameters else {}
    return {"rftConfig": {**grader, **parameters}}
