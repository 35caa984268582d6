"""The least that a recipe needs from IAM: for who calls Sluice, and for the role of the job.

The policies allow what a pull, a build, an approval, a training job and a nightly run do, and
nothing else. The tests compare them with the calls of a whole run.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from bedrock_sluice.flows.access.statements import (
    Place,
    Policy,
    Statement,
    allow,
    file,
    folder,
    key_statement,
    list_statement,
    object_statement,
    policy,
)
from bedrock_sluice.flows.recipe import Recipe
from bedrock_sluice.flows.recipe.sections import TrainSection
from bedrock_sluice.flows.training.lifecycle import callable_id, has_lifecycle
from bedrock_sluice.flows.training.targets.choice import choose_target
from bedrock_sluice.lake.logs.source import SERVICE, TOP
from bedrock_sluice.transforms.errors import ConfigError

PRINCIPALS = {"nova": "bedrock.amazonaws.com", "sagemaker": "sagemaker.amazonaws.com"}
"""The services that assume the role of a job, by target; the third target has no role."""

_JOB_RESOURCES = {"nova": "model-customization-job/*", "sagemaker": "*"}
_ARN = re.compile(r"arn:(?P<partition>[a-z-]+):[a-z0-9-]+:[a-z0-9-]*:(?P<account>\d{12}):.+")
_ACCOUNT = re.compile(r"\d{12}")
_S3_READ, _S3_WRITE = ["s3:GetObject"], ["s3:GetObject", "s3:PutObject"]
_KEY_READ, _KEY_WRITE = ["kms:Decrypt"], ["kms:Decrypt", "kms:GenerateDataKey"]


class Document(NamedTuple):
    """A policy: its purpose (logs, lake, train, deploy, nightly), and where it is attached."""

    name: str
    purpose: str
    attach_to: str
    content: Policy


class Grant(NamedTuple):
    """What the policies of a recipe are made of.

    `keys` are the ARNs of the KMS keys of its buckets. With `owner`, an account id, buckets of
    other accounts are out of reach, even where they have the right name.
    """

    recipe: Recipe
    account: str
    partition: str
    keys: Sequence[str] = ()
    owner: str | None = None

    @property
    def conditions(self) -> Statement:
        """The conditions on every bucket."""
        return {"StringEquals": {"aws:ResourceAccount": self.owner}} if self.owner else {}

    def folder(self, uri: str) -> Place | None:
        """See `statements.folder`."""
        return folder(uri, self.partition)


def make_grant(
    recipe: Recipe, account: str | None = None, keys: Sequence[str] = (), owner: str | None = None
) -> Grant:
    """What to grant; the account is that of the role or of the grader, if none is given.

    Raises:
        ConfigError: no account is known, or an id or ARN is malformed.
    """
    for each in filter(None, (account, owner)):
        if not _ACCOUNT.fullmatch(each):
            raise ConfigError(f"{each} is not the id of an AWS account; give its 12 digits")
    for key in keys:
        if not _ARN.fullmatch(key):
            raise ConfigError(f"{key} is not the ARN of a KMS key; an alias does not do")
    train, grader = recipe.train, recipe.grader
    arns = [train.role_arn if train else None, grader.lambda_arn if grader else None, *keys]
    match = next((m for arn in arns if (m := _ARN.fullmatch(arn or ""))), None)
    account = account or (match["account"] if match else None)
    if account is None:
        raise ConfigError(
            "the recipe names no role and no grader, so the account is not known; give --account"
        )
    owner = owner or recipe.bucket_owner
    return Grant(recipe, account, match["partition"] if match else "aws", keys, owner)


def documents(grant: Grant) -> list[Document]:
    """All policies that a recipe needs; those without a statement are left out."""
    caller = "the identity that runs Sluice"
    policies = [
        Document("caller-logs", "logs", caller, policy(_read_logs(grant))),
        Document("log-bucket", "logs", "the bucket of the logs", policy(_deliver_logs(grant))),
        Document("caller-lake", "lake", caller, policy(_write_lake(grant))),
        Document("caller-train", "train", caller, policy(_start_jobs(grant))),
        Document("caller-deploy", "deploy", caller, policy(_deploy_models(grant))),
        Document("caller-nightly", "nightly", caller, policy(_run_nightly(grant))),
        Document("job-role-trust", "train", "the role of the job", policy(_trust(grant))),
        Document("job-role", "train", "the role of the job", policy(job_role(grant))),
        Document("model-key", "train", "the KMS key of the model", policy(_use_model_key(grant))),
    ]
    return [each for each in policies if each.content["Statement"]]


def _read_logs(grant: Grant) -> Iterator[Statement]:
    """Read logs, bodies, labels, feedback, evaluation sets and exclusion lists."""
    recipe = grant.recipe
    files = [*recipe.answer.labels, *recipe.answer.feedback, *recipe.curate.against]
    files += recipe.rights.exclude_files if recipe.rights else ()
    logs = [grant.folder(uri) for uri in (recipe.source.uri, *recipe.source.bodies)]
    tables = [file(uri, grant.partition) for uri in files]
    for_logs = grant._replace(owner=recipe.source.bucket_owner or grant.owner).conditions
    places = [(each, for_logs) for each in logs if each]
    places += [(each, grant.conditions) for each in tables if each]
    for place, conditions in places:
        yield list_statement(place, conditions)
        yield object_statement(_S3_READ, place, conditions)
    if grant.keys and places:
        yield key_statement(_KEY_READ, grant.keys, "s3")


def _deliver_logs(grant: Grant) -> Iterator[Statement]:
    """Let Bedrock deliver the logs of the account, and nobody else by its name."""
    place = grant.folder(grant.recipe.source.uri)
    if place is None:
        return
    above = place.prefix.partition(TOP)[0].removesuffix("*")
    keys = f"{above}{TOP}/{grant.account}/{SERVICE}/*"
    source = f"arn:{grant.partition}:bedrock:*:{grant.account}:*"
    conditions = {
        "StringEquals": {"aws:SourceAccount": grant.account},
        "ArnLike": {"aws:SourceArn": source},
    }
    statement = object_statement(["s3:PutObject"], place._replace(prefix=keys), conditions)
    yield statement | {"Principal": {"Service": "bedrock.amazonaws.com"}}


def _write_lake(grant: Grant) -> Iterator[Statement]:
    """Read the lake and add to it; a build deletes nothing."""
    if place := grant.folder(grant.recipe.lake):
        yield list_statement(place, grant.conditions)
        yield object_statement(_S3_WRITE, place, grant.conditions)
        if grant.keys:
            yield key_statement(_KEY_WRITE, grant.keys, "s3")


def _start_jobs(grant: Grant) -> Iterator[Statement]:
    """Upload the lines, start a job, follow it, and stop it."""
    recipe, train = grant.recipe, grant.recipe.train
    if train is None:
        return
    lines = grant.folder(f"{train.data_uri.rstrip('/')}/{recipe.name}") if train.data_uri else None
    if lines and choose_target(train).name != "open_weight":
        yield list_statement(lines, grant.conditions)
        yield object_statement(_S3_WRITE, lines, grant.conditions)
        if grant.keys:
            yield key_statement(_KEY_WRITE, grant.keys, "s3")
    output = grant.folder(train.output_uri or "")
    if output and choose_target(train).name == "nova":  # the metrics of a job
        yield list_statement(output, grant.conditions)
        yield object_statement(_S3_READ, output, grant.conditions)
        if grant.keys:
            yield key_statement(_KEY_READ, grant.keys, "s3")
    models = [m for m in (train.model, train.judge_model) if m and has_lifecycle(m)]
    if models:
        yield allow(["bedrock:GetFoundationModel"], [_model_arn(grant, m) for m in models])
    yield from _control_jobs(grant, train)


def _run_nightly(grant: Grant) -> Iterator[Statement]:
    """Remove old leases of the lake, and send notices."""
    if leases := grant.folder(f"{grant.recipe.lake.rstrip('/')}/leases"):
        yield object_statement(["s3:DeleteObject"], leases, grant.conditions)
    address = grant.recipe.nightly.notify or ""
    if address.startswith("arn:"):
        yield allow(["sns:Publish"], [address])


def _control_jobs(grant: Grant, train: TrainSection) -> Iterator[Statement]:
    target, region = choose_target(train).name, train.region or "*"
    if target == "nova":
        start = f"arn:{grant.partition}:bedrock:{region}:{grant.account}"
        job, model = f"{start}:model-customization-job/*", f"{start}:custom-model/*"
        base = _model_arn(grant, train.model)
        yield allow(["bedrock:CreateModelCustomizationJob"], [base, model, job])
        actions = ["GetModelCustomizationJob", "StopModelCustomizationJob"]
        yield allow([f"bedrock:{action}" for action in actions], [job])
        yield allow(["bedrock:TagResource"], [job, model])
    elif target == "sagemaker":
        start = f"arn:{grant.partition}:sagemaker:{region}:{grant.account}"
        actions = ["CreateTrainingJob", "DescribeTrainingJob", "StopTrainingJob", "AddTags"]
        jobs = f"{start}:training-job/{grant.recipe.lineage}-*"
        yield allow([f"sagemaker:{action}" for action in actions], [jobs])
    if train.role_arn and target in PRINCIPALS:
        condition = {"StringEquals": {"iam:PassedToService": PRINCIPALS[target]}}
        yield allow(["iam:PassRole"], [train.role_arn], condition)


def _deploy_models(grant: Grant) -> Iterator[Statement]:
    """Deploy a model, call it and its base, and grade the answers."""
    train, grader = grant.recipe.train, grant.recipe.grader
    if train is None or choose_target(train).name != "nova":
        return
    start = f"arn:{grant.partition}:bedrock:{train.region or '*'}:{grant.account}"
    model, deployment = f"{start}:custom-model/*", f"{start}:custom-model-deployment/*"
    yield allow(["bedrock:CreateCustomModelDeployment"], [model, deployment])
    yield allow(["bedrock:GetCustomModelDeployment", "bedrock:TagResource"], [deployment])
    yield allow(["bedrock:InvokeModel"], [deployment, _model_arn(grant, callable_id(train.model))])
    if grader and grader.lambda_arn and not grader.python:
        yield allow(["lambda:InvokeFunction"], [grader.lambda_arn])


def _model_arn(grant: Grant, model: str) -> str:
    """The ARN of a foundation model in every Region, or of what the recipe names by its ARN."""
    is_arn = model.startswith("arn:")
    return model if is_arn else f"arn:{grant.partition}:bedrock:*::foundation-model/{model}"


def _trust(grant: Grant) -> Iterator[Statement]:
    """Let the service assume the role for jobs of the account."""
    train = grant.recipe.train
    service = PRINCIPALS.get(choose_target(train).name) if train and train.role_arn else None
    if train is None or service is None:
        return
    name, region = service.partition(".")[0], train.region or "*"
    jobs = _JOB_RESOURCES[choose_target(train).name]
    yield {
        "Effect": "Allow",
        "Principal": {"Service": service},
        "Action": ["sts:AssumeRole"],
        "Condition": {
            "StringEquals": {"aws:SourceAccount": grant.account},
            "ArnLike": {
                "aws:SourceArn": f"arn:{grant.partition}:{name}:{region}:{grant.account}:{jobs}"
            },
        },
    }


def job_role(grant: Grant) -> Iterator[Statement]:
    """Read the lines, write the model, call the grader."""
    recipe, train = grant.recipe, grant.recipe.train
    if train is None or choose_target(train).name not in PRINCIPALS:
        return
    root = train.data_uri.rstrip("/") if train.data_uri else f"{recipe.lake.rstrip('/')}/releases"
    if lines := grant.folder(f"{root}/{recipe.name}"):
        yield list_statement(lines, grant.conditions)
        yield object_statement(_S3_READ, lines, grant.conditions)
    if output := grant.folder(train.output_uri or ""):
        yield list_statement(output, grant.conditions)
        yield object_statement(_S3_WRITE, output, grant.conditions)
    if recipe.grader and recipe.grader.lambda_arn:
        yield allow(["lambda:InvokeFunction"], [recipe.grader.lambda_arn])
    if grant.keys:
        yield key_statement(_KEY_WRITE, grant.keys, "s3")


def _use_model_key(grant: Grant) -> Iterator[Statement]:
    """Let the role of the job encrypt the model; a key's policy is about that key alone."""
    train = grant.recipe.train
    if train and train.kms_key_id and train.role_arn:
        actions = ["kms:Decrypt", "kms:GenerateDataKey", "kms:DescribeKey", "kms:CreateGrant"]
        principal: dict[str, Any] = {"Principal": {"AWS": train.role_arn}}
        service = PRINCIPALS.get(choose_target(train).name, "bedrock").partition(".")[0]
        yield key_statement(actions, ["*"], service) | principal
