"""Log lines to landed rows: what is taken over, what is refused, and what is said about it."""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock_sluice.transforms.decode import records
from bedrock_sluice.transforms.decode.records import decode_line, decode_object
from bedrock_sluice.transforms.errors import InputError
from bedrock_sluice.transforms.reasons import Reason
from bedrock_sluice.transforms.tables import LANDED, landed_table

Json = dict[str, Any]
Make = Callable[..., Json]
Pack = Callable[[Sequence[Json | bytes]], bytes]


def test_every_column_comes_from_its_field(record: Make) -> None:
    log_record = record(
        "anthropic_messages",
        metadata={"team": "math", "empty": ""},
        input={"inputBodyJson": {"messages": []}, "inputTokenCount": 11},
        output={"outputBodyS3Path": "s3://logs/data/a_output.json.gz", "outputTokenCount": 5},
        errorCode="ThrottlingException",
    )
    row = decode_line(json.dumps(log_record).encode())
    assert row == {
        "request_id": "request-1",
        "timestamp": datetime(2026, 10, 1, 12, tzinfo=UTC),
        "account_id": "111122223333",
        "region": "us-east-1",
        "model_id": "anthropic.claude-3-haiku-20240307-v1:0",
        "operation": "InvokeModel",
        "identity_arn": "arn:aws:iam::111122223333:role/app",
        "error_code": "ThrottlingException",
        "input_tokens": 11,
        "output_tokens": 5,
        "request_metadata": [("team", "math"), ("empty", "")],
        "input_body": '{"messages": []}',
        "output_body": None,
        "input_body_uri": None,
        "output_body_uri": "s3://logs/data/a_output.json.gz",
    }


@pytest.mark.parametrize(
    ("timestamp", "read"),
    [
        ("2026-10-01T12:00:02Z", datetime(2026, 10, 1, 12, 0, 2, tzinfo=UTC)),
        ("2026-10-01T12:00:02.250Z", datetime(2026, 10, 1, 12, 0, 2, 250_000, tzinfo=UTC)),
        ("2026-10-01T12:00:02", datetime(2026, 10, 1, 12, 0, 2, tzinfo=UTC)),
        ("2026-10-01T21:30:02+09:30", datetime(2026, 10, 1, 12, 0, 2, tzinfo=UTC)),
        ("2999-12-31T23:59:59Z", datetime(2999, 12, 31, 23, 59, 59, tzinfo=UTC)),
    ],
)
def test_times_are_utc(record: Make, timestamp: str, read: datetime) -> None:
    row = decode_line(json.dumps(record(timestamp=timestamp)).encode())
    assert row["timestamp"] == read
    assert row["timestamp"].utcoffset().total_seconds() == 0


def test_bodies_are_kept_to_the_letter(record: Make) -> None:
    """Their digits, escapes, blanks and repeated keys are the reader's business."""
    body = '{ "a" : 1.50, "a":"\\u00e9é\u2028", "n": 123456789012345678901234567890}'
    line = json.dumps(record(input={"inputBodyJson": "BODY"})).replace('"BODY"', body)
    assert decode_line(line.encode())["input_body"] == body


def test_an_object_that_cannot_be_read_is_one_row_on_line_0(log_object: Pack, record: Make) -> None:
    (row,) = decode_object(log_object([record()])[:-3], "a.json.gz")
    assert (row["object"], row["line"], row["reason"]) == ("a.json.gz", 0, "pull_corrupt_gzip")


def test_rows_keep_the_numbers_of_their_lines(log_object: Pack, record: Make) -> None:
    lines: list[Json | bytes] = [record(request_id="a"), b"", b"oops", record(request_id="b")]
    rows = decode_object(log_object(lines), "a.json.gz")
    values = [(row["line"], row.get("request_id"), row.get("reason")) for row in rows]
    assert values == [(1, "a", None), (3, None, Reason.DECODE_BAD_JSON), (4, "b", None)]


