"""Read-only questions to AWS, whose answer may be that the caller is not allowed to ask."""

from contextlib import closing
from typing import Any

from botocore import xform_name
from botocore.exceptions import BotoCoreError, ClientError

from bedrock_sluice.lake.aws import error_code, make_client, remedy, unreachable_error
from bedrock_sluice.lake.stores.owners import send_owners
from bedrock_sluice.transforms.errors import OutsideError, SluiceError

_DENIED = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "403"})
_ACTIONS = {"GetBucketEncryption": "s3:GetEncryptionConfiguration"}


class UncheckedError(SluiceError):
    """Something could not be checked, which says nothing about whether it is right.

    `value` is the IAM action that is missing, if that is why.
    """

    @classmethod
    def lacking(cls, action: str) -> "UncheckedError":
        """The error of a caller who lacks an IAM action."""
        return cls(f"could not be checked: needs {action}", value=action)


class FaultError(SluiceError):
    """Something is not as the recipe needs it; `command` repairs it."""

    def __init__(self, message: str, command: str | None = None) -> None:
        super().__init__(message)
        self.command = command


def ask(service: str, operation: str, region: str | None = None, **arguments: Any) -> Any:
    """The answer to a call of AWS; None if what it is about is not there.

    Raises:
        UncheckedError: the caller may not ask.
        OutsideError: AWS refused for another reason, or cannot be reached.
    """
    with closing(make_client(service, region)) as client:
        if service == "s3":
            send_owners(client)
        try:
            return getattr(client, xform_name(operation))(**arguments)
        except ClientError as error:
            code = error_code(error)
            if advice := remedy(error):
                raise OutsideError(f"{operation} failed ({code}); {advice}") from None
            if code in _DENIED:
                action = _ACTIONS.get(operation, f"{service}:{operation}")
                raise UncheckedError.lacking(action) from None
            if "NotFound" in code or "NoSuch" in code:
                return None
            raise OutsideError(f"{operation} failed ({code})") from None
        except BotoCoreError as error:
            raise unreachable_error(error, service) from None
