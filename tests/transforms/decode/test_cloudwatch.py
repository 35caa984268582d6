"""Records out of CloudWatch Logs: every form of its output gives the records that went in."""

import gzip
import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.protocols import MakeRecord

from bedrock_sluice.transforms.decode import lines
from bedrock_sluice.transforms.decode.cloudwatch import event_messages
from bedrock_sluice.transforms.decode.records import decode_object

Json = dict[str, Any]

STREAM = "aws/bedrock/modelinvocations"
TIME = "2026-10-01T12:00:00.123000+00:00"
CHECK = "Permissions are correctly set for Amazon Bedrock logs."
CONTROL = {
    "messageType": "CONTROL_MESSAGE",
    "owner": "CloudwatchLogs",
    "logGroup": "",
    "logStream": "",
    "subscriptionFilters": [],
    "logEvents": [{"id": "", "timestamp": 1, "message": "CWL CONTROL MESSAGE: Checking health."}],
}


def subscription(*messages: str) -> str:
    """A message of CloudWatch Logs to Firehose."""
    events = [{"id": str(n), "timestamp": 1, "message": m} for n, m in enumerate(messages)]
    return json.dumps({**CONTROL, "messageType": "DATA_MESSAGE", "logEvents": events})


def answer(messages: Sequence[str], indent: int | None = None) -> str:
    """What `aws logs filter-log-events` prints."""
    events = [{"logStreamName": STREAM, "timestamp": 1, "message": m} for m in messages]
    return json.dumps({"events": events, "searchedLogStreams": []}, indent=indent)


def query(messages: Sequence[str], indent: int | None = None) -> str:
    """What `aws logs get-query-results` prints."""
    rows = [
        [{"field": "@timestamp", "value": "x"}, {"field": "@message", "value": m}] for m in messages
    ]
    return json.dumps({"results": rows, "statistics": {}, "status": "Complete"}, indent=indent)


FORMS: dict[str, Callable[[Sequence[str]], str]] = {
    "export": lambda ms: "".join(f"2026-10-01T12:00:00.123Z {m}\n" for m in ms),
    "tail": lambda ms: "".join(f"{TIME} {STREAM} {m}\n" for m in ms),
    "tail, short": lambda ms: "".join(f"2026-10-01T12:00:00 {m}\n" for m in ms),
    "tail, json": lambda ms: "".join(
        f"{TIME} {STREAM} {json.dumps(json.loads(m), indent=4)}\n" for m in ms
    ),
    "tail, json, after the check": lambda ms: (
        f"{TIME} {STREAM} {CHECK}\n" + FORMS["tail, json"](ms)
    ),
    "one subscription": lambda ms: subscription(*ms),
    "subscriptions by line": lambda ms: "".join(subscription(m) + "\n" for m in ms),
    "subscriptions in a row": lambda ms: "".join(map(subscription, ms)),
    "extracted messages in a row": "".join,
    "answer": answer,
    "answer, pretty": lambda ms: answer(ms, 4),
    "query": query,
    "query, pretty": lambda ms: query(ms, 4),
    "query from the console": lambda ms: json.dumps([{"@message": m} for m in ms]),
    "query with parsed messages": lambda ms: json.dumps([{"@message": json.loads(m)} for m in ms]),
}  # fmt: skip


def messages_of(record: MakeRecord, number: int = 3) -> list[str]:
    """Records as messages; one quotes an envelope, and ends with what looks like two objects."""
    asks = [f'{n} }}{{"a":1}} "logEvents": [] {{' for n in range(number)]
    return [json.dumps(record(request_id=f"r{n}", ask=ask)) for n, ask in enumerate(asks)]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("gzip_layers", [0, 1, 2])
@pytest.mark.parametrize("chunk", [lines.CHUNK_BYTES, 7])
def test_every_form_gives_the_records_that_went_in(
    record: MakeRecord,
    monkeypatch: pytest.MonkeyPatch,
    form: str,
    gzip_layers: int,
    chunk: int,
) -> None:
    monkeypatch.setattr(lines, "CHUNK_BYTES", chunk)
    monkeypatch.setattr(lines, "HELD_BYTES", lines.HELD_BYTES if "query" in form else 1 << 12)
    messages = messages_of(record)
    raw = FORMS[form](messages).encode()
    for _ in range(gzip_layers):
        raw = gzip.compress(raw, mtime=0)
    rows = decode_object(raw, "a")
    plain = decode_object("\n".join(messages).encode(), "a")
    read = [row for row in rows if "reason" not in row]
    assert [row["request_id"] for row in read] == ["r0", "r1", "r2"]
    bodies = [[json.loads(row[side]) for row in rows_] for rows_ in (read, plain)
              for side in ("input_body", "output_body")]  # fmt: skip
    assert bodies[:2] == bodies[2:]
    numbers = [row["line"] for row in rows]
    assert numbers == sorted(set(numbers))
    assert len(rows) == 3 + ("check" in form)


def test_a_message_that_is_not_a_record_costs_itself_alone(record: MakeRecord) -> None:
    good = json.dumps(record())
    odd: list[Any] = [
        {"message": 7},
        {},
        7,
        {"message": None},
        {"message": good[:-9]},
        {"message": CHECK},
    ]
    events = [{"message": good}, *odd, {"message": subscription(good)}, {"message": good}]
    rows = decode_object(json.dumps({"events": events}).encode() + b"\n" + good.encode(), "a")
    assert [row["line"] for row in rows] == list(range(1, 11))
    reasons = [row.get("reason") for row in rows]
    not_one = "decode_not_a_record"
    assert reasons == [
        None,
        not_one,
        not_one,
        not_one,
        not_one,
        "decode_torn_line",
        not_one,
        not_one,
        None,
        None,
    ]


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(CONTROL),
        subscription(),
        answer([]),
        query([]),
        json.dumps({"results": [[{"field": "requestId", "value": "r"}]]}),
        f"{TIME} {STREAM} {CHECK}",
        f"2026-10-01T12:00:00.000Z {CHECK}",
    ],
)
def test_what_holds_no_record_has_one_reason(text: str) -> None:
    (row,) = decode_object(text.encode(), "a")
    assert row["reason"] == "decode_not_a_record"


def test_a_record_is_never_taken_for_an_envelope(record: MakeRecord) -> None:
    log_record = record(events=[{"message": "{}"}], logEvents=[{}])
    del log_record["schemaType"]
    line = json.dumps(log_record).encode()
    assert event_messages(line) == []
    assert [row["request_id"] for row in decode_object(line, "a")] == ["request-1"]


_JSON = st.recursive(
    st.none() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["message", "field", "value", "@message"]), inner, max_size=3
        )
    ),
    max_leaves=8,
)


@given(
    envelope=st.dictionaries(
        st.sampled_from(["logEvents", "events", "results", "@message", "messageType"]), _JSON
    )
)
def test_any_envelope_is_rows_with_reasons(envelope: Json) -> None:
    rows = decode_object(json.dumps(envelope).encode(), "a")
    assert rows
    assert all(row["reason"] for row in rows)
    assert [row["line"] for row in rows] == list(range(1, len(rows) + 1))