def test_very_many_rejects_of_an_object_are_one(
    log_object: Pack, record: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "MAX_LISTED_REJECTS", 5)
    lines: list[Json | bytes] = [b"oops"] * 5
    rows = decode_object(log_object([record(), *lines, record()]), "a")
    assert [row["line"] for row in rows] == [1, 2, 3, 4, 5, 6, 7]
    rows = decode_object(log_object([record(), *lines, b"oops", record()]), "a")
    values = [(row["line"], row.get("reason"), row.get("detail")) for row in rows]
    assert values == [(0, "pull_too_many_rejects", "6 lines"), (1, None, None), (8, None, None)]


def test_a_record_that_is_refused_is_still_found_by_its_id(log_object: Pack, record: Make) -> None:
    lines: list[Json | bytes] = [
        record(request_id="drifted", modelId=7),
        record(request_id="newer", schemaVersion="2.0"),
        {"requestId": "timeless"},
        {"requestId": 7},
        json.dumps(record(request_id="torn")).encode()[:-1],
        record(request_id=" \t"),
    ]
    rows = decode_object(log_object(lines), "a.json.gz")
    assert all("reason" in row for row in rows)
    assert [r.get("request_id") for r in rows] == ["drifted", "newer", "timeless", *[None] * 3]
    assert rows[-1]["reason"] is Reason.DECODE_BAD_FIELD


def test_the_same_bodies_have_the_same_digest_and_others_another(record: Make) -> None:
    def digest(**change: object) -> str:
        row = decode_line(json.dumps(record(**change)).encode())
        (value,) = landed_table([row])["body_digest"].to_pylist()
        return str(value)

    same = {digest(), digest(request_id="other"), digest(metadata={"a": "b"})}
    assert len(same) == 1
    others = {digest(ask="other"), digest(reply="other"), digest(input=None), digest(output=None)}
    assert len(same | others) == 5


def test_rows_make_a_table_of_the_landed_schema(log_object: Pack, record: Make) -> None:
    rows = decode_object(log_object([record(metadata={"a": "b"}), record(), b"oops"]), "a")
    table = landed_table(rows)
    assert table.schema.equals(LANDED)
    assert table["request_metadata"].to_pylist() == [[("a", "b")], None, None]
    assert table["reason"].to_pylist() == [None, None, "decode_bad_json"]
    assert landed_table([]).schema.equals(LANDED)


def test_a_detail_never_repeats_what_the_log_holds(log_object: Pack, record: Make) -> None:
    """Details are shown to people and kept with the fates, so they tell types and places only."""
    canary = "AKIAIOSFODNN7EXAMPLE"
    odd_lines: list[Json | bytes] = [
        record(**{name: value})
        for name in ("timestamp", "modelId", "requestMetadata", "input", "identity", "requestId")
        for value in ([canary], {canary: [canary]}, {"arn": [canary]}, canary * 20)
    ]
    odd_lines += [record(schemaType=canary), record(schemaVersion=canary), canary.encode()]
    rejects = [row for row in decode_object(log_object(odd_lines), "a") if "reason" in row]
    assert len(rejects) > 20
    assert canary not in " ".join(str(row["detail"]) for row in rejects)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
_FIELDS = (
    "schemaType", "schemaVersion", "timestamp", "requestId", "identity", "modelId",
    "input", "output", "requestMetadata", "novel",
)  # fmt: skip


@given(changes=st.dictionaries(st.sampled_from(_FIELDS), _JSON, max_size=3))
def test_a_record_of_any_fields_is_read_or_refused(record: Make, changes: Json) -> None:
    line = json.dumps(record() | changes).encode()
    try:
        row = decode_line(line)
    except InputError as error:
        assert error.reason in set(Reason)  # noqa: PT017 - both outcomes are good
    else:
        assert landed_table([row | {"object": "a", "line": 1}]).num_rows == 1


@given(content=st.binary(max_size=200))
def test_any_bytes_are_a_row_or_refused(log_object: Pack, content: bytes) -> None:
    rows = decode_object(log_object([content]), "a")
    assert landed_table(rows).num_rows == len(rows)
    assert all(row["reason"] in set(Reason) for row in rows)
