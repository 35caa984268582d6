"""The control planes that run RFT jobs, over real HTTP: Bedrock, SageMaker, OpenAI-compatible.

    def test_…(control_plane: ControlPlane) -> None:
        control_plane.fail_next("CreateModelCustomizationJob", "ThrottlingException", 429)
        …                               # any client of boto3 or openai reaches it
        control_plane.end("Completed")  # the jobs that run

Requests are checked as AWS checks them: lengths, patterns, enums and ranges too, which boto3 leaves
to the service. Lines are read from moto's S3, and a job over too few of them fails.
"""

import json
import re
from collections.abc import Callable, Iterator
from datetime import datetime
from threading import Thread
from typing import Any
from urllib.parse import unquote

import pytest
from werkzeug.serving import make_server
from werkzeug.wrappers import Request, Response

from support.rft import bedrock, openai_api, runtime, sagemaker
from support.rft.state import API_KEY, Call, ControlPlane, Fault, Json

JSON = "application/json"
CREATE_JOB = ("CreateModelCustomizationJob", "CreateTrainingJob", "CreateFineTuningJob")

Handler = Callable[[ControlPlane, str, Json], tuple[Json, int]]

JOBS, DEPLOYMENTS = "/model-customization-jobs", "/model-customization/custom-model-deployments"
TUNINGS = "/v1/fine_tuning/jobs"
ROUTES: dict[tuple[str, str], tuple[str, Handler]] = {
    ("POST", JOBS): ("CreateModelCustomizationJob", bedrock.create_job),
    ("GET", JOBS): ("ListModelCustomizationJobs", bedrock.list_jobs),
    ("GET", f"{JOBS}/(?P<jobIdentifier>.+)"): ("GetModelCustomizationJob", bedrock.get_job),
    ("POST", f"{JOBS}/(?P<jobIdentifier>.+)/stop"): ("StopModelCustomizationJob", bedrock.stop_job),
    ("GET", "/foundation-models/(?P<modelIdentifier>.+)"): (
        "GetFoundationModel",
        bedrock.get_model,
    ),
    ("GET", "/foundation-model-availability/(?P<modelId>.+)"): (
        "GetFoundationModelAvailability",
        bedrock.get_availability,
    ),
    ("GET", "/logging/modelinvocations"): (
        "GetModelInvocationLoggingConfiguration",
        bedrock.get_logging,
    ),
    ("GET", "/data-retention"): ("GetAccountDataRetention", bedrock.get_retention),
    ("POST", DEPLOYMENTS): ("CreateCustomModelDeployment", bedrock.create_deployment),
    ("GET", f"{DEPLOYMENTS}/(?P<customModelDeploymentIdentifier>.+)"): (
        "GetCustomModelDeployment",
        bedrock.get_deployment,
    ),
    ("POST", "/model/(?P<modelId>.+)/converse"): ("Converse", runtime.converse),
    ("POST", "/v1/files"): ("UploadFile", openai_api.upload_file),
    ("GET", "/v1/files/(?P<id>[^/]+)"): ("GetFile", openai_api.get_file),
    ("POST", TUNINGS): ("CreateFineTuningJob", openai_api.create_job),
    ("GET", TUNINGS): ("ListFineTuningJobs", openai_api.list_jobs),
    ("GET", f"{TUNINGS}/(?P<id>[^/]+)"): ("GetFineTuningJob", openai_api.get_job),
    ("GET", f"{TUNINGS}/(?P<id>[^/]+)/events"): ("ListFineTuningEvents", openai_api.list_events),
    ("GET", f"{TUNINGS}/(?P<id>[^/]+)/checkpoints"): (
        "ListFineTuningCheckpoints",
        openai_api.list_checkpoints,
    ),
    ("POST", "/v1/chat/completions"): ("ChatCompletions", openai_api.chat),
    ("POST", f"{TUNINGS}/(?P<id>[^/]+)/cancel"): ("CancelFineTuningJob", openai_api.cancel_job),
}
SAGEMAKER: dict[str, Handler] = {
    "CreateTrainingJob": sagemaker.create_job,
    "DescribeTrainingJob": sagemaker.describe_job,
    "StopTrainingJob": sagemaker.stop_job,
}


