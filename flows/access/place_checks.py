"""Checks of the caller, the buckets and the logs of a recipe, by calls that only read."""

from bedrock_sluice.flows.access.asking import FaultError, UncheckedError, ask
from bedrock_sluice.flows.access.statements import folder
from bedrock_sluice.flows.context import BuildContext
from bedrock_sluice.lake.stores.opening import open_store
from bedrock_sluice.lake.stores.store import S3_SCHEME
from bedrock_sluice.transforms.errors import OutsideError, SluiceError

_ENABLED, _NO_TEXT = "Enabled", "textDataDeliveryEnabled"


def is_on_aws(context: BuildContext) -> bool:
    """Whether a recipe names anything on AWS."""
    recipe = context.recipe
    return bool(_buckets(context)) or recipe.train is not None


def check_identity(_: BuildContext) -> str:
    """See whose credentials are used."""
    return str(caller()["Arn"])


def caller() -> dict[str, str]:
    """The account and the ARN of the caller."""
    answer: dict[str, str] = ask("sts", "GetCallerIdentity")
    return answer


def check_keys(context: BuildContext) -> str:
    """See that the KMS keys of the buckets and of the model can be used."""
    names = [f"{bucket}: {_bucket_key(bucket)}" for bucket in _buckets(context)]
    train = context.recipe.train
    if train and train.kms_key_id:
        _check_key(train.kms_key_id, train.region)
        names.append(f"kms_key_id: {_ENABLED.lower()}")
    return ", ".join(names)


def _buckets(context: BuildContext) -> list[str]:
    recipe, train = context.recipe, context.recipe.train
    uris = [recipe.source.uri, recipe.lake]
    uris += [uri for uri in (train.data_uri, train.output_uri) if uri] if train else []
    return sorted({place.bucket for uri in uris if (place := folder(uri))})


def _bucket_key(bucket: str) -> str:
    """How a bucket encrypts; its key was found enabled, if it has one."""
    answer = ask("s3", "GetBucketEncryption", Bucket=bucket)
    if answer is None:
        return "no default encryption"
    rules = answer["ServerSideEncryptionConfiguration"]["Rules"]
    default: dict[str, str] = next(
        (each.get("ApplyServerSideEncryptionByDefault", {}) for each in rules), {}
    )
    if key := default.get("KMSMasterKeyID"):
        _check_key(key)
        return f"key {_ENABLED.lower()}"
    return str(default.get("SSEAlgorithm", "default"))


def _check_key(key: str, region: str | None = None) -> None:
    """See that a KMS key is enabled, in its own Region if it is an ARN.

    Raises:
        FaultError: it is not, or there is none.
    """
    region = key.split(":")[3] if key.startswith("arn:") else region
    answer = ask("kms", "DescribeKey", region, KeyId=key)
    state = answer["KeyMetadata"]["KeyState"] if answer else "missing"
    if state != _ENABLED:
        command = f"aws kms enable-key --key-id {key}" if state == "Disabled" else None
        raise FaultError(f"the KMS key {key} is {state.lower()}", command)


def check_lines_place(context: BuildContext) -> str | None:
    """See that the prefix for the lines of jobs can be listed; None without one."""
    uri = context.recipe.train.data_uri if context.recipe.train else None
    if not uri:
        return None
    entry = next(iter(open_store(uri).entries()), None)
    return f"{uri} {'has objects' if entry else 'is empty yet'}"


def log_regions(context: BuildContext) -> list[str]:
    """The Regions whose logs the recipe reads from S3, and that are the caller's own account's.

    Raises:
        UncheckedError: the logs are those of another account.
    """
    if not context.recipe.source.uri.startswith(S3_SCHEME):
        return []
    deliveries = context.source.deliveries()
    account = caller()["Account"] if deliveries else ""
    regions = sorted({region for owner, region in deliveries if owner == account})
    if deliveries and not regions:
        owners = ", ".join(sorted({owner for owner, _ in deliveries}))
        raise UncheckedError(
            f"could not be checked: the logs are of account {owners}, and the caller of {account}"
        )
    return regions


def check_logging(context: BuildContext) -> str | None:
    """See that invocation logging is on in each Region, with texts, into the recipe's bucket.

    Raises:
        FaultError: it is not.
    """
    regions = log_regions(context)
    place = folder(context.recipe.source.uri)
    if not regions or place is None:
        return None
    for region in regions:
        answer = ask("bedrock", "GetModelInvocationLoggingConfiguration", region) or {}
        config = answer.get("loggingConfig") or {}
        command = (
            f"aws bedrock put-model-invocation-logging-configuration --region {region} "
            f"--logging-config 's3Config={{bucketName={place.bucket}}},{_NO_TEXT}=true'"
        )
        target = config.get("s3Config", {}).get("bucketName")
        if not target:
            raise FaultError(f"invocations in {region} are not logged to S3", command)
        if target != place.bucket:
            raise FaultError(
                f"invocations in {region} are logged to the bucket {target}, and the recipe reads "
                f"{place.bucket}; change uri in [source], or the logging configuration"
            )
        if not config.get(_NO_TEXT):
            raise FaultError(f"logs in {region} come without texts", command)
    return ", ".join(regions)


def check_retention(context: BuildContext) -> str | None:
    """Read how long Bedrock itself keeps prompts, in each Region of the logs."""
    modes = [
        f"{region}: {(ask('bedrock', 'GetAccountDataRetention', region) or {}).get('mode', '?')}"
        for region in log_regions(context)
    ]
    return ", ".join(modes) or None


def command_of(error: SluiceError) -> str | None:
    """What to run about an error, if one command repairs it."""
    if isinstance(error, FaultError):
        return error.command
    if isinstance(error, OutsideError) and "`aws sso login`" in str(error):
        return "aws sso login"
    return None
