"""What Bedrock says no to about a job, told by what to do. AWS's own words may quote lines."""

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import BotoCoreError, ClientError

from bedrock_sluice.flows.training.request import OPERATION
from bedrock_sluice.lake.aws import remedy, unreachable_error
from bedrock_sluice.transforms.errors import ConfigError, OutsideError, SluiceError, TransientError

STATUS_OPERATION = "GetModelCustomizationJob"
_CONFLICTS = frozenset({"ConflictException", "ResourceInUseException"})  # there may be a job

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
def explain_refusals(job: str, operation: str = OPERATION) -> Iterator[None]:
    """Turn botocore's errors about a job into ours."""
    try:
        yield
    except ClientError as error:
        raise _to_error(error, job, operation) from None
    except BotoCoreError as error:
        raise unreachable_error(error, "Bedrock") from None


def error_code(error: ClientError) -> str:
    """The code of an answer that is an error."""
    return str(error.response.get("Error", {}).get("Code", "?"))


def made_nothing(error: BaseException | None) -> bool:
    """Whether the request surely made no job: it was sent but once, and was at fault itself."""
    if not isinstance(error, ClientError):
        return False
    answer = error.response.get("ResponseMetadata", {})
    is_fault = 400 <= answer.get("HTTPStatusCode", 0) < 500
    return is_fault and error_code(error) not in _CONFLICTS and not answer.get("RetryAttempts")


def _to_error(error: ClientError, name: str, operation: str) -> SluiceError:
    """What the code asks the caller to do. AWS's own words may quote lines, and stay out."""
    code = error_code(error)
    answer = error.response.get("ResponseMetadata", {})
    is_passing = answer.get("HTTPStatusCode", 0) >= 500
    other = (TransientError if is_passing else OutsideError, "look for the code in Bedrock's pages")
    kind, hint = _REFUSALS.get(code, other)
    if advice := remedy(error):
        kind, hint = OutsideError, advice
    elif operation == STATUS_OPERATION and kind is OutsideError:
        hint = f"the caller needs bedrock:{STATUS_OPERATION}, to see how the job ended"
    request_id = answer.get("RequestId", "?")
    return kind(f"Bedrock refused job {name} ({code}, AWS request {request_id}); {hint}")
