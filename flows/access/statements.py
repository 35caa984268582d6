"""Statements of IAM policies over places on S3, models and keys."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from bedrock_sluice.lake.logs.source import TOP
from bedrock_sluice.lake.stores.store import S3_SCHEME

Statement = dict[str, Any]
Policy = dict[str, Any]

REGION_LEVEL = 4  # AWSLogs/<account>/BedrockModelInvocationLogs/<region>


class Place(NamedTuple):
    """What is read or written on S3: all keys of a bucket that begin with `prefix`."""

    bucket: str
    prefix: str
    partition: str = "aws"

    @property
    def bucket_arn(self) -> str:
        """The ARN of the bucket."""
        return f"arn:{self.partition}:s3:::{self.bucket}"

    @property
    def objects_arn(self) -> str:
        """The pattern of the ARNs of the objects."""
        return f"{self.bucket_arn}/{self.prefix}"


def folder(uri: str, partition: str = "aws") -> Place | None:
    """The place below a URI; None if it is not on S3."""
    place = file(uri.rstrip("/"), partition)
    return place and place._replace(prefix=f"{place.prefix}/*" if place.prefix else "*")


def file(uri: str, partition: str = "aws") -> Place | None:
    """The object at a URI; None if it is not on S3."""
    if not uri.startswith(S3_SCHEME):
        return None
    bucket, _, key = uri.removeprefix(S3_SCHEME).partition("/")
    return Place(bucket, key.strip("/"), partition)


def list_statement(place: Place, conditions: Statement | None = None) -> Statement:
    """Listing the keys of a place; of logs, from the level of the Region on: see `Source`."""
    parts = place.prefix.split("/")
    if TOP in parts:
        parts = [*parts[: parts.index(TOP) + REGION_LEVEL], "*"]
    prefix = "/".join(parts).replace("*/*", "*")
    like = {} if prefix == "*" else {"StringLike": {"s3:prefix": prefix}}
    return allow(["s3:ListBucket"], [place.bucket_arn], like | (conditions or {}))


def object_statement(
    actions: Sequence[str], place: Place, conditions: Statement | None = None
) -> Statement:
    """Actions on the objects of a place."""
    return allow(actions, [place.objects_arn], conditions or {})


def key_statement(actions: Sequence[str], keys: Sequence[str], service: str) -> Statement:
    """Actions on KMS keys, through a service alone."""
    condition = {"StringLike": {"kms:ViaService": f"{service}.*.amazonaws.com"}}
    return allow(actions, keys, condition)


def allow(
    actions: Sequence[str], resources: Sequence[str], conditions: Statement | None = None
) -> Statement:
    """One statement that allows actions."""
    statement: Statement = {
        "Effect": "Allow",
        "Action": list(actions),
        "Resource": list(resources),
    }
    return statement | ({"Condition": conditions} if conditions else {})


def policy(statements: Iterable[Statement]) -> Policy:
    """A policy of statements, each once."""
    distinct = list[Statement]()
    for statement in statements:
        if statement not in distinct:
            distinct.append(statement)
    return {"Version": "2012-10-17", "Statement": distinct}
