"""`sluice doctor` over real HTTP: the whole list, what is wrong, and what can't be checked."""

import json
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import boto3
import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError
from support.protocols import RunSluice
from support.rft.state import ControlPlane
from support.training import TRAIN

from bedrock_sluice.lake.stores.s3 import S3Store

Json = dict[str, Any]
Diagnose = Callable[[], dict[str, Json]]

ACCOUNT = "123456789012"  # moto's
TRUST = {
    "Effect": "Allow",
    "Principal": {"Service": "bedrock.amazonaws.com"},
    "Action": "sts:AssumeRole",
    "Condition": {"StringEquals": {"aws:SourceAccount": ACCOUNT}},
}
LAMBDA = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:grade"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/rft"


@pytest.fixture
def denials(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Operations that are denied, and `SIMULATE` results: moto has neither."""
    denied_operations = set[str]()
    call = BaseClient._make_api_call  # type: ignore[attr-defined]

    def answer(client: Any, operation: str, arguments: Json) -> Any:
        if operation in denied_operations:
            raise ClientError({"Error": {"Code": "AccessDeniedException"}}, operation)
        if operation == "SimulatePrincipalPolicy":
            return {
                "EvaluationResults": [_simulate(a, denied_operations) for a in _pairs(arguments)]
            }
        return call(client, operation, arguments)

    monkeypatch.setattr(BaseClient, "_make_api_call", answer)
    return denied_operations


def _pairs(arguments: Json) -> list[tuple[str, str]]:
    return [(a, r) for a in arguments["ActionNames"] for r in arguments["ResourceArns"]]


def _simulate(pair: tuple[str, str], denied_operations: set[str]) -> Json:
    decision = "implicitDeny" if pair[0] in denied_operations else "allowed"
    return {"EvalActionName": pair[0], "EvalResourceName": pair[1], "EvalDecision": decision}


@pytest.fixture
def account(control_plane: ControlPlane, bucket: str, sums: Path) -> Iterator[Path]:
    """A recipe over an account in which everything is right."""
    text = sums.read_text().replace('"logs"', f'"s3://{bucket}"')
    for path in (sums.parent / "logs").rglob("*.gz"):
        key = path.relative_to(sums.parent / "logs").as_posix().replace("111122223333", ACCOUNT)
        S3Store(f"s3://{bucket}").put_new(key, path)
    values = TRAIN["nova"] | {"role_arn": ROLE, "data_uri": f"s3://{bucket}/lines"}
    values |= {"output_uri": f"s3://{bucket}/models"}
    train = "\n".join(f'{key} = "{value}"' for key, value in values.items())
    sums.write_text(f'{text}[grader]\nlambda_arn = "{LAMBDA}"\n[train]\n{train}\n')
    control_plane.logging["us-east-1"] = {
        "s3Config": {"bucketName": bucket},
        "textDataDeliveryEnabled": True,
    }
    iam = boto3.client("iam")
    document = json.dumps({"Version": "2012-10-17", "Statement": [TRUST]})
    iam.create_role(RoleName="rft", AssumeRolePolicyDocument=document)
    archive = BytesIO()
    with ZipFile(archive, "w") as file:
        file.writestr("grader.py", "def lambda_handler(event, context): ...")
    boto3.client("lambda").create_function(
        FunctionName="grade",
        Runtime="python3.13",
        Role=ROLE,
        Handler="grader.lambda_handler",
        Code={"ZipFile": archive.getvalue()},
        Timeout=300,
        MemorySize=512,
    )
    yield sums
    boto3.client("lambda").delete_function(FunctionName="grade")  # moto keeps them for the session
    iam.delete_role(RoleName="rft")


@pytest.fixture
def diagnose(account: Path, sluice: RunSluice, denials: set[str]) -> Diagnose:
    """Run `sluice doctor --json`; the diagnoses by check."""

    def run() -> dict[str, Json]:
        return {each["check"]: each for each in json.loads(sluice("doctor", account, "--json").out)}

    return run


def test_an_account_in_which_all_is_right_has_no_finding(
    diagnose: Diagnose, account: Path, sluice: RunSluice
) -> None:
    checks = diagnose()
    assert [c for c in checks.values() if c["ok"] is False or c["needs"]] == []
    assert checks["the grader's Lambda is ready"]["message"] == "timeout 300 s, memory 512 MB"
    assert checks["data retention of Bedrock is known"]["message"] == "us-east-1: default"
    assert checks["invocations are logged to the bucket"]["ok"] is True
    assert sluice("doctor", account).code == 0


def test_every_fault_is_found_in_one_run_with_what_to_run(
    diagnose: Diagnose,
    account: Path,
    bucket: str,
    control_plane: ControlPlane,
    denials: set[str],
    sluice: RunSluice,
) -> None:
    control_plane.logging.clear()
    control_plane.missing.add("amazon.nova-2-lite-v1:0:256k")
    denials.add("lambda:InvokeFunction")
    stranger = TRUST | {"Principal": {"Service": "ec2.amazonaws.com"}}
    document = json.dumps({"Version": "2012-10-17", "Statement": [stranger]})
    boto3.client("iam").update_assume_role_policy(RoleName="rft", PolicyDocument=document)
    function = {"FunctionName": "grade", "Timeout": 3}
    boto3.client("lambda").update_function_configuration(**function)
    kms = boto3.client("kms")
    key = kms.create_key()["KeyMetadata"]["Arn"]
    kms.disable_key(KeyId=key.rpartition("/")[2])
    boto3.client("s3").put_bucket_encryption(
        Bucket=bucket,
        ServerSideEncryptionConfiguration={
            "Rules": [
                {
                    "ApplyServerSideEncryptionByDefault": {
                        "SSEAlgorithm": "aws:kms",
                        "KMSMasterKeyID": key,
                    }
                }
            ]
        },
    )
    faults = {name: c for name, c in diagnose().items() if c["ok"] is False}
    commands = {
        "KMS keys can be used": f"aws kms enable-key --key-id {key}",
        "invocations are logged to the bucket": "aws bedrock put-model-invocation-logging-conf",
        "the job's role trusts the service": "sluice iam RECIPE --for train",
        "the job's role has its permissions": "sluice iam RECIPE --for train",
        "the model is open to the account": None,
        "the grader's Lambda is ready": "aws lambda update-function-configuration",
    }
    assert faults.keys() == commands.keys()
    for name, command in commands.items():
        assert (faults[name]["run"] or "").startswith(command or ""), name
    assert "lambda:InvokeFunction on " in faults["the job's role has its permissions"]["message"]
    result = sluice("doctor", account)
    assert result.code == 1
    assert "  run: aws kms enable-key" in result.err


def test_what_the_caller_may_not_check_is_no_failure(
    diagnose: Diagnose, account: Path, denials: set[str], sluice: RunSluice
) -> None:
    operations = {
        "GetRole": "iam:GetRole",
        "SimulatePrincipalPolicy": "iam:SimulatePrincipalPolicy",
        "GetBucketEncryption": "s3:GetEncryptionConfiguration",
        "GetModelInvocationLoggingConfiguration": "bedrock:GetModelInvocationLoggingConfiguration",
        "GetAccountDataRetention": "bedrock:GetAccountDataRetention",
        "GetFoundationModel": "bedrock:GetFoundationModel",
        "GetFunctionConfiguration": "lambda:GetFunctionConfiguration",
    }
    denials.update(operations)
    checks = diagnose()
    assert {c["needs"] for c in checks.values()} - {None} == set(operations.values())
    assert False not in {c["ok"] for c in checks.values()}
    result = sluice("doctor", account)
    assert result.code == 0
    assert (
        "? the job's role trusts the service: could not be checked: needs iam:GetRole" in result.err
    )
