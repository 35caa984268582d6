"""Target `open_weight`: gpt-oss and Qwen3, through Bedrock's OpenAI-compatible API.

That API knows no idempotency token: each request that it takes makes a job. So our token stands in
the job's `metadata`, the jobs are searched for it first, and of several processes that claim a
release only the first one sends the request, once; the others wait until its job shows.
"""

import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

import boto3
import polars as pl

from bedrock_sluice.flows.recipe.sections import TargetName
from bedrock_sluice.flows.training.targets.base import (
    COMPLETED,
    DIGEST_TAG,
    FAILED,
    IN_PROGRESS,
    RELEASE_TAG,
    STOPPED,
    UNKNOWN,
    Draft,
    JobDraft,
    Place,
    Request,
    job_files,
)
from bedrock_sluice.lake.releases.registry import JobEnd, JobRequest
from bedrock_sluice.transforms.errors import (
    ConfigError,
    IntegrityError,
    OutsideError,
    RefusedError,
    SluiceError,
    TransientError,
)
from bedrock_sluice.transforms.training.metrics import METRICS, read_event

KEY_VARIABLES: Final = ("AWS_BEARER_TOKEN_BEDROCK", "OPENAI_API_KEY")
TOKEN_KEY = "sluice:token"  # noqa: S105 - a name
MAX_METADATA = 16
MAX_KEY_CHARS, MAX_VALUE_CHARS = 64, 512
NOT_FOUND = 404  # HTTP
PAGE_JOBS = 100
PAGE_EVENTS, MAX_EVENTS = 100, 20_000  # of a job; the newest
PAGE_CHECKPOINTS, MAX_CHECKPOINTS = 100, 1_000
TIMEOUT_SECONDS = 60.0
WAIT_SECONDS, WAITS = 2.0, 15  # for the job of another process that claimed the release first

_GRADER = re.compile(
    r"arn:aws[a-z-]*:lambda:[a-z]{2}(-gov)?-[a-z]+-\d:\d{12}:function:[\w.-]+(:[\w$-]+)?", re.ASCII
)
_URL = re.compile(r"https://[^\s/]+(/\S*)?|http://(127\.0\.0\.1|localhost)(:\d+)?(/\S*)?")
_HYPER_PARAMETERS: dict[str, tuple[type, ...]] = {
    "n_epochs": (int,),
    "batch_size": (int,),
    "learning_rate_multiplier": (int, float),
}
_UNSURE_CODES = frozenset({408, 409})  # there may be a job
_STATUSES = {"succeeded": COMPLETED, "failed": FAILED, "cancelled": STOPPED}
_NO_GRADER = "the recipe has no [grader] lambda_arn; add the ARN of the deployed grader"


@dataclass(frozen=True, slots=True)
class OpenAiClient:
    """A client of openai, and where it sends its requests."""

    api: Any
    where: Place


