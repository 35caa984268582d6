"""The OpenAI-compatible API: files and fine-tuning jobs. It knows no idempotency token."""

from datetime import timedelta

from support.rft.state import (
    ACCOUNT,
    CONTENT,
    MAX_LINES,
    MIN_LINES,
    MODELS,
    STARTED,
    ControlPlane,
    FakeJob,
    Fault,
    Json,
)

OPENAI_STATUS = {
    "InProgress": "running",
    "Completed": "succeeded",
    "Failed": "failed",
    "Stopped": "cancelled",
}


def upload_file(plane: ControlPlane, _: str, body: Json) -> tuple[Json, int]:
    """Keep a file."""
    number = f"file-{len(plane.files):024d}"
    content = body["content"].encode()
    plane.files[number] = {
        "id": number,
        "object": "file",
        "bytes": len(content),
        "created_at": int(STARTED.timestamp()),
        "filename": body["filename"],
        "purpose": body["purpose"],
        "status": "processed",
        "content": body["content"],
    }
    return _public_file(plane.files[number]), 200


def _public_file(file: Json) -> Json:
    return {name: value for name, value in file.items() if name != "content"}


def get_file(plane: ControlPlane, _: str, body: Json) -> tuple[Json, int]:
    """The facts of a file."""
    if body["id"] not in plane.files:
        raise Fault("not_found", 404)
    return _public_file(plane.files[body["id"]]), 200


def create_job(plane: ControlPlane, region: str, body: Json) -> tuple[Json, int]:
    """Each request makes a job: there is no token here."""
    method = body.get("method", {})
    grader = method.get("reinforcement", {}).get("grader", {})
    is_known = body.get("model") in MODELS and not body["model"].startswith("amazon.")
    is_whole = {body.get("training_file"), body.get("validation_file", next(iter(plane.files), ""))}
    metadata = body.get("metadata", {})
    if (
        not is_known
        or method.get("type") != "reinforcement"
        or grader.get("type") != "lambda"
        or not grader.get("lambda", {}).get("function", "").startswith("arn:aws:lambda:")
        or grader["lambda"]["function"] in plane.missing
        or not is_whole <= plane.files.keys()
        or len(metadata) > 16
        or any(len(key) > 64 or len(value) > 512 for key, value in metadata.items())
    ):
        raise Fault("invalid_request_error", 400)
    number = f"ftjob-{len(plane.jobs):024d}"
    job = FakeJob("openai", region, number, number, number, body)
    lines = plane.files[body["training_file"]]["content"].count("\n")
    if not MIN_LINES <= lines <= MAX_LINES:
        job.will_fail = f"{lines} lines"
    plane.jobs.append(job)
    return tuning(job), 200


def tuning(job: FakeJob) -> Json:
    """A job in OpenAI's words."""
    failure = {"code": "invalid_file", "message": job.message, "param": None}
    return {
        "id": job.id,
        "object": "fine_tuning.job",
        "created_at": int(job.started_at.timestamp()),
        "finished_at": int(job.ended_at.timestamp()) if job.ended_at else None,
        "error": failure if job.status == "Failed" else None,
        "fine_tuned_model": job.model,
        "hyperparameters": {},
        "organization_id": ACCOUNT,
        "result_files": [],
        "seed": 0,
        "status": OPENAI_STATUS[job.status],
        "trained_tokens": None,
        **{name: job.request.get(name) for name in ("model", "training_file", "validation_file")},
        **{name: job.request.get(name) for name in ("metadata", "method")},
    }


def get_job(plane: ControlPlane, _: str, body: Json) -> tuple[Json, int]:
    """A job, by its id."""
    return tuning(plane.find_job("openai", body["id"], Fault("not_found", 404))), 200


def list_jobs(plane: ControlPlane, _: str, body: Json) -> tuple[Json, int]:
    """A page of jobs, the newest first."""
    jobs = [job for job in reversed(plane.jobs) if job.service == "openai"]
    if after := body.get("after"):
        jobs = jobs[[job.id for job in jobs].index(after) + 1 :]
    limit = int(body.get("limit", 20))
    data = [tuning(job) for job in jobs[:limit]]
    return {"object": "list", "data": data, "has_more": len(jobs) > limit}, 200


def cancel_job(plane: ControlPlane, region: str, body: Json) -> tuple[Json, int]:
    """Cancel a job."""
    job = plane.find_job("openai", body["id"], Fault("not_found", 404))
    job.status, job.ended_at = "Stopped", STARTED + timedelta(hours=1)
    return tuning(job), 200


def list_events(plane: ControlPlane, _: str, body: Json) -> tuple[Json, int]:
    """A page of events, the newest first."""
    plane.find_job("openai", body["id"], Fault("not_found", 404))
    events = [
        {"id": f"event-{n}", "object": "fine_tuning.job.event", "created_at": n, "level": "info"}
        | {"message": CONTENT, "type": "metrics", "data": data}
        for n, data in enumerate(plane.events)
    ]
    if after := body.get("after"):
        events = events[[each["id"] for each in events].index(after) + 1 :]
    limit = int(body.get("limit", 20))
    return {"object": "list", "data": events[:limit], "has_more": len(events) > limit}, 200


def list_checkpoints(plane: ControlPlane, _: str, body: Json) -> tuple[Json, int]:
    """A page of the models that a job kept on the way, the newest first."""
    job = plane.find_job("openai", body["id"], Fault("not_found", 404))
    checkpoints = [
        {"id": f"ftckpt-{step}", "object": "fine_tuning.job.checkpoint", "created_at": step}
        | {"fine_tuned_model_checkpoint": f"{job.model}:step-{step}", "step_number": step}
        | {"fine_tuning_job_id": job.id, "metrics": {"step": step}}
        for step in plane.checkpoints
    ]
    if after := body.get("after"):
        checkpoints = checkpoints[[each["id"] for each in checkpoints].index(after) + 1 :]
    limit = int(body.get("limit", 10))
    has_more = len(checkpoints) > limit
    return {"object": "list", "data": checkpoints[:limit], "has_more": has_more}, 200


def chat(plane: ControlPlane, _: str, body: Json) -> tuple[Json, int]:
    """The answer of `plane.answer` to the last text of the user."""
    job_models = {job.model for job in plane.jobs if job.service == "openai" and job.model}
    if body["model"] not in MODELS and body["model"].partition(":step-")[0] not in job_models:
        raise Fault("model_not_found", 404)
    question = body["messages"][-1]["content"]
    text = plane.answer(body["model"], question)
    tokens = {"prompt_tokens": len(question), "completion_tokens": len(text)}
    message = {"role": "assistant", "content": text, "refusal": None}
    return {
        "id": "chatcmpl-0",
        "object": "chat.completion",
        "created": 0,
        "model": body["model"],
        "choices": [{"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}],
        "usage": tokens | {"total_tokens": sum(tokens.values())},
    }, 200
