"""The values that keys of a recipe take: their types and limits, each with its unit."""

import re
from datetime import UTC, date, datetime, time
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from bedrock_sluice.transforms.settings import MIN_THRESHOLD

MAX_LAST_DAYS = 3_650
MAX_NAME_CHARS = 48  # with the 12 of the digest, a job's name stays within Bedrock's 63
MAX_SALT_BYTES = 64
MAX_BURST_MINUTES = 60 * 24 * 366
MAX_BURST = 1_000_000
MAX_MEMORY_MB = 1 << 20
MAX_HYPER_PARAMETER = 2**63  # what JSON's readers hold

Count = Annotated[int, Field(strict=True, ge=1)]
Share = Annotated[float, Field(strict=True, ge=0, le=0.5)]
Flag = Annotated[bool, Field(strict=True)]
Text = Annotated[str, Field(min_length=1)]
Account = Annotated[str, Field(pattern=r"^[0-9]{12}$")]
Texts = tuple[Text, ...]


def _as_name(name: str) -> str:
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name) or len(name) > MAX_NAME_CHARS:
        raise ValueError(
            f"must be 1 to {MAX_NAME_CHARS} lowercase letters and digits, in words joined by "
            "single dashes, such as math-tutor"
        )
    return name


Name = Annotated[str, AfterValidator(_as_name)]
Limit = Annotated[int, Field(strict=True, ge=0)]
Burst = Annotated[int, Field(strict=True, ge=1, le=MAX_BURST)]


def _as_similarity(value: object) -> float | Literal[False]:
    if value is False:
        return False
    if isinstance(value, bool | str) or not isinstance(value, int | float):
        raise ValueError("must be false or a number")
    if not MIN_THRESHOLD <= value <= 1:
        raise ValueError(f"must be false, or from {MIN_THRESHOLD} to 1")
    return value


_Threshold = Annotated[float, Field(ge=MIN_THRESHOLD, le=1)]
Similarity = Annotated[
    float | Literal[False],
    BeforeValidator(_as_similarity, json_schema_input_type=_Threshold | Literal[False]),
]
Number = Annotated[float, Field(allow_inf_nan=False)]
PrivacyAction = Literal["drop", "mask", "report"]


def as_utc(value: object) -> datetime | None:
    """A date is its midnight; a time without a zone is meant in UTC; None stays."""
    if value is None:
        return None
    if isinstance(value, date) and not isinstance(value, datetime):
        return datetime.combine(value, time(), tzinfo=UTC)
    if isinstance(value, datetime):
        if value.tzinfo is None:
            return value.replace(tzinfo=UTC)
        try:
            return value.astimezone(UTC)
        except OverflowError:  # year 1 or 9999, shifted over the edge
            raise ValueError("in UTC it is out of range") from None
    if isinstance(value, str):  # as manifests hold it
        try:
            return as_utc(datetime.fromisoformat(value))
        except ValueError:
            raise ValueError("must be a date or a time, such as 2026-10-01") from None
    raise ValueError("must be a date or a time")


Moment = Annotated[datetime, BeforeValidator(as_utc, json_schema_input_type=date | datetime)]


def _as_texts(value: object) -> object:
    """One text stands for a list of it."""
    return (value,) if isinstance(value, str) else value


Files = Annotated[Texts, BeforeValidator(_as_texts, json_schema_input_type=Text | Texts)]


def _short_salt(salt: str) -> str:
    if len(salt.encode()) > MAX_SALT_BYTES:
        raise ValueError(f"must be at most {MAX_SALT_BYTES} bytes long")
    return salt


Salt = Annotated[str, AfterValidator(_short_salt)]


def _number_or_text(value: object) -> object:
    """What a manifest can hold: JSON has no `nan`; and `true` would be taken for 1."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        is_held = abs(value) < MAX_HYPER_PARAMETER
    else:
        is_held = isinstance(value, str)
    if not is_held:
        raise ValueError("must be a finite number or a text")
    return value


HyperParameter = Annotated[int | float | str, BeforeValidator(_number_or_text)]
