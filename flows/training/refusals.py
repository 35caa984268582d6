"""What Bedrock refuses about a job, as errors that say what to do."""

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import BotoCoreError, ClientError

from bedrock_sluice.flows.training.request import OPERATION
from bedrock_sluice.lake.aws import (
    Remedy,
    error_code,
    refusal_error,
    status_code,
    unreachable_error,
)
from bedrock_sluice.transforms.errors import ConfigError, OutsideError, TransientError

STATUS_OPERATION = "GetModelCustomizationJob"
_CONFLICTS = frozenset({"ConflictException", "ResourceInUseException"})  # there may be a job

_REMEDIES: dict[str, Remedy] = {
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
_STATUS_HINT = f"the caller needs bedrock:{STATUS_OPERATION}, to see how the job ended"
_STATUS_REMEDIES: dict[str, Remedy] = {
    code: (kind, _STATUS_HINT if kind is OutsideError else hint)
    for code, (kind, hint) in _REMEDIES.items()
}


@contextmanager
def explain_refusals(job: str, operation: str = OPERATION) -> Iterator[None]:
    """Turn botocore's errors about a job into ours."""
    try:
        yield
    except ClientError as error:
        is_status = operation == STATUS_OPERATION
        remedies = _STATUS_REMEDIES if is_status else _REMEDIES
        other_hint = _STATUS_HINT if is_status else "look for the code in Bedrock's pages"
        raise refusal_error(error, f"Bedrock refused job {job}", remedies, other_hint) from None
    except BotoCoreError as error:
        raise unreachable_error(error, "Bedrock") from None


def made_nothing(error: BaseException | None) -> bool:
    """Whether the request surely made no job: it was sent but once, and was at fault itself."""
    if not isinstance(error, ClientError):
        return False
    is_fault = 400 <= status_code(error) < 500
    # Of a request that was sent again, the first attempt may have made a job.
    retries = error.response.get("ResponseMetadata", {}).get("RetryAttempts")
    return is_fault and error_code(error) not in _CONFLICTS and not retries
