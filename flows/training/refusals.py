"""What Bedrock and SageMaker refuse about a job, as errors that say what to do."""

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import BotoCoreError, ClientError

from bedrock_sluice.lake.aws import (
    Remedy,
    error_code,
    refusal_error,
    status_code,
    unreachable_error,
)
from bedrock_sluice.transforms.errors import ConfigError, OutsideError, TransientError

OPERATION, STATUS_OPERATION = "CreateModelCustomizationJob", "GetModelCustomizationJob"
SAGEMAKER_OPERATION, SAGEMAKER_STATUS_OPERATION = "CreateTrainingJob", "DescribeTrainingJob"
STOP_OPERATION, SAGEMAKER_STOP_OPERATION = "StopModelCustomizationJob", "StopTrainingJob"
_SERVICES = {
    STOP_OPERATION: "bedrock",
    SAGEMAKER_STOP_OPERATION: "sagemaker",
    OPERATION: "bedrock",
    STATUS_OPERATION: "bedrock",
    SAGEMAKER_OPERATION: "sagemaker",
    SAGEMAKER_STATUS_OPERATION: "sagemaker",
}
_LABELS = {"bedrock": "Bedrock", "sagemaker": "SageMaker"}
_CREATE_OPERATIONS = frozenset({OPERATION, SAGEMAKER_OPERATION})
_STOP_OPERATIONS = frozenset({STOP_OPERATION, SAGEMAKER_STOP_OPERATION})
# After one of these there may be a job.
_CONFLICTS = frozenset({"ConflictException", "ResourceInUseException", "ResourceInUse"})

_MISSING: Remedy = (
    ConfigError,
    "see that [train] and [grader] name what is there, in the Region of the client",
)
_QUOTA: Remedy = (OutsideError, "wait for other jobs, or ask for more quota")
_TAKEN: Remedy = (OutsideError, "look for a job or model of this name")
_LATER: Remedy = (TransientError, "run again")
_REMEDIES: dict[str, Remedy] = {
    "ValidationException": (
        ConfigError,
        "see that the model can be trained so in this Region, and that the role may read the "
        "lines, write to output_uri and call the grader ([train], [grader])",
    ),
    "ResourceNotFoundException": _MISSING,
    "ResourceNotFound": _MISSING,
    "TooManyTagsException": (ConfigError, "give fewer tags in [train]"),
    "ServiceQuotaExceededException": _QUOTA,
    "ResourceLimitExceeded": _QUOTA,
    "ConflictException": _TAKEN,
    "ThrottlingException": _LATER,
    "InternalServerException": _LATER,
}


def _remedies(operation: str) -> tuple[dict[str, Remedy], str]:
    """What to do by the code of an answer, and about codes that are not among them."""
    service = _SERVICES[operation]
    if operation in _CREATE_OPERATIONS:
        needs = f"the caller needs {service}:{operation}, and iam:PassRole for the role of [train]"
        return {**_REMEDIES, "AccessDeniedException": (OutsideError, needs)}, (
            f"look for the code in the pages of {_LABELS[service]}"
        )
    purpose = "to stop it" if operation in _STOP_OPERATIONS else "to see how the job ended"
    needs = f"the caller needs {service}:{operation}, {purpose}"
    remedies: dict[str, Remedy] = {
        code: (kind, needs if kind is OutsideError else hint)
        for code, (kind, hint) in _REMEDIES.items()
    }
    return remedies, needs


@contextmanager
def explain_refusals(job: str, operation: str = OPERATION) -> Iterator[None]:
    """Turn botocore's errors about a job into ours."""
    label = _LABELS[_SERVICES[operation]]
    try:
        yield
    except ClientError as error:
        remedies, other_hint = _remedies(operation)
        raise refusal_error(error, f"{label} refused job {job}", remedies, other_hint) from None
    except BotoCoreError as error:
        raise unreachable_error(error, label) from None


def made_nothing(error: BaseException | None) -> bool:
    """Whether the request surely made no job: it was sent but once, and was at fault itself."""
    if not isinstance(error, ClientError):
        return False
    is_fault = 400 <= status_code(error) < 500
    # Of a request that was sent again, the first attempt may have made a job.
    retries = error.response.get("ResponseMetadata", {}).get("RetryAttempts")
    return is_fault and error_code(error) not in _CONFLICTS and not retries
