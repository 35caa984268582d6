"""A grader that is deployed as a Lambda: what it returns, fails with and refuses."""

import io
import json
from collections.abc import Callable
from itertools import repeat
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.response import StreamingBody
from botocore.stub import Stubber

from bedrock_sluice.flows.graders.lambda_grader import WAITS_SECONDS, LambdaGrader
from bedrock_sluice.rewards.running.events import Sample
from bedrock_sluice.rewards.running.grader_results import GraderResult
from bedrock_sluice.rewards.running.run import run_grader
from bedrock_sluice.transforms.errors import (
    ConfigError,
    OutsideError,
    SluiceError,
    TransientError,
)

Json = dict[str, Any]

SECRET = "hidden-content"
ALONE = "graded alone, because its batch failed"


def run(grader: LambdaGrader, number: int = 3) -> list[GraderResult]:
    messages = [{"role": "user", "content": SECRET}]
    lines = [
        {"id": str(n), "reference_answer": f"#### {n}", "messages": messages} for n in range(number)
    ]
    return list(run_grader(grader, [Sample(line, f"#### {line['id']}") for line in lines]))


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The waits between attempts, which take no time."""
    pauses: list[float] = []
    monkeypatch.setattr("bedrock_sluice.flows.graders.lambda_grader.sleep", pauses.append)
    return pauses


@pytest.fixture
def function(waits: list[float]) -> LambdaGrader:
    once = Config(retries={"total_max_attempts": 1})
    client = boto3.client(
        "lambda", "us-east-1", config=once, aws_access_key_id="a", aws_secret_access_key="b"
    )
    return LambdaGrader("grade", client=client)


def answers(stub: Stubber, content: object, error: str | None = None) -> None:
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    answer: Json = {"StatusCode": 200, "Payload": StreamingBody(io.BytesIO(raw), len(raw))}
    stub.add_response("invoke", answer | ({"FunctionError": error} if error else {}))


def test_a_lambda_is_handed_the_event_and_its_scores_are_read(function: LambdaGrader) -> None:
    with Stubber(function.client) as stub:
        answers(stub, [{"id": str(n), "aggregate_reward_score": n} for n in range(3)])
        assert [each.score for each in run(function)] == [0.0, 1.0, 2.0]
        stub.assert_no_pending_responses()


@pytest.mark.parametrize(
    ("content", "error", "problem"),
    [
        (
            {"errorType": "KeyError", "errorMessage": SECRET},
            "Unhandled",
            "the grader raised KeyError",
        ),
        ({"errorType": SECRET + "!"}, "Unhandled", "the grader raised an exception"),
        (None, "Unhandled", "the grader raised an exception"),
        (
            {"errorMessage": "2026 1a Task timed out after 3.00 seconds"},
            "Unhandled",
            "the grader was stopped by Lambda: Task timed out after 3.00 seconds",
        ),
        (b"{", None, "the grader answered with what is no JSON"),
        ({"errors": 1}, None, "the answer is an object; return a list with one object a sample"),
    ],
)
def test_what_is_wrong_with_a_lambda_is_reported(
    function: LambdaGrader, content: object, error: str | None, problem: str
) -> None:
    with Stubber(function.client) as stub:
        answers(stub, content, error)
        (result,) = run(function, 1)
    assert (result.score, result.problem) == (None, problem)


def test_a_batch_that_a_lambda_fails_is_graded_one_by_one(function: LambdaGrader) -> None:
    good, bad = [{"id": "0", "aggregate_reward_score": 1}], {"errorType": "Runtime.ExitError"}
    with Stubber(function.client) as stub:
        answers(stub, bad, "Unhandled")
        answers(stub, good)
        answers(stub, bad, "Unhandled")
        first, second = run(function, 2)
    assert (first.score, first.note) == (1.0, ALONE)
    assert second.problem == "the grader raised Runtime.ExitError"


def test_a_busy_lambda_is_asked_again(function: LambdaGrader, waits: list[float]) -> None:
    with Stubber(function.client) as stub:
        stub.add_client_error("invoke", "TooManyRequestsException", http_status_code=429)
        stub.add_client_error("invoke", "ServiceException", http_status_code=500)
        answers(stub, [{"id": "0", "aggregate_reward_score": 1}])
        assert run(function, 1)[0].score == 1.0
    assert waits == list(WAITS_SECONDS[:2])


@pytest.mark.parametrize(
    ("code", "status", "times", "error", "message"),
    [
        (
            "ResourceNotFoundException",
            404,
            1,
            ConfigError,
            "lambda_arn in .grader. names a function",
        ),
        ("AccessDeniedException", 403, 1, OutsideError, "needs lambda:InvokeFunction"),
        ("KMSDisabledException", 502, 5, TransientError, "KMSDisabledException"),
        ("InvalidParameterValueException", 400, 1, OutsideError, "look for the code"),
        ("TooManyRequestsException", 429, 5, TransientError, "run again"),
        ("ExpiredTokenException", 403, 1, OutsideError, "sign in again"),
    ],
)
def test_what_lambda_refuses_says_what_to_do(
    function: LambdaGrader,
    code: str,
    status: int,
    times: int,
    error: type[SluiceError],
    message: str,
) -> None:
    with Stubber(function.client) as stub:
        for _ in repeat(None, times):
            stub.add_client_error("invoke", code, SECRET, http_status_code=status)
        with pytest.raises(SluiceError, match=message) as failure:
            run(function, 1)
        stub.assert_no_pending_responses()
    assert failure.type is error
    assert SECRET not in str(failure.value)


def test_a_lambda_that_is_not_reached_may_be_reached_later(
    aws: Callable[[str], None],
) -> None:
    aws("http://127.0.0.1:9")
    with pytest.raises(TransientError, match="Lambda grade: EndpointConnectionError"):
        run(LambdaGrader("grade"), 1)
