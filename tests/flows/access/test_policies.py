"""`sluice iam`: the calls of a whole run are what the policies allow, none missing, none extra."""

import json
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

import boto3
import pytest
from botocore.client import BaseClient
from support.protocols import RunSluice
from support.rft.state import ACCOUNT, ControlPlane
from support.training import LAMBDA, TRAIN

from bedrock_sluice.lake.stores.folder import FolderStore
from bedrock_sluice.lake.stores.lease import KEPT_TERMS
from bedrock_sluice.lake.stores.s3 import S3Store

Json = dict[str, Any]

ACTIONS = {"ListObjectsV2": "ListBucket"}  # where the action is not named as the operation is
CALLER = ("caller-logs", "caller-lake", "caller-train", "caller-deploy", "caller-nightly")


GRADER = """
def lambda_handler(event, context):
    return [{"id": each["id"], "aggregate_reward_score": 1.0} for each in event]
"""


class Need(NamedTuple):
    """An action on a resource, and the prefix of a listing."""

    action: str
    resource: str
    prefix: str = ""


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, Json]]:
    """The calls of boto3 from now on: service, operation, arguments."""
    recorded_calls = list[tuple[str, str, Json]]()
    call = BaseClient._make_api_call  # type: ignore[attr-defined]

    def record(client: Any, operation: str, arguments: Json) -> Any:
        recorded_calls.append((client.meta.service_model.service_name, operation, arguments))
        return call(client, operation, arguments)

    monkeypatch.setattr(BaseClient, "_make_api_call", record)
    return recorded_calls


@pytest.fixture
def on_aws(bucket: str, sums: Path) -> Path:
    """The recipe `sums` with logs, labels, lake and job on AWS."""
    root = S3Store(f"s3://{bucket}")
    for entry in FolderStore(sums.parent / "logs").entries():
        root.put_new(f"in/logs/{entry.key}", sums.parent / "logs" / entry.key)
    for number in range(1, 2 * KEPT_TERMS):
        root.put_new(f"lake/leases/nightly/{number:010}.json", b"a term that ended long ago")
    topic = boto3.client("sns").create_topic(Name="sums")["TopicArn"]
    root.put_new("labels/answers.csv", b"request_id,final_answer\nrequest-1,2\n")
    text = sums.read_text().replace('"lake"', f'"s3://{bucket}/lake"')
    section = TRAIN["nova"] | {"output_uri": f"s3://{bucket}/models", "on_unhealthy": "stop"}
    train = "\n".join(f'{key} = "{value}"' for key, value in section.items())
    sums.write_text(
        text.replace('"logs"', f'"s3://{bucket}/in/logs"')
        + f'[answer]\nfrom = ["labels", "logged"]\nlabels = "s3://{bucket}/labels/answers.csv"\n'
        + f'[grader]\nlambda_arn = "{LAMBDA}"\npython = "grader.py:lambda_handler"\n'
        + f"in_gate = false\n[train]\n{train}\n"
        + f'data_uri = "s3://{bucket}/lines"\njudge_model = "amazon.nova-pro-v1:0"\n'
        + "[split]\nvalidation = 0.27\n"
        + f'[nightly]\npolicy = "ask"\nnotify = "{topic}"\n'
    )
    (sums.parent / "grader.py").write_text(GRADER)
    return sums


