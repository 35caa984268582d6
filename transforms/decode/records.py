"""Log lines to landed rows: the record is typed and checked, the bodies stay JSON text.

Format: AWS user guide, "Monitor model invocation using CloudWatch Logs and Amazon S3";
request metadata as in "Cost management with request metadata".
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec

from bedrock_sluice.transforms.decode.cloudwatch import bare_line, event_messages
from bedrock_sluice.transforms.decode.json_limits import check_limits, has_lone_surrogate
from bedrock_sluice.transforms.decode.lines import MAX_LISTED_REJECTS, Line, read_lines
from bedrock_sluice.transforms.errors import InputError
from bedrock_sluice.transforms.reasons import Reason

SCHEMA_TYPE = "ModelInvocationLog"
SCHEMA_MAJOR = "1"

# Bedrock writes this to CloudWatch Logs when logging is set up.
PERMISSION_CHECK = b"Permissions are correctly set for Amazon Bedrock logs."

_Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
_Id = Annotated[str, msgspec.Meta(min_length=1, max_length=256, pattern=r"\S")]  # not blank
_Row = dict[str, Any]


class _Identity(msgspec.Struct, gc=False):
    arn: str | None = None


class Given(msgspec.Struct, kw_only=True, gc=False):
    """What a record tells of its request, beside the body."""

    uri: str | None = msgspec.field(name="inputBodyS3Path", default=None)
    tokens: _Count | None = msgspec.field(name="inputTokenCount", default=None)


class Made(msgspec.Struct, kw_only=True, gc=False):
    """What a record tells of its response, beside the body."""

    uri: str | None = msgspec.field(name="outputBodyS3Path", default=None)
    tokens: _Count | None = msgspec.field(name="outputTokenCount", default=None)


class Envelope(msgspec.Struct, rename="camel", kw_only=True, gc=False):
    """What a record tells beside its request and response."""

    request_id: _Id
    timestamp: datetime
    schema_type: str = SCHEMA_TYPE
    schema_version: str = "1.0"
    account_id: str | None = None
    region: str | None = None
    model_id: str | None = None
    operation: str | None = None
    error_code: str | None = None
    identity: _Identity | None = None
    request_metadata: dict[str, str] | None = None


class _Input(Given, gc=False):
    body: msgspec.Raw = msgspec.field(name="inputBodyJson", default=msgspec.Raw())


class _Output(Made, gc=False):
    body: msgspec.Raw = msgspec.field(name="outputBodyJson", default=msgspec.Raw())


class _Record(Envelope, gc=False):
    input: _Input | None = None
    output: _Output | None = None


class _Marked(msgspec.Struct, rename="camel"):
    schema_type: msgspec.Raw = msgspec.Raw()
    request_id: msgspec.Raw = msgspec.Raw()


class _Named(msgspec.Struct, rename="camel"):
    request_id: _Id | None = None


_RECORD = msgspec.json.Decoder(_Record)
_MARKED = msgspec.json.Decoder(_Marked)
_NAMED = msgspec.json.Decoder(_Named)


def decode_object(raw: bytes, key: str) -> list[_Row]:
    """All rows of one log object; a line, or an object, that can't be read is a row with a reason.

    Rows carry the columns of `tables.LANDED` (absent means null), in the order of the lines;
    `tables.landed_table` makes a table of them.
    """
    return sorted(decode_rows(raw, key), key=lambda row: row["line"])


def decode_rows(raw: bytes, key: str) -> Iterator[_Row]:
    """The rows of `decode_object` one by one, those with a reason last."""
    rejects = Rejects(key)
    try:
        for number, line in read_log_lines(raw):
            row = decode_numbered(key, number, line)
            del line  # it may be large
            if "reason" in row:
                rejects.add(row)
            else:
                yield row
            del row
    except InputError as error:
        rejects.add(refused_object(key, error))
    yield from rejects.rows()


class Rejects:
    """The lines of one object that can't be read; where they are very many, one row for them."""

    def __init__(self, key: str) -> None:
        self._key = key
        self._rows = list[_Row]()
        self._number = 0

    def add(self, row: _Row) -> None:
        """Take one more."""
        self._number += 1
        if self._number <= MAX_LISTED_REJECTS:
            self._rows.append(row)

    def rows(self) -> list[_Row]:
        """All of them, or the one that stands for them."""
        if self._number <= MAX_LISTED_REJECTS:
            return self._rows
        detail = f"{self._number} lines"
        return [refused_object(self._key, InputError(Reason.PULL_TOO_MANY_REJECTS, detail))]


def read_log_lines(raw: bytes) -> Iterator[Line]:
    """The lines of one log object; what CloudWatch Logs put in envelopes is taken out of them.

    Each event counts as a line.

    Raises:
        InputError: as `read_lines` does, at once.
    """
    return _events(read_lines(raw, separate_objects=True))


