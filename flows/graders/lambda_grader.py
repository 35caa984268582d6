"""A grader that is deployed as a Lambda. Whoever calls it needs `lambda:InvokeFunction`."""

import json
import re
from collections.abc import Mapping
from time import sleep
from typing import Any, Final

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ReadTimeoutError

from bedrock_sluice.lake.aws import Remedy, make_client, refusal_error, unreachable_error
from bedrock_sluice.rewards.running.process import CallResult
from bedrock_sluice.rewards.running.run import TIMEOUT_SECONDS
from bedrock_sluice.transforms.errors import ConfigError, OutsideError, TransientError

WAITS_SECONDS = (0.5, 1.0, 2.0, 4.0)  # before trying again what Lambda throttled
SERVICE: Final = "lambda"

_TIMEOUT = re.compile(r"Task timed out after [0-9.]{1,12} seconds")
_TYPE_NAME = re.compile(r"[\w.]{1,64}")


class LambdaGrader:
    """A deployed function, by name or ARN; a `Caller` of `rewards/running`.

    `client` is one of boto3, which stays the caller's; without it, one is made with the usual AWS
    settings as it is first needed.
    """

    def __init__(
        self, function: str, timeout_seconds: float = TIMEOUT_SECONDS, client: Any = None
    ) -> None:
        self.client = client
        self._function, self._seconds = function, timeout_seconds
        self._own_client: Any = None

    def call(self, event: bytes) -> CallResult:
        """See `Caller.call`.

        Raises:
            ConfigError: there is no such function.
            OutsideError, TransientError: AWS refused, was busy, or was not reached.
        """
        if self.client is None and self._own_client is None:
            # It invokes once, and waits as long as the grader may take: each call may cost money.
            config = Config(
                read_timeout=self._seconds,
                retries={"mode": "standard", "total_max_attempts": 1},
            )
            self._own_client = make_client(SERVICE, config=config)
        client = self.client or self._own_client
        for wait_seconds in (*WAITS_SECONDS, None):
            try:
                return _read_answer(client.invoke(FunctionName=self._function, Payload=event))
            except ReadTimeoutError:
                message = f"gave no answer within {self._seconds:g} s"
                return CallResult(failure=message, was_lost=True)
            except ClientError as error:
                refusal = refusal_error(
                    error,
                    f"Lambda refused to call {self._function}",
                    _REMEDIES,
                    "look for the code in Lambda's pages",
                )
                if wait_seconds is None or not isinstance(refusal, TransientError):
                    raise refusal from None
                sleep(wait_seconds)
            except BotoCoreError as error:
                raise unreachable_error(error, f"Lambda {self._function}") from None
        raise AssertionError("the last wait is None")

    def close(self) -> None:
        """See `Caller.close`."""
        if self._own_client is not None:
            self._own_client.close()
            self._own_client = None  # a second run makes another one


def _read_answer(answer: Mapping[str, Any]) -> CallResult:
    """Return the result of an invocation.

    The text of an exception may quote a response, and stays out.
    """
    payload = answer["Payload"].read()
    try:
        content = json.loads(payload or b"null")
    except (RecursionError, ValueError):
        return CallResult(failure="answered with what is no JSON")
    if not answer.get("FunctionError"):
        return CallResult(content)
    fields = content if isinstance(content, dict) else {}
    if match := _TIMEOUT.search(str(fields.get("errorMessage", ""))):
        return CallResult(failure=f"was stopped by Lambda: {match[0]}", was_lost=True)
    name = str(fields.get("errorType", ""))
    kind = name if _TYPE_NAME.fullmatch(name) else "an exception"
    # What Lambda itself says of a process begins so; the next call finds it started anew.
    return CallResult(failure=f"raised {kind}", was_lost=kind.startswith(("Runtime.", "Sandbox.")))


_REMEDIES: dict[str, Remedy] = {
    "ResourceNotFoundException": (
        ConfigError,
        "see that lambda_arn in [grader] names a function of this Region",
    ),
    "AccessDeniedException": (OutsideError, "the caller needs lambda:InvokeFunction"),
    "TooManyRequestsException": (
        TransientError,
        "run again, or give the function more concurrency",
    ),
    "ResourceConflictException": (TransientError, "the function is being changed; run again"),
    "ResourceNotReadyException": (TransientError, "the function is being started; run again"),
    "EC2ThrottledException": (TransientError, "run again"),
    "ThrottlingException": (TransientError, "run again"),
}
