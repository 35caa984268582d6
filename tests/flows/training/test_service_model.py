"""What the service's own model says of a request, before boto3 or the service do."""

from math import inf, nan
from typing import Any

import pytest

from bedrock_sluice.flows.training.service_model import faults

RFT = "customizationConfig.rftConfig"


def request(**changes: object) -> dict[str, Any]:
    """A good request; a change to None leaves a member out."""
    good: dict[str, object] = {
        "jobName": "support-math-0123456789ab",
        "customModelName": "support-math-0123456789ab",
        "roleArn": "arn:aws:iam::111122223333:role/bedrock-rft",
        "baseModelIdentifier": "amazon.nova-2-lite-v1:0:256k",
        "trainingDataConfig": {"s3Uri": "s3://acme-lake/releases/support-math/a/train.jsonl"},
        "outputDataConfig": {"s3Uri": "s3://acme-models/out/"},
    }
    return {name: value for name, value in {**good, **changes}.items() if value is not None}


def rft(**hyper: object) -> dict[str, Any]:
    return request(customizationConfig={"rftConfig": {"hyperParameters": hyper}})


def request_faults(request: dict[str, Any]) -> list[str]:
    return faults("bedrock", "CreateModelCustomizationJob", request)


def logs(**metadata_filter: object) -> dict[str, Any]:
    source = {"invocationLogSource": {"s3Uri": "s3://acme-logs/"}}
    config = {**source, "requestMetadataFilters": metadata_filter}
    return request(trainingDataConfig={"invocationLogsConfig": config})


HYPER = f"{RFT}.hyperParameters"
FILTERS = "trainingDataConfig.invocationLogsConfig.requestMetadataFilters"


@pytest.mark.parametrize(
    "good",
    [
        request(),
        request(jobName="a" * 63, customModelName="a" * 63, jobTags=[], clientRequestToken="a"),
        request(jobTags=({"key": "team", "value": ""},)),
        request(vpcConfig={"subnetIds": ["subnet-1"], "securityGroupIds": ["sg-1"]}),
        rft(batchSize=16, learningRate=1e-7, epochCount=50, reasoningEffort="low"),
        rft(batchSize=512, learningRate=1e-3, maxPromptLength=4096),
        logs(andAll=[{"equals": {"project": "math"}}, {"notEquals": {"env": ""}}]),
    ],
)
def test_a_good_request_has_no_faults(good: dict[str, Any]) -> None:
    assert request_faults(good) == []


@pytest.mark.parametrize(
    ("wrong", "fault"),
    [
        (request(roleArn=None), "roleArn: is missing"),
        (request(outputDataConfig={}), "outputDataConfig.s3Uri: is missing"),
        (request(jobName=""), "jobName: must have 1 to 63 characters"),
        (request(jobName="a" * 64), "jobName: must have 1 to 63 characters"),
        (request(jobName="under_score"), "jobName: must match [a-zA-Z0-9]"),
        (request(customModelName="two--dashes"), "customModelName: must match "),
        (request(jobName="a\n"), "jobName: must match "),
        (request(jobName=7), "jobName: must be a string"),
        (request(jobTags="team"), "jobTags: must be a list"),
        (request(jobTags=[{"key": "a"}]), "jobTags[0].value: is missing"),
        (request(jobTags=[{"key": "é", "value": ""}]), "jobTags[0].key: must match "),
        (request(jobTags=[{"key": "a", "value": ""}] * 201), "jobTags: must have 0 to 200 items"),
        (request(vpcConfig=[]), "vpcConfig: must be an object"),
        (
            request(vpcConfig={"subnetIds": [], "securityGroupIds": ["sg-1"]}),
            "vpcConfig.subnetIds: must have 1 to 16 items",
        ),
        (request(customizationType="RFT"), "customizationType: must be one of FINE_TUNING, "),
        (request(outputDataConfig={"s3Uri": "s3://acme/dt=1/"}), "outputDataConfig.s3Uri: must"),
        (request(outputUri="s3://a"), "outputUri: is not known; known here: jobName, "),
        (request(hyperParameters={"epochs": 1}), "hyperParameters value 0: must be a string"),
        (request(customizationConfig={}), "customizationConfig: must have exactly one of dist"),
        (
            request(customizationConfig={"rftConfig": {}, "distillationConfig": {}}),
            "customizationConfig: must have exactly one of ",
        ),
        (rft(batchSize=15), f"{HYPER}.batchSize: must be 16 to 512"),
        (rft(batchSize=16.0), f"{HYPER}.batchSize: must be a whole number"),
        (rft(epochCount=True), f"{HYPER}.epochCount: must be a whole number"),
        (rft(maxPromptLength=2**31), f"{HYPER}.maxPromptLength: must be a finite number within "),
        (rft(learningRate=0.0011), f"{HYPER}.learningRate: must be 1e-07 to 0.001"),
        (rft(learningRate=0.99e-7), f"{HYPER}.learningRate: must be 1e-07 to 0.001"),
        (rft(learningRate="1e-5"), f"{HYPER}.learningRate: must be a number"),
        (rft(learningRate=nan), f"{HYPER}.learningRate: must be a finite number"),
        (rft(learningRate=-inf), f"{HYPER}.learningRate: must be a finite number"),
        (rft(learningRate=10**400), f"{HYPER}.learningRate: must be "),
        (rft(reasoningEffort="none"), f"{HYPER}.reasoningEffort: must be one of low, medium, high"),
        (rft(epochs=3), f"{HYPER}.epochs: is not known; known here: epochCount, "),
        (logs(equals={"a": "1", "b": "2"}), f"{FILTERS}.equals: must have 1 to 1 entries"),
        (logs(equals={"a,b": "1"}), f"{FILTERS}.equals key 0: must match "),
        (logs(equals={}, orAll=[]), f"{FILTERS}: must have exactly one of equals, "),
    ],
)
def test_a_fault_is_named_by_path_and_rule(wrong: dict[str, Any], fault: str) -> None:
    assert [each for each in request_faults(wrong) if each.startswith(fault)], request_faults(wrong)


def test_all_faults_are_told_at_once() -> None:
    wrong = rft(batchSize=1, epochCount=0) | {"jobName": "", "roleArn": "role"}
    assert [fault.partition(":")[0] for fault in request_faults(wrong)] == [
        "jobName",
        "roleArn",
        f"{HYPER}.batchSize",
        f"{HYPER}.epochCount",
    ]


def test_no_value_is_repeated() -> None:
    wrong = logs(equals={"secret key!": "secret value!"}) | {"roleArn": "secret", "jobName": "s_"}
    assert len(request_faults(wrong)) == 4
    assert "secret" not in " ".join(request_faults(wrong))


def test_a_pattern_that_only_java_reads_is_left_to_the_service() -> None:
    tags = {"Resource": "arn:aws:lambda:us-east-1:111122223333:function:grade", "Tags": {"é": "1"}}
    assert faults("lambda", "TagResource", tags) == []
