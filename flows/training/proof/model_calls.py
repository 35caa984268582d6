"""Answers of models to the validation lines, by calling them, through `Converse` unless told how.

Each answer is appended to a file as it comes, so nothing is paid twice after a crash but the calls
that were under way. Requires: `bedrock:InvokeModel` on the model.
"""

import fcntl
import os
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple

import msgspec
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from bedrock_sluice.flows.training.proof.compare import read_lines
from bedrock_sluice.flows.training.proof.responses import ModelResponse
from bedrock_sluice.lake.aws import Remedy, make_client, refusal_error, unreachable_error
from bedrock_sluice.lake.releases.release import Release
from bedrock_sluice.transforms.chat.converse_request import converse_arguments, read_answer
from bedrock_sluice.transforms.errors import (
    ConfigError,
    OutsideError,
    SluiceError,
    TransientError,
)

SERVICE: Final = "bedrock-runtime"
CONCURRENT_CALLS = 8  # of one model
ATTEMPTS_PER_CALL = 8
READ_TIMEOUT_SECONDS = 300
MAX_ANSWER_TOKENS = 2_048
TEMPERATURE = 0.0
METADATA = {"sluice": "compare"}  # in the logs: by it, these calls are kept out of datasets

_ARN = re.compile(r"arn:[^:]+:bedrock:(?P<region>[a-z0-9-]*):\d*:(?P<kind>[a-z-]+)/.+")
_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,62}", re.ASCII)

Progress = Callable[[int, int], None]
Line = dict[str, Any]
CallLine = Callable[[Mapping[str, Any]], ModelResponse]
"""Have a model answer one line."""


class CallOptions(NamedTuple):
    """Where answers are kept, in which Region models are called, and how long an answer may be."""

    folder: Path
    region: str | None = None  # of models that no ARN places
    max_tokens: int = MAX_ANSWER_TOKENS


class AnswerFile(NamedTuple):
    """The answers of one model: their file, and what was paid for now."""

    path: Path
    calls: int
    input_tokens: int
    output_tokens: int


