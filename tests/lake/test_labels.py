"""Label tables of every kind, in a folder and on S3, and what is said of those that are wrong."""

from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any

import boto3
import polars as pl
import pytest

from bedrock_sluice.lake.labels import read_labels
from bedrock_sluice.transforms.errors import ConfigError

Json = dict[str, Any]


def parquet(**columns: list[Any]) -> bytes:
    """The bytes of a Parquet file."""
    out = BytesIO()
    pl.DataFrame(columns).write_parquet(out)
    return out.getvalue()


@pytest.fixture
def labels(tmp_path: Path) -> Callable[[str, bytes], list[Json]]:
    """Writes a label table and reads it."""

    def read(name: str, content: bytes) -> list[Json]:
        (tmp_path / name).write_bytes(content)
        return read_labels(name, tmp_path).rows

    return read


@pytest.mark.parametrize(
    ("name", "content", "rows"),
    [
        (
            "a.jsonl",
            b'{"request_id":"r1","answer":4,"steps":["a"]}\n\n \r\n{"request_id":"r2"}',
            [{"request_id": "r1", "answer": 4, "steps": ["a"]}, {"request_id": "r2"}],
        ),
        ("a.jsonl", b"", []),
        (
            "a.csv",
            b'request_id,answer,note\n007,0042,"a, ""b""\nc"\nr2,,\n',
            [
                {"request_id": "007", "answer": "0042", "note": 'a, "b"\nc'},
                {"request_id": "r2", "answer": None, "note": None},
            ],
        ),
        ("a.csv", b"request_id,answer\n", []),
        (
            "a.csv",
            b'request_id, steps_json ,,note_json,=1+1\nr1,"[""a"", 1]",x,,=2\n,,,,\n\n',
            [{"request_id": "r1", "steps": ["a", 1], "note": None, "=1+1": "=2"}],
        ),
        ("a.csv", b"\xef\xbb\xbfrequest_id,n\r\nr1,4\r\n", [{"request_id": "r1", "n": "4"}]),
        ("a.jsonl", b'\xef\xbb\xbf{"request_id":"r1"}\n', [{"request_id": "r1"}]),
        (
            "a.parquet",
            parquet(request_id=["r1", "r2"], answer=[4, None], steps=[["a"], []]),
            [
                {"request_id": "r1", "answer": 4, "steps": ["a"]},
                {"request_id": "r2", "answer": None, "steps": []},
            ],
        ),
    ],
    ids=[
        "jsonl", "no labels", "csv is all text", "csv without rows",
        "csv with JSON in it and empty rows",
        "csv as a spreadsheet writes it", "jsonl with a byte order mark", "parquet keeps its types",
    ],
)  # fmt: skip
def test_labels_are_read_in_their_order(
    labels: Callable[[str, bytes], list[Json]], name: str, content: bytes, rows: list[Json]
) -> None:
    assert labels(name, content) == rows


def test_the_digest_is_that_of_the_file(tmp_path: Path) -> None:
    content = b'{"request_id":"r1"}\n'
    (tmp_path / "a.jsonl").write_bytes(content)
    assert read_labels("a.jsonl", tmp_path).sha256 == sha256(content).hexdigest()


def test_a_table_is_found_below_beside_and_by_its_full_path(tmp_path: Path) -> None:
    path = tmp_path / "a/b/labels.jsonl"
    path.parent.mkdir(parents=True)
    path.write_bytes(b'{"request_id":"r1"}')
    (tmp_path / "elsewhere").mkdir()
    for uri in ("a/b/labels.jsonl", "./a/b/labels.jsonl", str(path)):
        assert read_labels(uri, tmp_path).rows
    assert read_labels("../a/b/labels.jsonl", tmp_path / "elsewhere").rows
    assert read_labels(str(path), tmp_path / "elsewhere").rows


