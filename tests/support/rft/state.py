"""What the services know: jobs, files, deployments, and the faults that tests ask for."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from threading import RLock
from typing import Any, NamedTuple

import boto3

Json = dict[str, Any]

ACCOUNT = "111122223333"
API_KEY = "bedrock-api-key-test"
NOVA = "amazon.nova-2-lite-v1:0:256k"
MODELS = {  # and the one Region that trains each
    NOVA: "us-east-1",
    "openai.gpt-oss-20b": "us-west-2",
    "qwen.qwen3-32b": "us-west-2",
}
STARTED = datetime(2026, 11, 2, 12, tzinfo=UTC)
MIN_LINES, MAX_LINES = 100, 20_000
CONTENT = "hidden-content"  # in the message of each fault: no message of ours may repeat it


class Fault(Exception):  # noqa: N818 - an answer, not an error of the tests
    """An answer that is an error."""

    def __init__(self, code: str, status: int = 400, message: str = CONTENT) -> None:
        super().__init__(code)
        self.code, self.status, self.message = code, status, message


class Call(NamedTuple):
    """One request that came."""

    operation: str
    region: str
    body: Json


@dataclass
class FakeJob:
    """One job of one of the three services; `status` is in Bedrock's words."""

    service: str
    region: str
    name: str
    id: str
    arn: str
    request: Json
    token: str | None = None
    status: str = "InProgress"
    message: str = ""
    started_at: datetime = STARTED
    ended_at: datetime | None = None
    will_end_after: int | None = None  # so many times it is found running, then completed
    looks_while_stopping: int = 0  # after the second, it has stopped
    will_fail: str = ""  # why it can only fail, such as too few lines

    @property
    def model(self) -> str | None:
        """The model that it made."""
        if self.status != "Completed":
            return None
        kind = {
            "bedrock": f"arn:aws:bedrock:{self.region}:{ACCOUNT}:custom-model/amazon.nova-2/",
            "sagemaker": f"arn:aws:sagemaker:{self.region}:{ACCOUNT}:model-package/tuned/",
            "openai": "ft:",
        }
        return kind[self.service] + self.id


@dataclass
class ControlPlane:
    """What the services know, and what they were asked."""

    s3_url: str
    url: str = ""
    calls: list[Call] = field(default_factory=list)
    jobs: list[FakeJob] = field(default_factory=list)
    files: dict[str, Json] = field(default_factory=dict)
    deployments: list[Json] = field(default_factory=list)
    events: list[Json] = field(default_factory=list)  # of the OpenAI-compatible jobs, newest first
    checkpoints: list[int] = field(default_factory=list)  # steps of those jobs, newest first
    deploys_as: str = "Active"  # the end of deployments
    lifecycles: dict[str, Json] = field(default_factory=dict)  # by model id; others are active
    logging: dict[str, Json] = field(default_factory=dict)  # configurations by Region
    missing: set[str] = field(default_factory=set)  # ARNs (roles, Lambdas), ids of models
    answer: Callable[[str, str], str] = lambda _model, _question: (
        "#### 0"
    )  # of models that are called
    before_create: Callable[[], None] | None = None  # runs before a job is made, outside the lock
    lose_answers: int = 0  # so many jobs are made, and their answers are lost (500)
    lock: RLock = field(default_factory=RLock)
    _faults: dict[str, list[Fault]] = field(default_factory=dict)

    def fail_next(self, operation: str, code: str, status: int = 400, times: int = 1) -> None:
        """Let the next calls of an operation fail; `*` is any."""
        self._faults.setdefault(operation, []).extend([Fault(code, status)] * times)

    def end(self, status: str = "Completed", message: str = "") -> None:
        """End the jobs that run; one whose lines are invalid fails, whatever is asked for."""
        for job in self.jobs:
            if job.status in ("InProgress", "Stopping"):
                job.status = "Failed" if job.will_fail else status
                job.message = job.will_fail or message
                job.ended_at = STARTED + timedelta(hours=3)

    def record(self, call: Call) -> None:
        """Note a request; raise the fault that was asked for, if there is one."""
        with self.lock:
            self.calls.append(call)
            for name in (call.operation, "*"):
                if queue := self._faults.get(name):
                    raise queue.pop(0)

    def count(self, operation: str) -> int:
        """How often an operation was called."""
        return Counter(call.operation for call in self.calls)[operation]

    def find_job(self, service: str, identifier: str, missing: Fault) -> FakeJob:
        """The job of a name, an id or an ARN."""
        for job in self.jobs:
            if job.service == service and identifier in (job.name, job.id, job.arn):
                return job
        raise missing

    def lines_fault(self, uris: Mapping[str, str]) -> str:
        """What is wrong with the lines: too few or too many; missing files are refused at once."""
        for kind, uri in uris.items():
            bucket, _, key = uri.removeprefix("s3://").partition("/")
            s3 = boto3.client("s3", endpoint_url=self.s3_url)
            try:
                content = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
            except s3.exceptions.ClientError:
                raise Fault("ValidationException", 400, f"{uri} is not there") from None
            finally:
                s3.close()
            lines = content.count(b"\n")
            if kind == "train" and not MIN_LINES <= lines <= MAX_LINES:
                return f"The training data has {lines} lines; 100 to 20000 are needed."
        return ""
