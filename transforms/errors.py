"""Errors, named by what the caller should do about them, and the exit codes of the command line.

    SluiceError
    ├── ConfigError      the recipe or the command line is wrong: change it         exit 2
    ├── InputError       this input is bad: it is quarantined, the rest goes on     exit 1
    ├── RefusedError     a rule rejects this release: do what the rule asks         exit 1
    ├── IntegrityError   stored data differ from what was written: stop, look       exit 1
    └── OutsideError     AWS, the disk or the network failed: fix that, run again   exit 3
        └── TransientError   ... and an immediate retry may be enough               exit 3

An error carries its facts as attributes (`place`, `value`, `hint`), and its text is built from
them: `place: message; hint`. No part may hold record content, because Prefect stores the text of
an exception in clear.
"""

from enum import IntEnum
from typing import ClassVar

from bedrock_sluice.transforms.printable import printable


class ExitCode(IntEnum):
    """Exit codes of the command line."""

    DONE = 0
    CHECK_FAILED = 1  # the gate or a check said no
    CONFIG = 2  # the recipe or the usage is wrong
    OUTSIDE = 3  # AWS, the disk or the network failed
    INTERNAL = 70  # a bug in Sluice; EX_SOFTWARE of sysexits.h
    SIGNAL = 128  # plus the number of the signal that ended the run, as shells count


class SluiceError(Exception):
    """Root of every error that Sluice raises on purpose.

    Attributes:
        message: What is wrong.
        place: Where: `file:line`, a URI, a key.
        value: The value that is wrong.
        hint: What to do about it.
    """

    exit_code: ClassVar[ExitCode] = ExitCode.CHECK_FAILED

    def __init__(
        self,
        message: str,
        *,
        place: str | None = None,
        value: object = None,
        hint: str | None = None,
    ) -> None:
        # Places and values come from outside: a key may hold terminal codes as well as a message.
        self.message = printable(message)
        self.place = None if place is None else printable(place)
        self.value = printable(value) if isinstance(value, str) else value
        self.hint = None if hint is None else printable(hint)
        text = self.message if self.place is None else f"{self.place}: {self.message}"
        super().__init__(text if self.hint is None else f"{text}; {self.hint}")

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle without `__init__`, whose arguments differ between the classes.

        By default, unpickling calls the class with `args`, which hold the text alone.
        """
        return _restore, (type(self), self.args), self.__dict__


def _restore(kind: type[SluiceError], args: tuple[object, ...]) -> SluiceError:
    error = kind.__new__(kind)
    error.args = args
    return error


class ConfigError(SluiceError):
    """The recipe or the command line is wrong; nothing was done."""

    exit_code = ExitCode.CONFIG


def missing_extra(module: str, extra: str) -> ConfigError:
    """Return the error that a module is not installed, because it comes with an extra."""
    install = f"pip install 'bedrock-sluice[{extra}]'"
    return ConfigError(
        f"{module} is not installed", value=module, hint=f"install the extra that has it: {install}"
    )


class InputError(SluiceError):
    """One input is bad and was quarantined.

    `reason` is a value of `reasons.Reason`; `detail` is free of record content.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


class RefusedError(SluiceError):
    """A rule rejects the release, as it should: the gate failed it, or nobody approved it yet."""


class IntegrityError(SluiceError):
    """Stored or counted data contradict each other; nothing was published."""


class OutsideError(SluiceError):
    """AWS, the disk or the network refused; an immediate retry will not help."""

    exit_code = ExitCode.OUTSIDE


class TransientError(OutsideError):
    """AWS, the disk or the network failed in a way that often passes by itself."""
