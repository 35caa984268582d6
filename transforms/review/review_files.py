"""Review files, as the page of a sheet saves them, and review records, as the lake keeps them.

Both are public JSON files with a `schema_version`; docs/review.md describes every field.
"""

import re
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Annotated, Any, Final, Literal

import msgspec

from bedrock_sluice.transforms.decode.json_limits import check_limits
from bedrock_sluice.transforms.errors import ConfigError, InputError, IntegrityError

SCHEMA_VERSION: Final = 1

MAX_FILE_BYTES = 32 << 20
MAX_LINES = 20_000  # that one file judges
MAX_COMMENT_CHARS = 4_000
MAX_CORRECTION_BYTES = 64 << 10  # of its JSON
MAX_REVIEWER_CHARS = 128

Verdict = Literal["right", "wrong", "unsure"]

_Digest = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
_Time = Annotated[datetime, msgspec.Meta(tz=True)]
_Count = Annotated[int, msgspec.Meta(ge=0, le=MAX_LINES)]
_PLACE = re.compile(r"`(\$[^`]*)`")  # where in the JSON, as msgspec's messages end


class ReleaseKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The release that a sheet shows: its name, its id and its digest."""

    name: str
    id: str
    digest: _Digest


class SheetOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the lines of a sheet were selected: `lines` by reason, `sample` at random by `seed`."""

    lines: _Count
    sample: _Count
    seed: Annotated[int, msgspec.Meta(ge=0, le=2**53)]


class LineReview(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a reviewer says of a line; a corrected answer means that the answer was wrong.

    The correction is a reference answer as the line holds it, or a text that the template reads.
    Without a verdict there is only a comment.
    """

    verdict: Verdict | None = None
    corrected_answer: dict[str, Any] | str | None = None
    comment: Annotated[str, msgspec.Meta(max_length=MAX_COMMENT_CHARS)] = ""


class ReviewFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One reviewer's verdicts on the lines of one sheet, by the id of the line.

    `saved_at` is the time of saving by the clock of the reviewer's machine.
    """

    schema_version: Literal[1] = SCHEMA_VERSION
    release: ReleaseKey
    sheet: SheetOptions
    reviewer: str
    saved_at: _Time
    lines: dict[str, LineReview]


class JudgedLine(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A verdict with what it is about: the prompt and the reference answer of the line.

    `is_sampled` lines belong to the random sample of the sheet.
    """

    id: str
    prompt_digest: str
    reference_answer: dict[str, Any] | str | None
    reference_source: str
    is_sampled: bool
    verdict: Verdict | None
    corrected_answer: dict[str, Any] | str | None = None
    comment: str = ""


class ReviewRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A review file that was applied: immutable, and complete without the release's lines."""

    schema_version: Literal[1] = SCHEMA_VERSION
    release: ReleaseKey
    sheet: SheetOptions
    reviewer: str
    saved_at: _Time
    lines: list[JudgedLine]


class _Version(msgspec.Struct):
    schema_version: int


def decode_review_file(content: bytes, place: str) -> ReviewFile:
    """Read and check the bytes of a review file; `place` is its path, for errors.

    Raises:
        ConfigError: it is not a review file, of another version, or over a limit. No message holds
            anything of the file but its version.
    """
    if len(content) > MAX_FILE_BYTES:
        raise ConfigError(f"over {MAX_FILE_BYTES >> 20} MiB", place=place, hint=_SAVE_AGAIN)
    try:
        check_limits(content)
        version = msgspec.json.decode(content, type=_Version).schema_version
        if version != SCHEMA_VERSION:
            raise ConfigError(
                f"schema_version {version} is not supported; this Sluice reads {SCHEMA_VERSION}",
                place=place,
                value=version,
                hint="upgrade bedrock-sluice, or write the sheet again with this version",
            )
        review = msgspec.json.decode(content, type=ReviewFile)
    except (InputError, ValueError, RecursionError) as error:
        path = _PLACE.search(str(error))
        where = f" (at {path[1]})" if path else ""
        raise ConfigError(f"not a review file{where}", place=place, hint=_SAVE_AGAIN) from None
    if not is_reviewer(review.reviewer):
        raise ConfigError(
            f"reviewer must be a name of 1 to {MAX_REVIEWER_CHARS} printable characters",
            place=place,
            hint="enter your name in the sheet and save again",
        )
    if len(review.lines) > MAX_LINES:
        raise ConfigError(f"judges over {MAX_LINES:,} lines", place=place, hint=_SAVE_AGAIN)
    for number, line in enumerate(review.lines.values(), start=1):
        _check_line(line, f"{place}, line {number:,}")
    return review


_SAVE_AGAIN = "open the sheet in a browser, load your last file there, and save again"


def is_reviewer(name: str) -> bool:
    """Return whether a text can be the name of a reviewer."""
    return name == name.strip() and 0 < len(name) <= MAX_REVIEWER_CHARS and name.isprintable()


def _check_line(line: LineReview, place: str) -> None:
    correction = line.corrected_answer
    if correction is None:
        return
    if line.verdict != "wrong":
        raise ConfigError(
            'a line with a corrected answer must have the verdict "wrong"',
            place=place,
            hint="delete the correction in the sheet, or judge the answer as wrong",
        )
    if len(msgspec.json.encode(correction)) > MAX_CORRECTION_BYTES:
        limit = f"{MAX_CORRECTION_BYTES >> 10} KiB"
        raise ConfigError(f"the corrected answer is over {limit}", place=place, hint="shorten it")


def encode_record(record: ReviewRecord) -> bytes:
    """Return the bytes of a record: equal for equal reviews, however the file was formatted."""
    return msgspec.json.encode(record, order="deterministic") + b"\n"


def decode_record(content: bytes, place: str) -> ReviewRecord:
    """Read the bytes of a record; `place` is its path or URI, for errors.

    Raises:
        IntegrityError: it is not a record, or a newer version of Sluice wrote it.
    """
    try:
        return msgspec.json.decode(content, type=ReviewRecord)
    except (ValueError, RecursionError):
        raise IntegrityError(
            "not a review record of this version of Sluice",
            place=place,
            hint="upgrade bedrock-sluice, or find out who wrote it and move it away",
        ) from None


def judged_lines(
    review: ReviewFile, lines: Mapping[str, JudgedLine], sample: Collection[str], place: str
) -> list[JudgedLine]:
    """Return the verdicts of a file, by id, each with its line of the release from `lines`.

    `sample` are the ids of the random sample of its sheet.

    Raises:
        ConfigError: an id is not a line of the release.
    """
    unknown = sum(line_id not in lines for line_id in review.lines)
    if unknown:
        raise ConfigError(
            f"{unknown:,} of {len(review.lines):,} ids are not lines of {review.release.id}",
            place=place,
            hint="apply the file that the page saved, unchanged",
        )
    return [
        msgspec.structs.replace(
            lines[line_id],
            is_sampled=line_id in sample,
            verdict=each.verdict,
            corrected_answer=each.corrected_answer,
            comment=each.comment,
        )
        for line_id, each in sorted(review.lines.items())
    ]