class OpenWeightTarget:
    """See the module."""

    name: TargetName = "open_weight"

    def draft(self, job: JobDraft) -> Draft:
        """See `Target.draft`; files stand in it by name, and get their ids when they are uploaded.

        The API has no model of its requests in botocore: the rules are those of its pages.
        """
        train = job.train
        arn = job.recipe.grader.lambda_arn if job.recipe.grader else None
        reinforcement: Request = {"grader": {"type": "lambda", "lambda": {"function": arn}}}
        if train.hyper_parameters:
            reinforcement["hyperparameters"] = dict(train.hyper_parameters)
        names = _file_names(job)
        request: Request = {
            "model": train.model.rpartition("/")[2],
            "training_file": names[0],
            **({"validation_file": names[1]} if len(names) > 1 else {}),
            "metadata": job.tags | {TOKEN_KEY: job.token},
            "method": {"type": "reinforcement", "reinforcement": reinforcement},
        }
        return Draft(request, [*_faults(job, arn, request)])

    def connect(self, place: Place) -> OpenAiClient:
        """See `Target.connect`; needs the extra `openai`, and a key of Bedrock in the environment.

        Raises:
            OutsideError: there is no key, or no Region.
        """
        import openai  # noqa: PLC0415 - an extra, and slow

        key = next(filter(None, map(os.environ.get, KEY_VARIABLES)), None)
        if key is None:
            raise OutsideError(
                "no API key of Bedrock was found; create one, and set AWS_BEARER_TOKEN_BEDROCK"
            )
        region = place.region or boto3.session.Session().region_name
        if region is None and not place.endpoint:
            raise OutsideError("no Region is set; set region in [train], or AWS_DEFAULT_REGION")
        url = place.endpoint or f"https://bedrock-mantle.{region}.api.aws/v1"
        # A request that makes a job is sent once: sent again by the library, it could make two.
        api = openai.OpenAI(api_key=key, base_url=url, max_retries=0, timeout=TIMEOUT_SECONDS)
        return OpenAiClient(api, Place(region or "", place.endpoint))

    def place(self, client: OpenAiClient) -> Place:
        """See `Target.place`."""
        return client.where

    def upload(self, job: JobDraft, client: OpenAiClient) -> Mapping[str, str]:
        """See `Target.upload`: ids by the names that the request has for them."""
        ids = dict[str, str]()
        sources = job_files(job.release, job.train)
        for source, name in zip(sources, _file_names(job), strict=True):
            with job.release.file(source).open("rb") as file, explain_openai(job.name):
                created_file = client.api.files.create(file=(name, file), purpose="fine-tune")
                stored_file = client.api.files.retrieve(created_file.id)
            if stored_file.bytes != job.release.manifest.files[source].bytes:
                raise IntegrityError(
                    "was not stored as it was sent", place=stored_file.id, hint="run again"
                )
            ids[name] = stored_file.id
        return ids

    def submit(
        self, client: OpenAiClient, record: JobRequest, files: Mapping[str, str], *, is_first: bool
    ) -> str:
        """See `Target.submit`.

        Raises:
            RefusedError: another process claimed the release first, and its job does not show.
        """
        token = record.request["metadata"][TOKEN_KEY]
        if job := self._find(client, token, waits=0 if is_first else WAITS):
            return str(job.id)
        if not is_first:
            raise RefusedError(
                "another process asked for this job, and no job shows. If that process still runs, "
                f"wait. If it was stopped, run `sluice status RECIPE --never-started "
                f"{record.release.rpartition('/')[2]}`, and train again"
            )
        request = {key: files.get(each, each) if isinstance(each, str) else each
                   for key, each in record.request.items()}  # fmt: skip
        method = {"method": request.pop("method")}  # a grader that the library does not know
        with explain_openai(record.job):
            try:
                return str(client.api.fine_tuning.jobs.create(**request, extra_body=method).id)
            except Exception as error:
                if self.made_nothing(error):
                    raise
                if job := self._find(client, token):  # the answer was lost, the job was made
                    return str(job.id)
                raise

    def status(self, client: OpenAiClient, record: JobRequest, job_id: str | None) -> JobEnd:
        """See `Target.status`."""
        token = record.request["metadata"][TOKEN_KEY]
        job = self._get(client, job_id) if job_id else self._find(client, token)
        if job is None:
            return JobEnd(UNKNOWN)
        status = _STATUSES.get(job.status, IN_PROGRESS)
        model = job.fine_tuned_model if status == COMPLETED else None
        return JobEnd(status, job.id, model, _failure(job) if status == FAILED else None)

    def stop(self, client: OpenAiClient, record: JobRequest, job_id: str | None) -> None:
        """See `Target.stop`."""
        identifier = job_id or self.status(client, record, None).job_arn
        if identifier is None:
            raise ConfigError(f"job {record.job}: the service has no such job")
        with explain_openai(record.job):
            client.api.fine_tuning.jobs.cancel(identifier)

    def metrics(
        self,
        client: OpenAiClient,
        record: JobRequest,
        job_id: str,
    ) -> pl.DataFrame | None:
        """See `Target.metrics`: the events of the job that are metrics."""
        tables = [METRICS.to_frame()]
        with explain_openai(record.job):
            events = client.api.fine_tuning.jobs.list_events(job_id, limit=PAGE_EVENTS)
            for event in islice(events, MAX_EVENTS):
                if event.type == "metrics" and isinstance(event.data, dict):
                    tables.append(read_event(event.data))
        # The newest come first.
        return pl.concat(tables).unique(["side", "step", "metric"], keep="first")

    def checkpoints(self, client: OpenAiClient, job_id: str) -> dict[int, str]:
        """Return the models that a job kept on the way, by step; each can be called.

        Raises:
            OutsideError, TransientError: The service refused, or was not reached.
        """
        with explain_openai(job_id):
            jobs = client.api.fine_tuning.jobs
            pages = jobs.checkpoints.list(job_id, limit=PAGE_CHECKPOINTS)
            checkpoints = list(islice(pages, MAX_CHECKPOINTS))
        return {each.step_number: each.fine_tuned_model_checkpoint for each in checkpoints}

    def made_nothing(self, error: BaseException | None) -> bool:
        """See `Target.made_nothing`: the request was at fault, or never left this machine."""
        code = getattr(error, "status_code", None)
        if isinstance(code, int):
            return 400 <= code < 500 and code not in _UNSURE_CODES
        return type(getattr(error, "__cause__", None)).__name__ == "ConnectError"

    def _get(self, client: OpenAiClient, job_id: str) -> Any:
        """A job; None if there is none of that id."""
        with explain_openai(job_id):
            try:
                return client.api.fine_tuning.jobs.retrieve(job_id)
            except Exception as error:
                if getattr(error, "status_code", None) == NOT_FOUND:
                    return None
                raise

    def _find(self, client: OpenAiClient, token: str, waits: int = 0) -> Any:
        """The job with our token in its metadata; None if none shows after so many waits."""
        for wait in range(waits + 1):
            if wait:
                time.sleep(WAIT_SECONDS)
            with explain_openai("the list of jobs"):
                for job in client.api.fine_tuning.jobs.list(limit=PAGE_JOBS):
                    if (job.metadata or {}).get(TOKEN_KEY) == token:
                        return job
        return None