def answer_lines(  # noqa: PLR0913, PLR0917 - what to call, and how
    release: Release,
    name: str,
    model: str,
    options: CallOptions,
    report_progress: Progress | None = None,
    call: CallLine | None = None,
) -> AnswerFile:
    """Have a model answer the validation lines that its file has no answer to yet.

    The file is `<folder>/<release id>/<name>.jsonl`, a response file of `sluice compare`. Models
    are called through `Converse`, or by `call`.

    Raises:
        ConfigError: The model cannot be called, or the file has answers of another one.
        OutsideError, TransientError: Bedrock refused or was not reached; the answers so far stay.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(f"--model {name}=…: a name has letters, digits, - _ . and no spaces")
    if call is None:
        client = connect_runtime(model, options.region)
        call = partial(call_model, client, model, max_tokens=options.max_tokens)
    lines = read_lines(release)
    path = options.folder / release.id / f"{name}.jsonl"
    with _open_answers(path) as file:
        answered_ids = _read_ids(file, path, model)
        missing = [line for line in lines if str(line["id"]) not in answered_ids]
        number, tokens = len(lines) - len(missing), [0, 0]
        for response in _call_all(call, missing):
            file.write(msgspec.json.encode(response) + b"\n")
            file.flush()
            tokens[0] += response.input_tokens or 0
            tokens[1] += response.output_tokens or 0
            number += 1
            if report_progress:
                report_progress(number, len(lines))
    return AnswerFile(path, len(missing), *tokens)


def connect_runtime(model: str, region: str | None = None) -> Any:
    """Make a client that can call a model, in the Region of its ARN if that has one.

    Raises:
        ConfigError: The ARN is not that of something that can be called.
        OutsideError: The settings lack something, such as a Region.
    """
    match = _ARN.fullmatch(model)
    if match and match["kind"] == "custom-model":
        raise ConfigError(
            f"{model} is a custom model, which is called through a deployment; run "
            "`sluice deploy`, and name the ARN that it prints"
        )
    config = Config(
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS_PER_CALL},
        read_timeout=READ_TIMEOUT_SECONDS,
        max_pool_connections=CONCURRENT_CALLS,
    )
    return make_client(SERVICE, (match and match["region"]) or region, config)


def call_model(
    client: Any, model: str, line: Mapping[str, Any], max_tokens: int = MAX_ANSWER_TOKENS
) -> ModelResponse:
    """Have a model answer one line.

    Raises:
        ConfigError, OutsideError, TransientError: By what to do; the line is named by its id.
    """
    settings = {"maxTokens": max_tokens, "temperature": TEMPERATURE}
    try:
        response = client.converse(
            modelId=model,
            inferenceConfig=settings,
            requestMetadata=METADATA,
            **converse_arguments(line),
        )
    except ClientError as error:
        message = f"Bedrock refused to call {model} with line {line['id']}"
        raise refusal_error(error, message, _REMEDIES, "look for the code in its pages") from None
    except BotoCoreError as error:
        raise unreachable_error(error, "Bedrock") from None
    usage = response["usage"]
    return ModelResponse(
        id=str(line["id"]),
        response=read_answer(response),
        input_tokens=usage["inputTokens"],
        output_tokens=usage["outputTokens"],
        model=model,
    )


_LATER: Remedy = (TransientError, "run again: lines that are answered are not asked again")
_REMEDIES: dict[str, Remedy] = {
    "AccessDeniedException": (OutsideError, "the caller needs bedrock:InvokeModel on the model"),
    "ResourceNotFoundException": (
        ConfigError,
        "see that the Region has such a model or deployment",
    ),
    "ValidationException": (
        ConfigError,
        "see that the model takes chats (and tools, if the line has some) of this length",
    ),
    "ThrottlingException": _LATER,
    "ModelNotReadyException": _LATER,
    "ModelTimeoutException": _LATER,
    "ModelErrorException": _LATER,
    "ServiceUnavailableException": _LATER,
    "InternalServerException": _LATER,
}


def _call_all(call_line: CallLine, lines: Sequence[Line]) -> Iterator[ModelResponse]:
    """Yield answers as they come. After a failure no call is begun, and those under way count."""
    failure: SluiceError | None = None
    rest, calls = iter(lines), set[Future[ModelResponse]]()
    with ThreadPoolExecutor(CONCURRENT_CALLS) as pool:
        while True:
            if failure is None:
                for line in islice(rest, CONCURRENT_CALLS - len(calls)):
                    calls.add(pool.submit(call_line, line))
            if not calls:
                break
            ended_calls, calls = wait(calls, return_when=FIRST_COMPLETED)
            for call in ended_calls:
                try:
                    yield call.result()
                except SluiceError as error:
                    failure = failure or error
    if failure:
        raise failure


@contextmanager
def _open_answers(path: Path) -> Iterator[BinaryIO]:
    """Open a file of answers to be continued, by one process at a time."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a+b") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ConfigError("another process adds answers to it", place=str(path)) from None
            yield file
            os.fsync(file.fileno())
    except OSError as error:
        raise OutsideError(error.strerror or "cannot be written", place=str(path)) from None


def _read_ids(file: BinaryIO, path: Path, model: str) -> Collection[str]:
    """The ids that have an answer; what a killed process left of a line is cut off.

    Raises:
        ConfigError: An answer is of another model, or the file holds something else.
    """
    file.seek(0)
    content = file.read()
    whole, _, _ = content.rpartition(b"\n")
    file.truncate(len(whole) + 1 if whole else 0)
    ids = set[str]()
    for number, text in enumerate(whole.splitlines(), start=1):
        try:
            response = msgspec.json.decode(text, type=ModelResponse)
        except ValueError:
            raise ConfigError("not an answer of a model", place=f"{path}:{number}") from None
        if response.model != model:
            raise ConfigError(
                f"has answers of {response.model or 'a model that it does not name'}",
                place=str(path),
                hint=f"give {model} another name, or set --answers to another folder",
            )
        ids.add(response.id)
    return ids
