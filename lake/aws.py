"""Clients of AWS: one way to make them, one way to tell that AWS was not reached."""

from botocore.config import Config
from botocore.exceptions import ConnectionError as UnreachableError
from botocore.exceptions import HTTPClientError

from bedrock_sluice.transforms.errors import OutsideError, TransientError

ATTEMPTS_PER_REQUEST = 5
CONNECT_TIMEOUT_SECONDS = 10
READ_TIMEOUT_SECONDS = 60
MAX_CONNECTIONS = 32

CLIENT_CONFIG = Config(
    retries={"mode": "standard", "total_max_attempts": ATTEMPTS_PER_REQUEST},
    connect_timeout=CONNECT_TIMEOUT_SECONDS,
    read_timeout=READ_TIMEOUT_SECONDS,
    max_pool_connections=MAX_CONNECTIONS,
)


def unreached(error: Exception, where: str) -> OutsideError:
    """botocore's own errors: those of the connection may heal, those of the settings won't."""
    is_passing = isinstance(error, HTTPClientError | UnreachableError)
    kind = TransientError if is_passing else OutsideError
    hint = "check the network, the endpoint and the AWS settings (region, profile, credentials)"
    return kind(f"{where}: {type(error).__name__}; {hint}")