def _events(lines: Iterator[Line]) -> Iterator[Line]:
    further = 0
    for number, line in lines:
        messages = [] if isinstance(line, Reason) else event_messages(line)
        yield number + further, messages[0] if messages else line
        del line  # it may be large
        for message in messages[1:]:
            further += 1
            yield number + further, message


def refused_object(key: str, error: InputError) -> _Row:
    """The row of an object that can't be read at all."""
    return {"object": key, "line": 0, "reason": error.reason, "detail": error.detail or None}


def decode_numbered(key: str, number: int, line: bytes | Reason) -> _Row:
    """The row of one line of `read_log_lines`."""
    row: _Row
    if isinstance(line, Reason):
        row = {"reason": line}
    else:
        try:
            row = decode_line(line)
        except InputError as error:
            row = {"reason": error.reason, "detail": error.detail or None}
            row["request_id"] = _known_id(line)
    row["object"], row["line"] = key, number
    return row


def decode_line(line: bytes) -> _Row:
    """One log line as a landed row without `object` and `line`.

    Raises:
        InputError: the line is not a readable invocation log record.
    """
    check_limits(line)  # before any parser sees it
    line = bare_line(line)
    try:
        record = _RECORD.decode(line)
    except msgspec.ValidationError as error:
        raise _misfit(line, error) from None
    except msgspec.DecodeError as error:
        raise _no_json(line, error) from None
    except UnicodeDecodeError:
        raise InputError(Reason.DECODE_BAD_ENCODING) from None
    except RecursionError:
        raise InputError(Reason.DECODE_TOO_DEEP) from None
    check_schema(record)
    return _row(record)


def check_schema(record: Envelope) -> None:
    """Refuse what is not a record of a known schema.

    Raises:
        InputError: it is none.
    """
    if record.schema_type != SCHEMA_TYPE:
        raise InputError(Reason.DECODE_NOT_A_RECORD, f"schemaType is not {SCHEMA_TYPE}")
    if record.schema_version.partition(".")[0] != SCHEMA_MAJOR:
        raise InputError(Reason.DECODE_UNKNOWN_SCHEMA, f"schemaVersion is not {SCHEMA_MAJOR}.x")


def _no_json(line: bytes, error: msgspec.DecodeError) -> InputError:
    """Tell why a line is no JSON."""
    if line.strip().endswith(PERMISSION_CHECK):
        return InputError(Reason.DECODE_NOT_A_RECORD, "Bedrock's permission check")
    if has_lone_surrogate(line):
        return InputError(Reason.DECODE_BAD_ENCODING, "half of a surrogate pair")
    is_torn = "truncated" in str(error)
    return InputError(Reason.DECODE_TORN_LINE if is_torn else Reason.DECODE_BAD_JSON)


def _known_id(line: bytes) -> str | None:
    """Return the request id of a line that is not a whole record, so that `explain` finds it."""
    try:
        return _NAMED.decode(bare_line(line)).request_id
    except (ValueError, RecursionError):
        return None


def _misfit(line: bytes, error: msgspec.ValidationError) -> InputError:
    """Tell a record with a bad field from JSON that never was a record."""
    try:
        marks = _MARKED.decode(line)
    except (ValueError, RecursionError):
        return InputError(Reason.DECODE_NOT_A_RECORD)
    if not marks.schema_type and not marks.request_id:
        return InputError(Reason.DECODE_NOT_A_RECORD)
    return InputError(Reason.DECODE_BAD_FIELD, str(error))  # names types and the path, no values


def _row(record: _Record) -> _Row:
    request_part, response_part = record.input or _Input(), record.output or _Output()
    input_body, output_body = _text(request_part.body), _text(response_part.body)
    return {
        "request_id": record.request_id,
        "timestamp": as_utc(record.timestamp),
        "account_id": record.account_id,
        "region": record.region,
        "model_id": record.model_id,
        "operation": record.operation,
        "identity_arn": record.identity.arn if record.identity else None,
        "error_code": record.error_code,
        "input_tokens": request_part.tokens,
        "output_tokens": response_part.tokens,
        "request_metadata": list(record.request_metadata.items())
        if record.request_metadata is not None
        else None,
        "input_body": input_body,
        "output_body": output_body,
        "input_body_uri": request_part.uri,
        "output_body_uri": response_part.uri,
    }


def _text(body: msgspec.Raw) -> str | None:
    try:
        text = str(body, "utf-8")
    except UnicodeDecodeError:
        raise InputError(Reason.DECODE_BAD_ENCODING) from None
    return text if text and text != "null" else None


def as_utc(at: datetime) -> datetime:
    """Bedrock logs in UTC; a timestamp without a zone is read as UTC.

    Raises:
        InputError: in UTC it is out of range.
    """
    if at.tzinfo is UTC:
        return at
    try:
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except OverflowError:  # year 1 or 9999, shifted over the edge
        raise InputError(Reason.DECODE_BAD_FIELD, "timestamp is out of range") from None
