"""The accounts that buckets must belong to: `ExpectedBucketOwner` of every request to them.

They hold for all clients of the process, as credentials do.
"""

from typing import Any

_PARAMETER = "ExpectedBucketOwner"

_owners: dict[str, str] = {}


def expect_owner(bucket: str, account: str) -> None:
    """From now on, let S3 compare the owner of a bucket with this account."""
    _owners[bucket] = account


def expected_owner(bucket: str) -> str | None:
    """Return the account that a bucket must belong to; None if it may be any."""
    return _owners.get(bucket)


def expected_owners() -> dict[str, str]:
    """Return the accounts of all buckets, for processes that work for this one."""
    return dict(_owners)


def send_owners(client: Any) -> None:
    """Let a client of S3 send the expected account with each request that takes one."""
    client.meta.events.register("before-parameter-build.s3", _add_owner)


def _add_owner(params: dict[str, Any], model: Any, **_: Any) -> None:
    owner = _owners.get(str(params.get("Bucket")))
    if owner and _PARAMETER in model.input_shape.members:
        params[_PARAMETER] = owner
