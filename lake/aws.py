"""Clients of AWS: how they are made, and what to do where AWS refuses or cannot be reached.

AWS's own messages may quote what was sent, and so the content of records: they stay out of ours.
"""

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

import boto3
import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as UnreachableError
from botocore.utils import parse_timestamp

from bedrock_sluice.transforms.errors import OutsideError, SluiceError, TransientError

ATTEMPTS_PER_REQUEST = 5
CONNECT_TIMEOUT_SECONDS = 10
READ_TIMEOUT_SECONDS = 60
MAX_CONNECTIONS = 128  # kept open; a thread never waits for one

_CONFIG = Config(
    retries={"mode": "standard", "total_max_attempts": ATTEMPTS_PER_REQUEST},
    connect_timeout=CONNECT_TIMEOUT_SECONDS,
    read_timeout=READ_TIMEOUT_SECONDS,
    max_pool_connections=MAX_CONNECTIONS,
)

Remedy = tuple[type[SluiceError], str]
"""The error that an answer becomes, by what the caller should do, and the hint that says it."""

_SIGN_IN = "the session has expired; sign in again, such as with `aws sso login`"
_UNKNOWN_KEY = "AWS does not know this access key; check AWS_ACCESS_KEY_ID, or the profile"
_MISMATCH = (
    "the secret key does not fit the access key; check AWS_SECRET_ACCESS_KEY, or the profile"
)
_KMS_KEY = "the object is encrypted with a KMS key that {}"

_REMEDIES = {
    "ExpiredToken": _SIGN_IN,
    "ExpiredTokenException": _SIGN_IN,
    "TokenRefreshRequired": _SIGN_IN,
    "InvalidToken": "the session token is not valid; sign in again, or unset AWS_SESSION_TOKEN",
    "InvalidAccessKeyId": _UNKNOWN_KEY,
    "UnrecognizedClientException": _UNKNOWN_KEY,
    "InvalidClientTokenId": _UNKNOWN_KEY,
    "SignatureDoesNotMatch": _MISMATCH,
    "InvalidSignatureException": _MISMATCH,
    "RequestTimeTooSkewed": "the clock of this machine is wrong; set it, such as by NTP",
    "KMS.DisabledException": _KMS_KEY.format("is disabled; enable the key"),
    "KMS.NotFoundException": _KMS_KEY.format("does not exist (any more), or not for this account"),
    "KMS.KMSInvalidStateException": _KMS_KEY.format("can't be used now; see its state in KMS"),
}
"""By the code of an answer, or the name of an error of botocore: what to do about it."""

_SETTINGS = {
    "NoCredentialsError": "no credentials were found; run `aws sso login` or `aws configure`, or "
    "set AWS_PROFILE",
    "PartialCredentialsError": "the credentials are incomplete; set both parts of the key",
    "ProfileNotFound": "there is no profile {profile}; check AWS_PROFILE and ~/.aws/config",
    "NoRegionError": "no Region is set; set AWS_DEFAULT_REGION, or region in the profile",
    "SSOTokenLoadError": _SIGN_IN,
    "UnauthorizedSSOTokenError": _SIGN_IN,
    "TokenRetrievalError": _SIGN_IN,
    "CredentialRetrievalError": "the credentials could not be fetched; sign in again, or check the "
    "profile's credential process",
}
_ELSEWHERE = frozenset(
    {
        "PermanentRedirect",
        "AuthorizationHeaderMalformed",
        "IllegalLocationConstraintException",
        "301",
    }
)


def make_client(service: str, region: str | None = None, config: Config | None = None) -> Any:
    """Make a client with the usual AWS settings; `region` and `config` go before them.

    Raises:
        OutsideError: the settings lack something, such as a Region.
    """
    client_config = _CONFIG.merge(config) if config else _CONFIG
    try:
        settings = botocore.session.get_session()
        parsers = settings.get_component("response_parser_factory")
        parsers.set_parser_defaults(timestamp_parser=_parse_time)
        # Typed as Any: its type knows clients by literal names alone.
        session: Any = boto3.session.Session(botocore_session=settings)
        return session.client(service, region_name=region, config=client_config)
    except (BotoCoreError, ValueError) as error:
        raise unreachable_error(error, service) from None


def _parse_time(value: Any) -> datetime:
    """Parse a time as botocore does, but fast where it is in the form that S3 writes.

    Guessing its form takes botocore half of the time that a listing takes.
    """
    if isinstance(value, str):
        with suppress(ValueError):  # botocore knows more forms
            time = (
                datetime.fromisoformat(value)
                if value[:1].isdigit()
                else parsedate_to_datetime(value)
            )
            if time.tzinfo is not None:
                return time
    return parse_timestamp(value)


def error_code(error: ClientError) -> str:
    """Return the code of an answer that is an error."""
    return str(error.response.get("Error", {}).get("Code", "?"))


def status_code(error: ClientError) -> int:
    """Return the HTTP status of an answer that is an error; 0 if it is not known."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def refusal_error(
    error: ClientError, message: str, remedies: Mapping[str, Remedy], other_hint: str
) -> SluiceError:
    """Return our error for an answer that refuses a call: `message`, its code and what to do.

    `remedies` are those of the service, by code. Credentials and clocks go before them, for they
    are at fault whatever was asked; of codes without a remedy, `other_hint` is said.
    """
    code = error_code(error)
    is_passing = status_code(error) >= 500
    other: Remedy = (TransientError, "run again") if is_passing else (OutsideError, other_hint)
    kind, hint = remedies.get(code, other)
    if advice := remedy(error):
        kind, hint = OutsideError, advice
    request_id = error.response.get("ResponseMetadata", {}).get("RequestId", "?")
    return kind(f"{message} ({code}, AWS request {request_id}); {hint}")


def remedy(error: ClientError) -> str | None:
    """What to do about an answer of AWS that has a cause of its own; None if it has not."""
    fault, code = error.response.get("Error", {}), error_code(error)
    if code in _ELSEWHERE:
        headers = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
        region = headers.get("x-amz-bucket-region") or fault.get("Region")
        return (
            f"the bucket is in {region}; set AWS_DEFAULT_REGION={region}"
            if region
            else ("the bucket is in another Region; set AWS_DEFAULT_REGION to that one")
        )
    return _REMEDIES.get(code)


def unreachable_error(error: Exception, where: str) -> OutsideError:
    """botocore's own errors: those of the connection may heal, those of the settings won't."""
    is_passing = isinstance(error, HTTPClientError | UnreachableError)
    kind = TransientError if is_passing else OutsideError
    name = type(error).__name__
    hint = _SETTINGS.get(name, "check the network, the endpoint and the AWS settings")
    if name == "ProfileNotFound":
        hint = hint.format(profile=getattr(error, "kwargs", {}).get("profile", "of that name"))
    return kind(f"{where}: {name}; {hint}")