def _failure(job: Any) -> str | None:
    """Why a job failed: the code and the message of its error."""
    texts = [getattr(job.error, name, None) for name in ("code", "message")]
    return ": ".join(filter(None, texts)) or None


def _file_names(job: JobDraft) -> list[str]:
    return [f"{job.name}-{name}" for name in job_files(job.release, job.train)]


def _faults(job: JobDraft, arn: str | None, request: Request) -> Iterator[str]:
    train = job.train
    if arn is None:
        yield _NO_GRADER
    elif not _GRADER.fullmatch(arn):
        yield "method.reinforcement.grader.lambda.function: must be the ARN of a Lambda function"
    for name, value in train.hyper_parameters.items():
        kinds = _HYPER_PARAMETERS.get(name)
        if kinds is None:
            names = ", ".join(_HYPER_PARAMETERS)
            yield f"hyper_parameters.{name}: is not known; known here: {names}"
        elif isinstance(value, str) or not isinstance(value, kinds) or value <= 0:
            yield f"hyper_parameters.{name}: must be a number above 0, and a count a whole one"
    if len(request["metadata"]) > MAX_METADATA:
        yield f"[train] tags: at most {MAX_METADATA - len((RELEASE_TAG, DIGEST_TAG, TOKEN_KEY))}"
    for number, (key, value) in enumerate(train.tags.items()):
        if len(key) > MAX_KEY_CHARS or len(value) > MAX_VALUE_CHARS:
            limits = f"{MAX_KEY_CHARS} and {MAX_VALUE_CHARS} characters"
            yield f"[train] tags, number {number + 1}: key and value have at most {limits}"
    if train.base_url and not _URL.fullmatch(train.base_url):
        yield "[train] base_url: must be an https:// URL, since the API key is sent there"


@contextmanager
def explain_openai(job: str) -> Iterator[None]:
    """Turn openai's errors about a job into ours; theirs may repeat what was sent."""
    import openai  # noqa: PLC0415 - as above

    try:
        yield
    except openai.APIStatusError as error:
        raise _refusal(error.status_code, error.code, job) from None
    except openai.APIConnectionError as error:
        name = type(error.__cause__ or error).__name__
        raise TransientError(f"Bedrock's OpenAI-compatible API: {name}; run again") from None
    except openai.OpenAIError as error:
        raise OutsideError(f"openai: {type(error).__name__}; check the API key") from None


_REMEDIES: dict[int, tuple[Callable[[str], SluiceError], str]] = {
    400: (ConfigError, "see that [train] names a model that this API trains, and that the role of "
          "the API key may call the grader"),
    401: (OutsideError, "the API key is not valid or has expired; create another one, and set "
          "AWS_BEARER_TOKEN_BEDROCK"),
    403: (OutsideError, "the key's role needs the policy AmazonBedrockMantleFullAccess and "
          "lambda:InvokeFunction"),
    404: (ConfigError, "see that the model of [train] is offered in this Region"),
    409: (OutsideError, "look for a job of this release in the list of fine-tuning jobs"),
    422: (ConfigError, "see that [train] has what this API takes"),
    429: (TransientError, "run again"),
}  # fmt: skip
_QUOTA_CODES = frozenset({"insufficient_quota", "quota_exceeded", "ServiceQuotaExceededException"})


def _refusal(status: int, code: str | None, job: str) -> SluiceError:
    other = (TransientError, "run again") if status >= 500 else _REMEDIES[400]
    kind, hint = _REMEDIES.get(status, other)
    if code in _QUOTA_CODES:
        kind, hint = OutsideError, "wait for other jobs, or ask for more quota"
    return kind(f"Bedrock refused job {job} (HTTP {status}); {hint}")
