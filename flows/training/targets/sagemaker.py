"""Target `sagemaker`: serverless RLVR, `CreateTrainingJob` with `ServerlessJobConfig`.

The lines are rendered as the rows that verl reads. A training job's name is unique in its account
and Region, and ours is made of the release's digest: that makes twice once.
"""

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import polars as pl
from botocore.exceptions import ClientError

from bedrock_sluice.flows.recipe.sections import TargetName
from bedrock_sluice.flows.training.refusals import (
    SAGEMAKER_OPERATION,
    SAGEMAKER_STATUS_OPERATION,
    SAGEMAKER_STOP_OPERATION,
    explain_refusals,
)
from bedrock_sluice.flows.training.service_model import faults
from bedrock_sluice.flows.training.targets.base import (
    FAILED,
    UNKNOWN,
    Draft,
    JobDraft,
    Request,
    job_files,
    lines_uri,
    with_advice,
    without_none,
)
from bedrock_sluice.flows.training.targets.boto import BotoTarget
from bedrock_sluice.flows.training.targets.upload import upload_files
from bedrock_sluice.lake.aws import error_code
from bedrock_sluice.lake.releases.registry import JobEnd, JobRequest
from bedrock_sluice.rewards.exports import Origin, export_lines
from bedrock_sluice.transforms.errors import ConfigError, OutsideError

SERVICE: Final = "sagemaker"
_NAME_CODES = frozenset({"ResourceInUse", "ResourceInUseException"})
_MISSING_CODES = frozenset({"ResourceNotFound", "ValidationException"})
_EULA = "[train] accept_eula: must be true; read the license of the model first"
_EVALUATOR = (
    "[train] evaluator_arn: is missing; register the grader's Lambda as an evaluator in a hub, and "
    "name its ARN"
)
_KEYS = {
    "RoleArn": "[train] role_arn: the role that the job assumes",
    "OutputDataConfig": "[train] output_uri: an s3:// prefix",
    "ServerlessJobConfig.BaseModelArn": "[train] model: a model of a SageMaker hub",
    "ModelPackageConfig": "[train] model_package_group_arn",
    "TrainingJobName": "the lineage in [train], or the name of the recipe, is too long",
    "HyperParameters": "[train] hyper_parameters",
    "Tags": "[train] tags",
}


