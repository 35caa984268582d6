"""SageMaker: serverless training jobs."""

from support.rft.state import ACCOUNT, ControlPlane, FakeJob, Fault, Json
from support.rft.validation import validate


def create_job(plane: ControlPlane, region: str, body: Json) -> tuple[Json, int]:
    """One job for a name."""
    validate("sagemaker", "CreateTrainingJob", body)
    name = body["TrainingJobName"]
    if any(job.name == name for job in plane.jobs if job.service == "sagemaker"):
        raise Fault("ResourceInUse", 400)
    if plane.missing & {body["RoleArn"], body["ServerlessJobConfig"].get("EvaluatorArn")}:
        raise Fault("ValidationException", 400)
    channels = body["InputDataConfig"]
    uris = {each["ChannelName"]: each["DataSource"]["S3DataSource"]["S3Uri"] for each in channels}
    arn = f"arn:aws:sagemaker:{region}:{ACCOUNT}:training-job/{name}"
    job = FakeJob("sagemaker", region, name, str(len(plane.jobs)), arn, body)
    job.will_fail = plane.lines_fault(uris)
    plane.jobs.append(job)
    return {"TrainingJobArn": arn}, 200


def describe_job(plane: ControlPlane, _: str, body: Json) -> tuple[Json, int]:
    """A job, by its name."""
    missing = Fault("ValidationException", 400, "Requested resource not found.")
    job = plane.find_job("sagemaker", body["TrainingJobName"], missing)
    names = ("TrainingJobName", "RoleArn", "InputDataConfig", "ServerlessJobConfig")
    answer = {name: job.request[name] for name in (*names, "OutputDataConfig")}
    answer |= {
        "TrainingJobArn": job.arn,
        "TrainingJobStatus": job.status,
        "SecondaryStatus": "Training" if job.status == "InProgress" else job.status,
        "CreationTime": job.started_at,
        "StoppingCondition": {},
    }
    further = {"OutputModelPackageArn": job.model, "FailureReason": job.message}
    return answer | {name: value for name, value in further.items() if value}, 200


def stop_job(plane: ControlPlane, _: str, body: Json) -> tuple[Json, int]:
    """Stop a job."""
    job = plane.find_job("sagemaker", body["TrainingJobName"], Fault("ResourceNotFound"))
    job.status = "Stopped"
    return {}, 200