def needs_of(service: str, operation: str, arguments: Mapping[str, Any]) -> Iterator[Need]:
    """What IAM asks for a call; those of a job depend on what it is given."""
    match service, operation:
        case "s3", "ListObjectsV2":
            resource = f"arn:aws:s3:::{arguments['Bucket']}"
            yield Need("s3:ListBucket", resource, arguments.get("Prefix", ""))
        case "s3", "DeleteObjects":
            start = f"arn:aws:s3:::{arguments['Bucket']}"
            for each in arguments["Delete"]["Objects"]:
                yield Need("s3:DeleteObject", f"{start}/{each['Key']}")
        case "sns", "Publish":
            yield Need("sns:Publish", arguments["TopicArn"])
        case "s3", _:
            key = f"{arguments['Bucket']}/{arguments['Key']}"
            yield Need(f"s3:{operation}", f"arn:aws:s3:::{key}")
        case "bedrock", "GetFoundationModel":
            model = arguments["modelIdentifier"]
            yield Need(
                f"bedrock:{operation}", f"arn:aws:bedrock:us-east-1::foundation-model/{model}"
            )
        case "bedrock", "CreateCustomModelDeployment":
            yield Need(f"bedrock:{operation}", arguments["modelArn"])
            deployment = f"arn:aws:bedrock:us-east-1:{ACCOUNT}:custom-model-deployment/new"
            yield Need(f"bedrock:{operation}", deployment)
            yield Need("bedrock:TagResource", deployment)
        case "bedrock", "GetCustomModelDeployment":
            yield Need(f"bedrock:{operation}", arguments["customModelDeploymentIdentifier"])
        case "bedrock-runtime", "Converse":
            model = arguments["modelId"]
            base = f"arn:aws:bedrock:us-east-1::foundation-model/{model}"
            yield Need("bedrock:InvokeModel", model if model.startswith("arn:") else base)
        case "bedrock", _:
            start = f"arn:aws:bedrock:us-east-1:{ACCOUNT}"
            yield Need(f"bedrock:{operation}", f"{start}:model-customization-job/new")
            if "jobTags" in arguments:
                yield Need("bedrock:TagResource", f"{start}:model-customization-job/new")
            if "baseModelIdentifier" in arguments:
                model = arguments["baseModelIdentifier"]
                base = f"arn:aws:bedrock:us-east-1::foundation-model/{model}"
                yield Need(f"bedrock:{operation}", base)
                yield Need(f"bedrock:{operation}", f"{start}:custom-model/new")
                yield Need("bedrock:TagResource", f"{start}:custom-model/new")
            if "roleArn" in arguments:
                yield Need("iam:PassRole", arguments["roleArn"])
        case _:
            raise AssertionError((service, operation))


def allows(statement: Json, need: Need) -> bool:
    """Whether a statement allows it."""
    prefixes = statement.get("Condition", {}).get("StringLike", {}).get("s3:prefix", "*")
    return (
        need.action in statement["Action"]
        and any(fnmatchcase(need.resource, pattern) for pattern in statement["Resource"])
        and (need.action != "s3:ListBucket" or fnmatchcase(need.prefix, prefixes))
    )


def test_the_calls_of_a_whole_run_are_what_the_policies_allow(
    on_aws: Path,
    sluice: RunSluice,
    control_plane: ControlPlane,
    calls: list[Any],
    bucket: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("bedrock_sluice.flows.training.watch.time.sleep", lambda _: None)
    policies = json.loads(sluice("iam", on_aws).out)
    assert not calls
    assert sluice("pull", on_aws).code == 0
    assert json.loads(sluice("nightly", on_aws.parent, "--json").out)["action"].endswith("sent")
    build = sluice("build", on_aws)
    assert build.code == 0, build.err
    release = build.out.strip()
    assert sluice("approve", release, "--by", "Dana").code == 0
    assert sluice("train", release, "--recipe", on_aws).code == 0
    (job,) = control_plane.jobs
    name = f"models/model-customization-job-{job.id}/training_artifacts/metrics.csv"
    number = len(calls)
    rows = "".join(f"{step},{float(step < 20)}\n" for step in range(40))
    S3Store(f"s3://{bucket}").put_new(name, f"step,reward\n{rows}".encode())
    del calls[number:]  # what the job itself writes
    watch = sluice("jobs", "watch", on_aws)
    assert (watch.code, "is unhealthy (collapse" in watch.err) == (1, True)
    assert control_plane.count("StopModelCustomizationJob") == 1
    assert sluice("train", release, "--recipe", on_aws).code == 0  # another attempt
    control_plane.end()
    assert "Completed" in sluice("status", on_aws).err
    monkeypatch.setattr("bedrock_sluice.flows.training.proof.deploy.time.sleep", lambda _: None)
    deployment = sluice("deploy", release, "--recipe", on_aws)
    assert deployment.code == 0, deployment.err
    job_name, answers = control_plane.jobs[-1].name, on_aws.with_name("answers")
    options = ("--recipe", on_aws, "--job", job_name, "--answers", answers)
    compare = sluice("compare", release, *options)
    assert compare.code == 0, compare.err
    statements = [each for name in CALLER for each in policies[name]["Statement"]]
    needs = {need for call in calls for need in needs_of(*call)}
    assert [n for n in needs if not any(allows(each, n) for each in statements)] == []
    extra = [
        (action, resource)
        for each in statements
        for action in each["Action"]
        for resource in each["Resource"]
        if not any(allows(each | {"Resource": [resource]}, n) for n in needs if n.action == action)
    ]
    assert extra == []
