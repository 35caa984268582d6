"""The results of the gate's checks, and the file `checks.json` that holds them."""

from collections.abc import Iterable, Sequence

import msgspec

from bedrock_sluice.transforms.errors import IntegrityError

SCHEMA_VERSION = 1

Number = int | float


class Limit(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """The lowest and the highest value that passes; an end that is None is open."""

    min: Number | None = None
    max: Number | None = None

    def __str__(self) -> str:
        if self.min is None or self.max is None:
            end = self.max if self.min is None else self.min
            word = "at least " if self.max is None else "at most " if end else ""
            return f"{word}{_text(end)}"
        return f"{_text(self.min)} to {_text(self.max)}"


class Check(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One expectation, what was measured, and whether it is within the limit.

    `severity` is `fail` or `warn`; `measured` is None where there was nothing to measure;
    `examples` are ids of what breaks it; `hint` says what to do.
    """

    name: str
    message: str
    severity: str
    passed: bool
    measured: Number | None
    limit: Limit
    unit: str
    examples: list[str]
    hint: str

    @property
    def result(self) -> str:
        """`passed`, `warned` or `failed`."""
        return "passed" if self.passed else "failed" if self.severity == "fail" else "warned"

    @property
    def measurement(self) -> str:
        """What was measured and what is allowed, in words."""
        space = "" if self.unit.startswith("%") else " "
        unit = "" if self.measured is None else f"{space}{self.unit}"
        return f"measured: {_text(self.measured)}{unit}; limit: {self.limit}"


class Checks(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The content of `checks.json`."""

    schema_version: int
    checks: list[Check]


def is_passed(checks: Iterable[Check]) -> bool:
    """Whether no check of severity `fail` failed."""
    return not any(check.result == "failed" for check in checks)


def encode_checks(checks: Sequence[Check]) -> bytes:
    """The bytes of `checks.json`."""
    content = msgspec.json.encode(Checks(SCHEMA_VERSION, list(checks)))
    return msgspec.json.format(content, indent=2) + b"\n"


def decode_checks(content: bytes) -> list[Check]:
    """The checks of a `checks.json`.

    Raises:
        IntegrityError: it has another schema, as those of other versions may have.
    """
    try:
        whole = msgspec.json.decode(content, type=Checks)
    except (msgspec.DecodeError, ValueError, RecursionError):
        whole = None
    if whole is None or whole.schema_version != SCHEMA_VERSION:
        raise IntegrityError(
            "checks.json is not of this version of Sluice; build the release again"
        )
    return whole.checks


def _text(number: Number | None) -> str:
    if number is None:
        return "nothing"
    return f"{number:,}" if isinstance(number, int) else f"{number:,.4g}"
