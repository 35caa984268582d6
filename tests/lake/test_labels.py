"""Label tables of every kind, in a folder and on S3, and what is said of those that are wrong."""

from collections.abc import Callable
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
    ("name", "content", "says"),
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
        ("a.csv", b"", r"not readable \(NoDataError\)"),
        ("a.csv", b"request_id,a\nr1,SECRET,c,d\n", "not readable"),
        ("a.csv", b"request_id,a\nr1,SECRET\xff\xfe\n", "not readable"),
        ("a.parquet", b"SECRET", "not readable"),
        ("a.parquet", b"", "not readable"),
        ("a.parquet", parquet(request_id=["r1"])[:-20], "not readable"),
        ("a.parquet", parquet(request_id=[1, 2]), "every row needs a request_id"),
        ("a.parquet", parquet(answer=["SECRET"]), "every row needs a request_id"),
    ],
)
def test_a_table_that_is_wrong_is_told_without_its_content(
    labels: Callable[[str, bytes], list[Json]], name: str, content: bytes, says: str
) -> None:
    with pytest.raises(ConfigError, match=says) as refusal:
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