@pytest.fixture
def control_plane(
    aws: Callable[[str], None], moto_url: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ControlPlane]:
    """Bedrock, SageMaker and the OpenAI-compatible API; every other service is moto's."""
    aws(moto_url)
    plane = ControlPlane(moto_url)
    server = make_server("127.0.0.1", 0, _Application(plane), threaded=True)
    plane.url = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever)
    thread.start()
    for service in ("BEDROCK", "BEDROCK_RUNTIME", "SAGEMAKER"):
        monkeypatch.setenv(f"AWS_ENDPOINT_URL_{service}", plane.url)
    monkeypatch.delenv("AWS_BEARER_TOKEN_BEDROCK", raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", API_KEY)
    yield plane
    server.shutdown()
    thread.join()
    server.server_close()


class _Application:
    """The WSGI application."""

    def __init__(self, plane: ControlPlane) -> None:
        self._plane = plane

    def __call__(self, environ: Any, start_response: Any) -> Any:
        with Request(environ) as request:  # closes the files of a form
            operation, handler, values = _find(request)
            try:
                response = self._answer(request, operation, handler, values)
            except Fault as fault:
                response = _error(request, fault)
            return response(environ, start_response)

    def _answer(self, request: Request, operation: str, handler: Handler, values: Json) -> Response:
        plane, region, body = self._plane, _region(request), _body(request) | values
        plane.record(Call(operation, region, body))
        if operation in CREATE_JOB and plane.before_create:
            hook, plane.before_create = plane.before_create, None
            hook()
        with plane.lock:
            answer, status = handler(plane, region, body)
            if operation in CREATE_JOB and plane.lose_answers:
                plane.lose_answers -= 1
                raise Fault("InternalServerException", 500)
        return Response(json.dumps(answer, default=_as_time), status, mimetype=JSON)


def _find(request: Request) -> tuple[str, Handler, Json]:
    """The operation of a request, its handler, and what the path holds."""
    if target := request.headers.get("X-Amz-Target"):
        operation = target.partition(".")[2]
        return operation, SAGEMAKER[operation], {}
    for (method, pattern), (operation, handler) in reversed(ROUTES.items()):
        match = re.fullmatch(pattern, unquote(request.path))
        if match and method == request.method:
            return operation, handler, match.groupdict()
    raise AssertionError(f"no route for {request.method} {request.path}")


def _region(request: Request) -> str:
    """The Region that signed the request; the API key of the OpenAI-compatible API has none."""
    signature = request.headers.get("Authorization", "")
    match = re.search(r"Credential=[^/]+/\d+/([a-z0-9-]+)/", signature)
    if request.path.startswith("/v1/") and signature != f"Bearer {API_KEY}":
        raise Fault("invalid_api_key", 401)
    return match[1] if match else "us-west-2"


def _body(request: Request) -> Json:
    if request.mimetype == "multipart/form-data":
        file = request.files["file"]
        return {
            "filename": file.filename,
            "content": file.read().decode(),
            "purpose": request.form["purpose"],
        }
    body: Json = json.loads(request.get_data() or b"{}")
    return body | request.args.to_dict()


def _error(request: Request, fault: Fault) -> Response:
    """An error as each protocol has it: REST-JSON, JSON 1.1, and OpenAI's."""
    if request.path.startswith("/v1/"):
        body: Json = {"error": {"message": fault.message, "code": fault.code, "type": fault.code}}
    else:
        body = {"__type": fault.code, "message": fault.message}
    headers = {"x-amzn-errortype": fault.code, "x-amzn-requestid": "test-request"}
    return Response(json.dumps(body), fault.status, headers, mimetype=JSON)


def _as_time(value: object) -> object:
    """Times of REST-JSON are ISO 8601; those of JSON 1.1, which botocore reads too, numbers."""
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(type(value))