def test_a_table_may_lie_on_s3(bucket: str, tmp_path: Path) -> None:
    for key in ("labels.csv", "some/prefix/labels.csv"):
        boto3.client("s3").put_object(Bucket=bucket, Key=key, Body=b"request_id\nr1\n")
        assert read_labels(f"s3://{bucket}/{key}", tmp_path).rows == [{"request_id": "r1"}]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"", r"must end in one of \.jsonl, \.csv, \.parquet"),
        ("a.jsonl.gz", b"", "must end in one of"),
        ("a.jsonl", b'{"request_id":"r1"}\n{"SECRET":', "a.jsonl:2: no JSON object"),
        ("a.jsonl", b'\n["SECRET"]', "a.jsonl:2: no JSON object"),
        ("a.jsonl", b'"SECRET"', "a.jsonl:1: no JSON object"),
        ("a.jsonl", b'{"request_id":"SECRET\xff"}', "a.jsonl:1: no JSON object"),
        ("a.jsonl", b'{"a":' + b"[" * 100_000, "a.jsonl:1: no JSON object"),
        ("a.jsonl", b'{"answer":"SECRET"}', "every row needs a request_id"),
        ("a.jsonl", b'{"request_id":7,"answer":"SECRET"}', "every row needs a request_id"),
        ("a.jsonl", b'{"request_id":null}', "every row needs a request_id"),
        ("a.csv", b"answer\nSECRET\n", "every row needs a request_id"),
        ("a.csv", b"request_id,answer\n,SECRET\n", "every row needs a request_id"),
        ("a.csv", b"", "a.csv: no header"),
        ("a.csv", b"request_id,a\nr1,SECRET,c,d\n", "a.csv:2: 4 cells, but the header has 2"),
        ("a.csv", b"request_id,a\nr1,SECRET\xff\xfe\n", "a.csv:2: not UTF-8"),
        ("a.csv", b"request_id,a\nr1\n", "a.csv:2: 1 cells, but the header has 2"),
        ("a.csv", b'request_id,a\nr1,"b\n\nc"\nr2,SECRET,c\n', "a.csv:5: 3 cells"),
        ("a.csv", b'request_id,a\nr1,b\nr2,"SECRET\n\n', "a.csv:3: no CSV: unexpected end"),
        ("a.csv", b'request_id,a\nr1,"b"SECRET\n', "a.csv:2: no CSV: "),
        ("a.csv", b"request_id,a\nr1," + b"SECRET" * 30_000, "a.csv:2: no CSV: field larger"),
        ("a.csv", b"request_id,SECRET,b, SECRET\n", "a.csv:1: named columns 2 and 4 hold the same"),
        ("a.csv", b"request_id,a,a_json\n", "a.csv:1: named columns 2 and 3 hold the same"),
        ("a.csv", b"request_id,a_json\nr1,[1\n", "a.csv:2: column 2 holds no JSON"),
        (
            "a.csv",
            b"request_id,a\nr1,b\nr2,SEC\0RET\n",
            "a.csv:3: holds NUL; save the table as UTF",
        ),
        ("a.csv", "request_id,a\nr1,SECRET\n".encode("utf-16"), "a.csv:1: holds NUL"),
        ("a.jsonl", b'{"request_id":"r1\0"}', "a.jsonl:1: no JSON object"),
        (
            "a.jsonl",
            b'{"request_id":"r1"}\n{"request_id":" "}',
            "a.jsonl:2: every row needs a request",
        ),
        ("a.csv", b"request_id\nr1\n\n\nr2\n,\n", "a.csv:6: 2 cells, but the header has 1"),
        ("a.csv", b"request_id,labelled_at\nr1,SECRET\n", "a.csv:2: labelled_at is not a time"),
        (
            "a.jsonl",
            b'{"request_id":"r1","labelled_at":17}',
            "a.jsonl:1: labelled_at is not a time",
        ),
        (
            "a.jsonl",
            b'{"request_id":"r1","labelled_at":""}',
            "a.jsonl:1: labelled_at is not a time",
        ),
        (
            "a.jsonl",
            b'{"request_id":"r1","labelled_at":"0001-01-01T00:00+12:00"}',
            "a.jsonl:1: labelled_at is not a time",
        ),
        ("a.parquet", b"SECRET", "not readable"),
        ("a.parquet", b"", "not readable"),
        ("a.parquet", parquet(request_id=["r1"])[:-20], "not readable"),
        ("a.parquet", parquet(request_id=[1, 2]), "every row needs a request_id"),
        ("a.parquet", parquet(answer=["SECRET"]), "every row needs a request_id"),
    ],
)
def test_a_table_that_is_wrong_is_told_without_its_content(
    labels: Callable[[str, bytes], list[Json]], name: str, content: bytes, message: str
) -> None:
    with pytest.raises(ConfigError, match=message) as refusal:
        labels(name, content)
    assert str(refusal.value).startswith(f"label table {name}")
    assert "SECRET" not in str(refusal.value)


