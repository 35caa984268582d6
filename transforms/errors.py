"""Errors, named by what the caller should do about them.

    SluiceError
    ├── ConfigError      the recipe or the command is wrong: change it            exit 2
    ├── InputError       this input is bad: it is set aside, the rest goes on     exit 1
    ├── RefusedError     a rule says no to this release: do what the rule asks    exit 1
    ├── IntegrityError   stored data are not what was written: stop, look         exit 1
    └── OutsideError     AWS, disk or network said no: mend that, run again       exit 3
        └── TransientError   ... and trying again at once may be enough           exit 3

Messages say what is wrong, where, and what to do. They never hold record content, because Prefect
stores the text of an exception in clear.
"""

from typing import ClassVar

from bedrock_sluice.transforms.printable import printable


class SluiceError(Exception):
    """Root of every error that Sluice raises on purpose."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))


class ConfigError(SluiceError):
    """The recipe or the command line is wrong; nothing was done."""

    exit_code = 2


class InputError(SluiceError):
    """One input is bad and was set aside.

    `reason` is a value of `reasons.Reason`; `detail` is free of record content.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


class RefusedError(SluiceError):
    """A rule says no, as it should: the release was rejected, or is not approved yet."""


class IntegrityError(SluiceError):
    """What is stored, or what was counted, contradicts itself; nothing was published."""


class OutsideError(SluiceError):
    """AWS, the disk or the network refused; trying again at once will not help."""

    exit_code = 3


class TransientError(OutsideError):
    """AWS, the disk or the network failed in a way that often heals by itself."""
