"""Checks of what a training job needs: its role, its model and its grader; nothing is changed."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

from bedrock_sluice.flows.access.asking import FaultError, UncheckedError, ask
from bedrock_sluice.flows.access.policies import PRINCIPALS, job_role, make_grant
from bedrock_sluice.flows.access.statements import Statement
from bedrock_sluice.flows.context import BuildContext
from bedrock_sluice.flows.recipe.sections import TrainSection
from bedrock_sluice.flows.training.lifecycle import check_models, has_lifecycle
from bedrock_sluice.flows.training.targets.choice import choose_target, region_fault
from bedrock_sluice.lake.aws import make_client

_READY, _ALLOWED = "Active", "allowed"
_POLICIES = "sluice iam RECIPE --for train"  # prints what the role needs


def check_trust(context: BuildContext) -> str | None:
    """See that the service may assume the role of the job; None if the job has no role.

    Raises:
        FaultError: it may not, or there is no such role.
    """
    train = context.recipe.train
    if train is None or not train.role_arn:
        return None
    answer = ask("iam", "GetRole", RoleName=_role_name(train.role_arn))
    if answer is None:
        raise FaultError(f"there is no role {train.role_arn}; create it", _POLICIES)
    statements = _as_list(answer["Role"]["AssumeRolePolicyDocument"].get("Statement"))
    service = PRINCIPALS.get(choose_target(train).name, "")
    trusts = [each for each in statements if _trusts(each, service)]
    if not trusts:
        raise FaultError(f"{train.role_arn} does not trust {service}", _POLICIES)
    if not any("aws:SourceAccount" in str(each.get("Condition", {})) for each in trusts):
        return f"trusts {service}, but for any account: add the condition aws:SourceAccount"
    return f"trusts {service}"


def _trusts(statement: Statement, service: str) -> bool:
    principal = statement.get("Principal")
    services = _as_list(principal.get("Service")) if isinstance(principal, dict) else []
    is_allowed = statement.get("Effect") == "Allow"
    return is_allowed and service in services and "sts:AssumeRole" in _as_list(statement["Action"])


def _as_list(value: Any) -> list[Any]:
    """IAM takes one value without a list."""
    return list(value) if isinstance(value, list) else ([] if value is None else [value])


def check_role(context: BuildContext) -> str | None:
    """Let IAM simulate what the role of the job must be allowed; None if the job has no role.

    Raises:
        FaultError: it lacks an action.
    """
    recipe = context.recipe
    if recipe.train is None or not recipe.train.role_arn:
        return None
    denials = [
        f"{action} on {resource}"
        for statement in job_role(make_grant(recipe))
        for action, resource in _denials(recipe.train.role_arn, statement)
    ]
    if denials:
        raise FaultError(f"the role lacks {', '.join(denials)}", _POLICIES)
    return "reads the lines, writes the model and calls the grader"


def _denials(role: str, statement: Statement) -> Iterator[tuple[str, str]]:
    """The actions and resources of a statement that a role is not allowed."""
    prefix = statement.get("Condition", {}).get("StringLike", {}).get("s3:prefix")
    arguments: dict[str, Any] = {"PolicySourceArn": role, "ActionNames": statement["Action"]}
    if prefix:
        entry = {"ContextKeyName": "s3:prefix", "ContextKeyType": "string"}
        arguments["ContextEntries"] = [entry | {"ContextKeyValues": [prefix]}]
    resources = statement["Resource"]
    answer = ask("iam", "SimulatePrincipalPolicy", ResourceArns=resources, **arguments)
    for result in (answer or {}).get("EvaluationResults", ()):
        if result["EvalDecision"] != _ALLOWED:
            yield result["EvalActionName"], result.get("EvalResourceName", "*")


def _role_name(arn: str) -> str:
    return arn.rpartition("/")[2]


def check_model(context: BuildContext) -> str | None:
    """See that base model and judge are open to the account, in the Region, and not at their end.

    Raises:
        FaultError: one is not.
        ConfigError: one reached its end of life.
        UncheckedError: the caller may not read models.
    """
    train = context.recipe.train
    if train is None:
        return None
    with closing(make_client("bedrock", train.region)) as client:
        region = str(client.meta.region_name)
    if fault := region_fault(train, region):
        raise FaultError(fault)
    warnings = check_models(train, region, datetime.now(UTC))
    lacking = [each for each in warnings if "needs bedrock:" in each]
    if lacking:
        raise UncheckedError.lacking("bedrock:GetFoundationModel")
    for model in _foundation_models(train):
        _check_access(model, region)
    return "; ".join(warnings) or "can be used, no end of life near"


def _foundation_models(train: TrainSection) -> list[str]:
    models = [train.model, train.judge_model]
    return [each for each in models if each and has_lifecycle(each) and ":custom-" not in each]


def _check_access(model: str, region: str) -> None:
    name = model.rpartition("/")[2]
    answer = ask("bedrock", "GetFoundationModelAvailability", region, modelId=name) or {}
    wrong = [
        key
        for key, good in (
            ("authorizationStatus", "AUTHORIZED"),
            ("entitlementAvailability", "AVAILABLE"),
            ("regionAvailability", "AVAILABLE"),
        )
        if answer.get(key, good) != good
    ]
    if wrong:
        raise FaultError(
            f"the account has no access to {name} ({', '.join(wrong)}); request it on the page "
            "Model access of the Bedrock console"
        )


def check_grader(context: BuildContext) -> str | None:
    """See that the Lambda of the grader is there, ready, and runs long enough; None without one.

    Raises:
        FaultError: it is not.
    """
    grader = context.recipe.grader
    if grader is None or not grader.lambda_arn:
        return None
    arn = grader.lambda_arn
    region = arn.split(":")[3] if arn.startswith("arn:") else None
    answer = ask("lambda", "GetFunctionConfiguration", region, FunctionName=arn)
    if answer is None:
        raise FaultError(f"there is no function {arn}; deploy the grader (sluice grader export)")
    state = answer.get("State", _READY)
    if state != _READY:
        raise FaultError(f"{arn} is {state} ({answer.get('StateReasonCode', 'no reason given')})")
    timeout, minimum = answer["Timeout"], round(grader.timeout_seconds)
    if timeout < minimum:
        raise FaultError(
            f"Lambda stops it after {timeout} s, and timeout_seconds in [grader] is {minimum}",
            f"aws lambda update-function-configuration --function-name {arn} --timeout {minimum}",
        )
    return f"timeout {timeout} s, memory {answer['MemorySize']:,} MB"