class SageMakerTarget(BotoTarget):
    """See the module."""

    name: TargetName = "sagemaker"
    service = SERVICE

    def draft(self, job: JobDraft) -> Draft:
        """See `Target.draft`."""
        problems, train = list[str](), job.train
        try:
            uri = _rows_uri(job)
        except ConfigError as error:
            uri = ""
            problems.append(str(error))
        if not train.accept_eula:
            problems.append(_EULA)
        if not train.evaluator_arn:
            problems.append(_EVALUATOR)
        channels = [_channel(name, uri) for name in job_files(job.release, train)]
        group = train.model_package_group_arn
        serverless = {
            "BaseModelArn": train.model,
            "AcceptEula": train.accept_eula,
            "JobType": "FineTuning",
            "CustomizationTechnique": "RLVR",
            "Peft": "LORA",
            "EvaluatorArn": train.evaluator_arn,
        }
        output = {"S3OutputPath": train.output_uri, "KmsKeyId": train.kms_key_id}
        parameters = {name: str(value) for name, value in train.hyper_parameters.items()}
        request = without_none(
            {
                "TrainingJobName": job.name,
                "RoleArn": train.role_arn,
                "ServerlessJobConfig": without_none(serverless),
                "InputDataConfig": channels if uri else None,
                "OutputDataConfig": without_none(output),
                "HyperParameters": parameters or None,
                "ModelPackageConfig": {"ModelPackageGroupArn": group} if group else None,
                "Tags": [{"Key": key, "Value": value} for key, value in job.tags.items()],
            }
        )
        wrong = with_advice(faults(SERVICE, SAGEMAKER_OPERATION, request), _KEYS)
        return Draft(request, problems + wrong)

    def upload(self, job: JobDraft, client: Any) -> Mapping[str, str]:  # noqa: ARG002
        """See `Target.upload`; what is uploaded is rendered anew, to the same bytes each time."""
        names = job_files(job.release, job.train)
        with TemporaryDirectory(prefix="sluice-rows-") as folder:
            paths = {name: Path(folder, name) for name in names}
            for name, path in paths.items():
                origin = Origin(name.partition(".")[0], job.recipe.name, job.recipe.template.name)
                export_lines("verl", job.release.file(name), path, origin)
            upload_files(_rows_uri(job), paths)
        return {}

    def submit(
        self,
        client: Any,
        record: JobRequest,
        files: Mapping[str, str],  # noqa: ARG002 - the request names them
        *,
        is_first: bool,  # noqa: ARG002 - the name decides
    ) -> str:
        """See `Target.submit`.

        Raises:
            OutsideError: a job of that name is not ours.
        """
        with explain_refusals(record.job, SAGEMAKER_OPERATION):
            try:
                return str(client.create_training_job(**record.request)["TrainingJobArn"])
            except ClientError as error:
                if error_code(error) not in _NAME_CODES:
                    raise
        return self._earlier(client, record)

    def _earlier(self, client: Any, record: JobRequest) -> str:
        """The ARN of the job that has our name, if it is over our lines."""
        with explain_refusals(record.job, SAGEMAKER_STATUS_OPERATION):
            answer = client.describe_training_job(TrainingJobName=record.job)
        if _sources(answer) != _sources(record.request):
            raise OutsideError(
                f"SageMaker has another job of the name {record.job}; set another lineage in "
                "[train]"
            )
        return str(answer["TrainingJobArn"])

    def status(
        self,
        client: Any,
        record: JobRequest,
        job_id: str | None,  # noqa: ARG002 - its name is known
    ) -> JobEnd:
        """See `Target.status`."""
        with explain_refusals(record.job, SAGEMAKER_STATUS_OPERATION):
            try:
                answer = client.describe_training_job(TrainingJobName=record.job)
            except ClientError as error:
                if error_code(error) in _MISSING_CODES:
                    return JobEnd(UNKNOWN)
                raise
        status, model = answer["TrainingJobStatus"], answer.get("OutputModelPackageArn")
        message = answer.get("FailureReason") if status == FAILED else None
        return JobEnd(status, answer["TrainingJobArn"], model, message)

    def stop(
        self,
        client: Any,
        record: JobRequest,
        job_id: str | None,  # noqa: ARG002 - its name is known
    ) -> None:
        """See `Target.stop`."""
        with explain_refusals(record.job, SAGEMAKER_STOP_OPERATION):
            client.stop_training_job(TrainingJobName=record.job)

    def metrics(self, client: Any, record: JobRequest, job_id: str) -> pl.DataFrame | None:  # noqa: ARG002 - none are documented
        """See `Target.metrics`: AWS documents none for serverless jobs."""
        return None


def _rows_uri(job: JobDraft) -> str:
    """Where the rows go: a release holds its own files alone.

    Raises:
        ConfigError: the recipe has no place on S3 for them.
    """
    if not job.train.data_uri:
        raise ConfigError("[train] data_uri: is missing; name an s3:// prefix for the rows")
    return f"{lines_uri(job.release, job.train)}/verl"


def _channel(name: str, uri: str) -> Request:
    source = {
        "S3DataType": "S3Prefix",
        "S3Uri": f"{uri}/{name}",
        "S3DataDistributionType": "FullyReplicated",
    }
    return {"ChannelName": name.partition(".")[0], "DataSource": {"S3DataSource": source}}


def _sources(request: Mapping[str, Any]) -> list[str]:
    channels = request.get("InputDataConfig", ())
    return [each["DataSource"].get("S3DataSource", {}).get("S3Uri", "") for each in channels]
