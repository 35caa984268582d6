"""Bedrock: customization jobs, models and deployments."""

from datetime import timedelta

from support.rft.state import ACCOUNT, MODELS, STARTED, ControlPlane, FakeJob, Fault, Json
from support.rft.validation import validate

STOPS_AS = "Stopped"  # or "Stopping", for two more looks


def create_job(plane: ControlPlane, region: str, body: Json) -> tuple[Json, int]:
    """One job for a token; a name that is taken is a conflict."""
    validate("bedrock", "CreateModelCustomizationJob", body)
    same_token = [j for j in plane.jobs if j.token and j.token == body.get("clientRequestToken")]
    if same_token:
        return {"jobArn": same_token[0].arn}, 201
    if any(j.name == body["jobName"] for j in plane.jobs if j.service == "bedrock"):
        raise Fault("ConflictException", 400)
    base = body["baseModelIdentifier"].rpartition("/")[2]
    if MODELS.get(base) != region or not base.startswith("amazon."):
        raise Fault("ValidationException", 400, "The provided model identifier is invalid.")
    grader = body["customizationConfig"]["rftConfig"]["graderConfig"]["lambdaGrader"]["lambdaArn"]
    if plane.missing & {body["roleArn"], grader}:
        raise Fault("ValidationException", 400)
    uris = {"train": body["trainingDataConfig"]["s3Uri"]}
    for each in body.get("validationDataConfig", {}).get("validators", ()):
        uris["validation"] = each["s3Uri"]
    number = f"{len(plane.jobs):012d}"
    arn = f"arn:aws:bedrock:{region}:{ACCOUNT}:model-customization-job/amazon.nova-2/{number}"
    job = FakeJob("bedrock", region, body["jobName"], number, arn, body)
    job.token, job.will_fail = body.get("clientRequestToken"), plane.lines_fault(uris)
    plane.jobs.append(job)
    return {"jobArn": arn}, 201


def get_job(plane: ControlPlane, _: str, body: Json) -> tuple[Json, int]:
    """A job, by name or ARN."""
    job = plane.find_job("bedrock", body["jobIdentifier"], Fault("ResourceNotFoundException", 404))
    if job.will_end_after is not None and job.status == "InProgress":
        job.will_end_after -= 1
        if job.will_end_after < 0:
            job.status, job.ended_at = "Completed", STARTED + timedelta(hours=3)
    if job.status == "Stopping":
        job.looks_while_stopping += 1
        if job.looks_while_stopping > 2:
            job.status, job.ended_at = "Stopped", STARTED + timedelta(hours=1)
    names = ("jobName", "roleArn", "trainingDataConfig", "outputDataConfig", "customizationConfig")
    base = job.request["baseModelIdentifier"].rpartition("/")[2]
    answer = {name: job.request[name] for name in names if name in job.request}
    answer |= {
        "jobArn": job.arn,
        "status": job.status,
        "outputModelName": job.request["customModelName"],
        "baseModelArn": f"arn:aws:bedrock:{job.region}::foundation-model/{base}",
        "hyperParameters": {},
        "creationTime": job.started_at,
        "lastModifiedTime": job.ended_at or job.started_at,
        "validationDataConfig": job.request.get("validationDataConfig", {"validators": []}),
        "customizationType": job.request.get("customizationType"),
    }
    further = {"endTime": job.ended_at, "outputModelArn": job.model, "failureMessage": job.message}
    return answer | {name: value for name, value in further.items() if value}, 200


def stop_job(plane: ControlPlane, region: str, body: Json) -> tuple[Json, int]:
    """Stop a job that runs."""
    job = plane.find_job("bedrock", body["jobIdentifier"], Fault("ResourceNotFoundException", 404))
    if job.status != "InProgress":
        raise Fault("ConflictException", 400)
    job.status = STOPS_AS
    if job.status == "Stopped":
        job.ended_at = STARTED + timedelta(hours=1)
    return {}, 200


def list_jobs(plane: ControlPlane, region: str, body: Json) -> tuple[Json, int]:
    """The jobs of a Region, all on one page."""
    jobs = [
        get_job(plane, region, {"jobIdentifier": job.arn})[0]
        for job in plane.jobs
        if job.service == "bedrock"
        and job.region == region
        and body.get("nameContains", "") in job.name
        and body.get("statusEquals", job.status) == job.status
    ]
    names = ("jobArn", "baseModelArn", "jobName", "status", "creationTime")
    return {"modelCustomizationJobSummaries": [{n: job[n] for n in names} for job in jobs]}, 200


def get_model(plane: ControlPlane, region: str, body: Json) -> tuple[Json, int]:
    """A foundation model with its lifecycle."""
    validate("bedrock", "GetFoundationModel", body)
    model = body["modelIdentifier"].rpartition("/")[2]
    if MODELS.get(model, region) != region or model.startswith("unknown."):
        raise Fault("ResourceNotFoundException", 404)
    lifecycle = plane.lifecycles.get(model, {"status": "ACTIVE"})
    arn = f"arn:aws:bedrock:{region}::foundation-model/{model}"
    return {"modelDetails": {"modelArn": arn, "modelId": model, "modelLifecycle": lifecycle}}, 200


def get_availability(plane: ControlPlane, _: str, body: Json) -> tuple[Json, int]:
    """Whether the account has access to a model."""
    has_access = body["modelId"] not in plane.missing
    return {
        "modelId": body["modelId"],
        "agreementAvailability": {"status": "AVAILABLE"},
        "authorizationStatus": "AUTHORIZED" if has_access else "NOT_AUTHORIZED",
        "entitlementAvailability": "AVAILABLE" if has_access else "NOT_AVAILABLE",
        "regionAvailability": "AVAILABLE",
    }, 200


def get_logging(plane: ControlPlane, region: str, _: Json) -> tuple[Json, int]:
    """The logging configuration of a Region; without one, the answer is empty."""
    config = plane.logging.get(region)
    return ({"loggingConfig": config} if config else {}), 200


def get_retention(plane: ControlPlane, _region: str, _: Json) -> tuple[Json, int]:
    """The data retention of the account."""
    return {"mode": "default", "updatedAt": STARTED}, 200


def create_deployment(plane: ControlPlane, region: str, body: Json) -> tuple[Json, int]:
    """One deployment for a token."""
    validate("bedrock", "CreateCustomModelDeployment", body)
    for each in plane.deployments:
        if each["token"] and each["token"] == body.get("clientRequestToken"):
            return {"customModelDeploymentArn": each["arn"]}, 202
    number = f"{len(plane.deployments):012d}"
    arn = f"arn:aws:bedrock:{region}:{ACCOUNT}:custom-model-deployment/{number}"
    deployment = {"arn": arn, "token": body.get("clientRequestToken"), "status": "Creating"}
    plane.deployments.append(deployment | {"request": body})
    return {"customModelDeploymentArn": arn}, 202


def get_deployment(plane: ControlPlane, _: str, body: Json) -> tuple[Json, int]:
    """A deployment; it is as `plane.deploys_as` says once it was asked about."""
    for each in plane.deployments:
        request = each["request"]
        identifiers = (each["arn"], request["modelDeploymentName"])
        if body["customModelDeploymentIdentifier"] in identifiers:
            status, each["status"] = each["status"], plane.deploys_as
            return {
                "customModelDeploymentArn": each["arn"],
                "modelDeploymentName": request["modelDeploymentName"],
                "modelArn": request["modelArn"],
                "createdAt": STARTED,
                "status": status,
            }, 200
    raise Fault("ResourceNotFoundException", 404)
