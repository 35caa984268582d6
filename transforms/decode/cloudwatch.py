"""Log lines out of CloudWatch Logs: what `aws logs`, Firehose and exports wrap around a record.

Formats: service model of CloudWatch Logs (FilterLogEvents, GetLogEvents, GetQueryResults); user
guide, "Subscription filters" (messages to Firehose), "Export log data to Amazon S3" and
"Export query results"; `aws logs tail help`.
"""

import re

import msgspec

from bedrock_sluice.transforms.decode.json_limits import MAX_BODY_KEYS, check_limits
from bedrock_sluice.transforms.errors import InputError

DATA_MESSAGE = "DATA_MESSAGE"
MESSAGE_FIELD = "@message"  # of Logs Insights

# What stands before an event: its time and, in the output of `aws logs tail`, its stream.
_EVENT_TIME = rb"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.\d+)?(?:[Zz]|[+-]\d\d:\d\d)?[ \t]+"
_EVENT_START = re.compile(_EVENT_TIME + rb"(?:[^\s{]\S*[ \t]+(?=\{))?")

_RECORD_START = b'{"schemaType"'  # as Bedrock writes records
_ENVELOPE_KEYS = re.compile(rb'"(?:logEvents|events|results|@message)"')


class _Event(msgspec.Struct, gc=False):
    message: msgspec.Raw = msgspec.Raw()


class _Field(msgspec.Struct, gc=False):
    field: str = ""
    value: msgspec.Raw = msgspec.Raw()


class _Envelope(msgspec.Struct, rename="camel", gc=False):
    """One of: a message to Firehose, an answer of CloudWatch Logs, a row of Logs Insights."""

    message_type: str = DATA_MESSAGE
    log_events: list[msgspec.Raw] = []
    events: list[msgspec.Raw] = []
    results: list[msgspec.Raw] = []
    message: msgspec.Raw = msgspec.field(name=MESSAGE_FIELD, default=msgspec.Raw())
    schema_type: msgspec.Raw = msgspec.Raw()
    request_id: msgspec.Raw = msgspec.Raw()


_ENVELOPE = msgspec.json.Decoder(_Envelope)
_EVENT = msgspec.json.Decoder(_Event)
_FIELDS = msgspec.json.Decoder(list[_Field])
_TEXT = msgspec.json.Decoder(str)
_UNREADABLE = (InputError, ValueError, RecursionError)  # msgspec's errors are ValueErrors


def bare_line(line: bytes) -> bytes:
    """The line without the time, and the stream, of its event in front."""
    if line.startswith(b"{"):
        return line
    start = _EVENT_START.match(line)
    return line[start.end() :] if start else line


def event_messages(line: bytes) -> list[bytes]:
    """The messages of the events in an envelope, in their order; none if it is not an envelope.

    An event that has no message stands for itself, so that it is counted.
    """
    if line.startswith(_RECORD_START) or not line.startswith(b"{"):
        return []
    if not _ENVELOPE_KEYS.search(line):
        return []
    try:
        check_limits(line, MAX_BODY_KEYS)
        envelope = _ENVELOPE.decode(line)
    except _UNREADABLE:
        return []
    if envelope.schema_type or envelope.request_id or envelope.message_type != DATA_MESSAGE:
        return []
    if envelope.message:
        return [_text(envelope.message)]
    events = [_event_message(event) for event in (*envelope.log_events, *envelope.events)]
    return events + [_field_message(fields) for fields in envelope.results]


def _event_message(event: msgspec.Raw) -> bytes:
    try:
        return _text(_EVENT.decode(event).message) or bytes(event)
    except _UNREADABLE:
        return bytes(event)


def _field_message(fields: msgspec.Raw) -> bytes:
    try:
        values = {each.field: each.value for each in _FIELDS.decode(fields)}
        return _text(values[MESSAGE_FIELD]) or bytes(fields)
    except (*_UNREADABLE, KeyError):
        return bytes(fields)


def _text(message: msgspec.Raw) -> bytes:
    """The text of a message; some tools write the record as JSON in its place."""
    text = bytes(message)
    return _TEXT.decode(text).encode() if text.startswith(b'"') else text
