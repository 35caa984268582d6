"""Profiles beyond one line of Bedrock: their names, keys of all lines or none, and SageMaker."""

import json
from typing import Any

import pytest

from bedrock_sluice.rewards.conformance.check import Report, check_lines
from bedrock_sluice.rewards.profiles import profile_named, profiles
from bedrock_sluice.transforms.errors import ConfigError

Json = dict[str, Any]

AWS = ("nova-docs", "open-weight-docs", "forge-sdk", "nova-samples")
USER = {"role": "user", "content": "What is 6 x 12? Answer after ####."}
SAID = {"role": "assistant", "content": "72"}
PARAMETERS = {"type": "object", "properties": {}}
TOOL = {
    "type": "function",
    "function": {"name": "times", "description": "Multiplies.", "parameters": PARAMETERS},
}
VERL: Json = {"prompt": [USER], "reward_model": {"ground_truth": "72", "style": "rule"}}


def line(*messages: object, **fields: object) -> Json:
    base = {"id": "a", "messages": list(messages) or [USER], "reference_answer": {"a": "72"}}
    return {**base, **fields}


def verl(**changes: object) -> Json:
    return {**VERL, **changes}


def judge(*lines: Json, names: list[str]) -> Report:
    raw = [json.dumps(each).encode() + b"\n" for each in lines]
    return check_lines(raw, [profile_named(name) for name in names])


def is_broken(one: Json, name: str) -> dict[str, str]:
    report = judge(one, names=[name])
    findings = (*report.findings, *report.verdict(name).findings)
    severities: dict[str, str] = {each.rule.partition("/")[2]: each.severity for each in findings}
    severities.pop("too-few-lines", None)
    return severities


@pytest.mark.parametrize(
    ("one", "name", "rules"),
    [
        (VERL, "sagemaker-rlvr", {}),
        ({**VERL, "id": "a", "ability": "math", "extra_info": {}, "more": 1}, "sagemaker-rlvr", {}),
        (line(), "sagemaker-rlvr-nova", {}),
        (verl(), "sagemaker-rlvr-nova", {"prompt-row": "error"}),
        (verl(prompt=[]), "sagemaker-rlvr", {"prompt": "error"}),
        (verl(prompt=[{"role": "user"}]), "sagemaker-rlvr", {"prompt": "error"}),
        (verl(prompt="6 x 12?"), "sagemaker-rlvr", {"prompt-text": "warning"}),
        (verl(id=7), "sagemaker-rlvr", {"field-types": "error"}),
        (verl(extra_info="x"), "sagemaker-rlvr", {"field-types": "error"}),
        (verl(extra_info={"answer": 72}), "sagemaker-rlvr", {"extra-answer": "error"}),
        (verl(reward_model={"style": "rule"}), "sagemaker-rlvr", {"ground-truth": "error"}),
        (verl(reward_model={"ground_truth": "72"}), "sagemaker-rlvr", {"style": "warning"}),
        (
            line(),
            "sagemaker-rlvr",
            {"prompt": "error", "ground-truth": "error", "style": "warning"},
        ),
        (line(USER, SAID), "sagemaker-rlvr-nova", {"last-role": "error"}),
    ],
)
def test_lines_for_sagemaker(one: Json, name: str, rules: dict[str, str]) -> None:
    assert is_broken(one, name) == rules


@pytest.mark.parametrize("key", ["tools", "id", "reference_answer"])
def test_forge_takes_a_key_in_all_lines_or_in_none(key: str) -> None:
    whole = line(tools=[TOOL])
    bare = {name: value for name, value in whole.items() if name != key}
    rule = f"forge-sdk/{key}-in-some".replace("_", "-")
    for lines, numbers in (([whole, bare, {**whole, key: None}], (2,)), ([bare, whole], (2,))):
        verdict = judge(*lines, names=["forge-sdk"]).verdict("forge-sdk")
        lines_by_rule = {each.rule: each.lines for each in verdict.findings}
        assert lines_by_rule[rule] == numbers
        assert verdict.passing == len(lines) - 1
    assert rule not in {
        each.rule for each in judge(bare, bare, names=["forge-sdk"]).verdicts[0].findings
    }


def test_profiles_are_known_by_name_platforms_first() -> None:
    assert list(profiles())[:4] == list(AWS)
    graders = {
        "math",
        "math-openweight",
        "qa",
        "qa-text",
        "judge",
        "tool",
        "code",
        "bfcl",
        "codeforces",
    }
    assert graders == {each.name for each in profiles().values() if each.kind == "grader"}


def test_an_unknown_profile_is_told_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match=r"'nova'; choose one of nova-docs, .*tool"):
        profile_named("nova")
