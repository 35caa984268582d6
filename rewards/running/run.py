"""Run a grader over responses: a local file in a process of its own, or the Lambda itself.

Every sample gets exactly one result. Where a whole batch fails, its samples are graded one by one,
so that the guilty ones are named and the others have their scores.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from time import sleep
from typing import Any, Final, Protocol

import msgspec

from bedrock_sluice.rewards.running.events import EventForm, Sample, as_event, batches
from bedrock_sluice.rewards.running.grader_results import GraderResult, read_scores
from bedrock_sluice.rewards.running.process import (
    MAX_ANSWER_BYTES,
    CallResult,
    GraderProcess,
    LocalGrader,
)
from bedrock_sluice.transforms.errors import (
    ConfigError,
    OutsideError,
    SluiceError,
    TransientError,
)

BATCH_SIZE = 32  # samples
TIMEOUT_SECONDS = 60.0  # of one call
MEMORY_BYTES = 1 << 30  # of address space, which is more than what a Lambda counts
MAX_EVENT_BYTES = MAX_ANSWER_BYTES
MAX_LOST_CALLS = 10  # of one run; then the grader is given up

WAITS_SECONDS = (0.5, 1.0, 2.0, 4.0)  # before trying again what Lambda throttled
SERVICE: Final = "lambda"

_TIMED_OUT = re.compile(r"Task timed out after [0-9.]{1,12} seconds")
_TYPE_NAME = re.compile(r"[\w.]{1,64}")


@dataclass(frozen=True, slots=True)
class LambdaGrader:
    """A deployed function, by name or ARN. Whoever runs it needs `lambda:InvokeFunction`.

    `client` is one of boto3; without it, one is made with the usual AWS settings.
    """

    function: str
    client: Any = None


class Caller(Protocol):
    """A grader that is ready to be called."""

    def call(self, event: bytes) -> CallResult:
        """Hand over an event as JSON."""
        ...

    def close(self) -> None:
        """Give up what is held."""
        ...


def run_grader(  # noqa: PLR0913 - limits, each by its name
    grader: LocalGrader | LambdaGrader,
    samples: Iterable[Sample],
    *,
    batch_size: int = BATCH_SIZE,
    timeout_seconds: float = TIMEOUT_SECONDS,
    memory_bytes: int = MEMORY_BYTES,
    form: EventForm = "metadata",
) -> Iterator[GraderResult]:
    """One result a sample, in their order; what is wrong with a sample is in its result.

    `memory_bytes` is for local graders alone; a Lambda has its own. Two responses to one line come
    to different batches.

    Raises:
        ConfigError: the grader is not there or can't be loaded.
        OutsideError, TransientError: AWS, or the machine, did not do its part.
    """
    with closing(_opened(grader, timeout_seconds, memory_bytes)) as caller:
        run = _Run(caller, form)
        for batch in batches(samples, batch_size):
            yield from run.graded(batch)


def _opened(grader: LocalGrader | LambdaGrader, seconds: float, memory_bytes: int) -> Caller:
    if isinstance(grader, LambdaGrader):
        return _LambdaCaller(grader, seconds)
    return GraderProcess(grader, seconds, memory_bytes)


@dataclass(slots=True)
class _Run:
    """One run over many batches; counts what was lost."""

    caller: Caller
    form: EventForm
    lost_calls: int = field(default=0, init=False)

    def graded(self, batch: Sequence[Sample]) -> list[GraderResult]:
        event = msgspec.json.encode(as_event(batch, self.form))
        if len(event) > MAX_EVENT_BYTES:
            return self._in_halves(batch)
        if self.lost_calls >= MAX_LOST_CALLS:
            told = f"not graded: the grader was lost {MAX_LOST_CALLS} times before; mend it first"
            return [GraderResult(sample.id, None, problem=told) for sample in batch]
        called = self.caller.call(event)
        self.lost_calls += called.was_lost
        if called.failure is None:
            results = read_scores(called.answer, [sample.id for sample in batch])
            return [replace(scored, note=called.note) for scored in results]
        if len(batch) == 1:
            told = f"the grader {called.failure}"
            return [GraderResult(batch[0].id, None, problem=told, note=called.note)]
        return [self._alone(sample) for sample in batch]

    def _alone(self, sample: Sample) -> GraderResult:
        (scored,) = self.graded([sample])
        if scored.problem:
            return scored
        notes = ["graded alone, because its batch failed", *([scored.note] if scored.note else [])]
        return replace(scored, note=", ".join(notes))

    def _in_halves(self, batch: Sequence[Sample]) -> list[GraderResult]:
        if len(batch) == 1:
            told = f"its event is larger than the {MAX_EVENT_BYTES >> 20} MB that Lambda takes"
            return [GraderResult(batch[0].id, None, problem=told)]
        middle = len(batch) // 2
        return [*self.graded(batch[:middle]), *self.graded(batch[middle:])]


class _LambdaCaller:
    """Calls a Lambda and waits for its answer."""

    def __init__(self, grader: LambdaGrader, seconds: float) -> None:
        self._function, self._seconds = grader.function, seconds
        self._lent, self._client = grader.client, grader.client or _client(seconds)

    def call(self, event: bytes) -> CallResult:
        """See `Caller.call`.

        Raises:
            ConfigError: there is no such function.
            OutsideError, TransientError: AWS refused, was busy, or was not reached.
        """
        from botocore.exceptions import (  # noqa: PLC0415 - a local grader does without
            BotoCoreError,
            ClientError,
            ReadTimeoutError,
        )

        from bedrock_sluice.lake.aws import unreached  # noqa: PLC0415

        for wait_seconds in (*WAITS_SECONDS, None):
            try:
                return _read(self._client.invoke(FunctionName=self._function, Payload=event))
            except ReadTimeoutError:
                told = f"gave no answer within {self._seconds:g} s"
                return CallResult(failure=told, was_lost=True)
            except ClientError as error:
                refusal = _refused(error.response, self._function)
                if wait_seconds is None or not isinstance(refusal, TransientError):
                    raise refusal from None
                sleep(wait_seconds)
            except BotoCoreError as error:
                raise unreached(error, f"Lambda {self._function}") from None
        raise AssertionError("the last wait is None")

    def close(self) -> None:
        """See `Caller.close`."""
        if self._lent is None:
            self._client.close()


def _client(seconds: float) -> Any:
    """A client that waits as long as it should and invokes once: a call may cost money."""
    import boto3  # noqa: PLC0415
    from botocore.config import Config  # noqa: PLC0415
    from botocore.exceptions import BotoCoreError  # noqa: PLC0415

    from bedrock_sluice.lake.aws import CLIENT_CONFIG, unreached  # noqa: PLC0415

    once = Config(read_timeout=seconds, retries={"mode": "standard", "total_max_attempts": 1})
    try:
        return boto3.session.Session().client(SERVICE, config=CLIENT_CONFIG.merge(once))
    except (BotoCoreError, ValueError) as error:
        raise unreached(error, "Lambda") from None


def _read(answer: Mapping[str, Any]) -> CallResult:
    """What an invocation came to. The text of an exception may quote a response, and stays out."""
    payload = answer["Payload"].read()
    try:
        told = json.loads(payload or b"null")
    except (RecursionError, ValueError):
        return CallResult(failure="answered with what is no JSON")
    if not answer.get("FunctionError"):
        return CallResult(told)
    fields = told if isinstance(told, dict) else {}
    if timed_out := _TIMED_OUT.search(str(fields.get("errorMessage", ""))):
        return CallResult(failure=f"was stopped by Lambda: {timed_out[0]}", was_lost=True)
    name = str(fields.get("errorType", ""))
    kind = name if _TYPE_NAME.fullmatch(name) else "an exception"
    # What Lambda itself says of a process begins so; the next call finds it started anew.
    return CallResult(failure=f"raised {kind}", was_lost=kind.startswith(("Runtime.", "Sandbox.")))


_REFUSALS: dict[str, tuple[type[SluiceError], str]] = {
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


def _refused(response: Mapping[str, Any], function: str) -> SluiceError:
    """What the code asks the caller to do."""
    code = response.get("Error", {}).get("Code", "?")
    answer = response.get("ResponseMetadata", {})
    is_passing = answer.get("HTTPStatusCode", 0) >= 500
    other = (TransientError if is_passing else OutsideError, "look for the code in Lambda's pages")
    kind, hint = _REFUSALS.get(code, other)
    request_id = answer.get("RequestId", "?")
    return kind(f"Lambda refused to call {function} ({code}, AWS request {request_id}); {hint}")
