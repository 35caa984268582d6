"""The results of the gate's checks, and the files `checks.json` and `failures.json` that hold them.

They are public files, and `docs/release.md` describes every field. A field is added, renamed or
removed only together with `SCHEMA_VERSION`. The digest of a release covers the file, so
that another version of the schema gives every release another id.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal

import msgspec

from bedrock_sluice.transforms.errors import IntegrityError

SCHEMA_VERSION: Final = 1
FAILURES = "failures.json"
FAILURES_VERSION: Final = 1

Number = int | float
Severity = Literal["fail", "warn"]


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
    `examples` are some ids of what breaks it; `hint` says what to do.
    """

    name: str
    message: str
    severity: Severity
    passed: bool
    measured: Number | None
    limit: Limit
    unit: str
    examples: list[str]
    hint: str

    @property
    def result(self) -> Literal["passed", "warned", "failed"]:
        """`passed`, `warned` or `failed`."""
        return "passed" if self.passed else "failed" if self.severity == "fail" else "warned"

    @property
    def measurement(self) -> str:
        """What was measured and what is allowed, in words."""
        return f"measured: {self.measured_in_words}; limit: {self.limit_in_words}"

    @property
    def measured_in_words(self) -> str:
        """What was measured, with its unit."""
        if self.measured is None:
            return _text(None)
        space = "" if self.unit.startswith("%") else " "
        return f"{_text(self.measured)}{space}{self.unit}"

    @property
    def limit_in_words(self) -> str:
        """What is allowed; of a unit, only `%` is repeated."""
        return f"{self.limit}%" if self.unit.startswith("%") else str(self.limit)


class _Version(msgspec.Struct):
    schema_version: int


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


class Failures(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The content of `failures.json`: the ids of everything that breaks a check, by its name."""

    schema_version: int
    failures: dict[str, list[str]]


def encode_failures(failing_ids: Mapping[str, Sequence[str]]) -> bytes:
    """The bytes of `failures.json`."""
    failures = {name: list(ids) for name, ids in failing_ids.items()}
    content = msgspec.json.encode(Failures(FAILURES_VERSION, failures))
    return msgspec.json.format(content, indent=1) + b"\n"


def decode_checks(content: bytes, place: str) -> list[Check]:
    """Read the checks of a `checks.json`; `place` is its path or URI, for errors.

    Raises:
        IntegrityError: The content has another schema, or a newer version of Sluice wrote it.
    """
    try:
        version = msgspec.json.decode(content, type=_Version).schema_version
        if version == SCHEMA_VERSION:
            return msgspec.json.decode(content, type=Checks).checks
    except (ValueError, RecursionError) as error:
        raise IntegrityError(
            f"not the checks of a release ({error})",
            place=place,
            hint="do not use this release; build the release again",
        ) from None
    raise IntegrityError(
        f"schema_version {version} is not supported; this Sluice reads {SCHEMA_VERSION}",
        place=place,
        value=version,
        hint="upgrade bedrock-sluice",
    )


def _text(number: Number | None) -> str:
    if number is None:
        return "nothing"
    return f"{number:,}" if isinstance(number, int) else f"{number:,.4g}"