@pytest.mark.parametrize("uri", ["nothing.jsonl", "no/folder/a.jsonl", "folder.jsonl"])
def test_a_table_that_is_not_there_is_told(tmp_path: Path, uri: str) -> None:
    (tmp_path / "folder.jsonl").mkdir()
    with pytest.raises(ConfigError, match=f"label table {uri}: no such file"):
        read_labels(uri, tmp_path)


def test_a_bucket_that_is_not_there_is_told(
    aws: Callable[[str], None], moto_url: str, tmp_path: Path
) -> None:
    aws(moto_url)
    with pytest.raises(ConfigError, match="no such bucket"):
        read_labels("s3://no-such-bucket/labels.jsonl", tmp_path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl", b'{"request_id":"r1","labelled_at":"2026-10-31T18:00:00+02:00"}'),
        ("a.csv", b"request_id,labelled_at\nr1,2026-10-31 16:00\n"),
        ("a.parquet", parquet(request_id=["r1"], labelled_at=[datetime(2026, 10, 31, 16)])),
        (
            "a.parquet",
            parquet(request_id=["r1"], labelled_at=[datetime(2026, 10, 31, 16, tzinfo=UTC)]),
        ),
        ("a.parquet", parquet(request_id=["r1"], labelled_at=["2026-10-31T16:00:00Z"])),
    ],
)
def test_the_time_of_a_label_is_in_utc(
    labels: Callable[[str, bytes], list[Json]], name: str, content: bytes
) -> None:
    (row,) = labels(name, content)
    assert row["labelled_at"] == datetime(2026, 10, 31, 16, tzinfo=UTC)
    assert row["labelled_at"].tzinfo is UTC


def test_a_day_is_its_midnight_and_no_time_is_none(
    labels: Callable[[str, bytes], list[Json]],
) -> None:
    day = datetime(2026, 10, 31, tzinfo=UTC)
    (row,) = labels("a.parquet", parquet(request_id=["r1"], labelled_at=[day.date()]))
    assert row["labelled_at"] == day
    (row,) = labels("a.csv", b"request_id,labelled_at\nr1,\n")
    assert row["labelled_at"] is None


def test_labels_know_their_place(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b'request_id,a\nr1,"\n"\n\nr2,b\n')
    labels = read_labels("a.csv", tmp_path, kind="feedback table")
    assert [place for place, _ in labels.rows_with_place()] == [
        "feedback table a.csv:2",
        "feedback table a.csv:5",
    ]
    assert [row["request_id"] for _, row in labels.rows_with_place()] == ["r1", "r2"]


@pytest.mark.parametrize(
    ("content", "value"),
    [(b'{"ticket":4711}', "4711"), (b'{"ticket":"a b"}', "a b"), (b'{"ticket":-1}', "-1")],
)
def test_a_metadata_key_may_be_a_number(tmp_path: Path, content: bytes, value: str) -> None:
    (tmp_path / "a.jsonl").write_bytes(content)
    assert read_labels("a.jsonl", tmp_path, key="ticket").rows == [{"ticket": value}]


@pytest.mark.parametrize("content", [b'{"ticket":true}', b'{"ticket":1.5}', b'{"request_id":"r"}'])
def test_a_metadata_key_must_be_there(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.jsonl").write_bytes(content)
    with pytest.raises(ConfigError, match=r"a\.jsonl:1: every row needs a ticket"):
        read_labels("a.jsonl", tmp_path, key="ticket")


def test_a_table_over_a_limit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = "".join(f'{{"request_id":"r{n}"}}\n' for n in range(3))
    (tmp_path / "a.jsonl").write_text(texts)
    monkeypatch.setattr("bedrock_sluice.lake.labels.MAX_TABLE_ROWS", 2)
    with pytest.raises(ConfigError, match=r"a\.jsonl: over 2 rows"):
        read_labels("a.jsonl", tmp_path)
    (tmp_path / "a.parquet").write_bytes(parquet(request_id=["r"] * 2, a=["x" * (1 << 20)] * 2))
    monkeypatch.setattr("bedrock_sluice.lake.labels.MAX_TABLE_BYTES", 3 << 19)
    with pytest.raises(ConfigError, match=r"a\.parquet: over 1 MiB"):
        read_labels("a.parquet", tmp_path)
    monkeypatch.setattr("bedrock_sluice.lake.labels.MAX_TABLE_BYTES", 10)
    with pytest.raises(ConfigError, match=r"a\.jsonl: over 0 MiB"):
        read_labels("a.jsonl", tmp_path)
