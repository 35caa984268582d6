"""Logs that went to CloudWatch: every layout is read by `convert` and by `build`."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from support.protocols import MakeRecords, RunSluice, WriteLogs, WriteRecipe

from bedrock_sluice.lake.stores.folder import FolderStore
from bedrock_sluice.lake.stores.s3 import S3Store
from bedrock_sluice.lake.stores.store import Store

Json = dict[str, Any]

TASK = "6b1d6f0e-0000-4000-8000-000000000000"
STREAM = "aws-bedrock-modelinvocations"
DELIVERY = f"2026/10/01/12/PUT-S3-x-1-2026-10-01-12-00-00-{TASK}"
AT = "2026-10-01T12:00:00.000Z"


def _event(record: Json) -> Json:
    return {"id": "1", "timestamp": 1, "message": json.dumps(record)}


def _subscription(records: list[Json]) -> bytes:
    events = [_event(record) for record in records]
    return json.dumps({"messageType": "DATA_MESSAGE", "logEvents": events}).encode()


def _export(records: list[Json]) -> bytes:
    return gzip.compress("".join(f"{AT} {json.dumps(r)}\n" for r in records).encode())


def _layouts(records: list[Json]) -> dict[str, dict[str, bytes]]:
    """Files by their path, for each way that logs come out of CloudWatch."""
    halves = [records[:70], records[70:]]
    events = json.dumps({"events": [_event(record) for record in records]}, indent=4)
    return {
        "export": {
            "exportedlogs/aws-logs-write-test": b"Permission Check Successful",
            **{
                f"exportedlogs/{TASK}/{STREAM}/{n:06}.gz": _export(half)
                for n, half in enumerate(halves)
            },
        },
        "firehose": {
            f"{DELIVERY[:-1]}{n}": b"".join(gzip.compress(_subscription([r])) for r in half)
            for n, half in enumerate(halves)
        },
        "firehose, plain": {
            f"{DELIVERY}.json": b"\n".join(_subscription(half) for half in halves),
        },
        "events": {"day.json": events.encode()},
        "tail": {"day.log": "".join(f"{AT[:-5]} {json.dumps(r)}\n" for r in records).encode()},
    }


LAYOUTS = list(_layouts([]))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_is_converted(
    tmp_path: Path,
    records: MakeRecords,
    sluice: RunSluice,
    layout: str,
) -> None:
    log_records = records(120)
    for name, content in _layouts(log_records)[layout].items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    result = sluice("convert", tmp_path)
    ids = [json.loads(line)["request_id"] for line in result.out.splitlines()]
    assert ids == [record["requestId"] for record in log_records]
    by_name = sluice("convert", tmp_path / name)
    assert set(by_name.out.splitlines()) <= set(result.out.splitlines())
    assert by_name.code == 0


def test_every_layout_makes_the_same_lines(
    tmp_path: Path,
    records: MakeRecords,
    sluice: RunSluice,
    recipe: WriteRecipe,
    write_logs: WriteLogs,
    bucket: str,
) -> None:
    """As the logs in Bedrock's own layout: an export on S3, and Firehose's objects in a folder."""
    log_records = records(120)
    write_logs(tmp_path / "logs", [log_records])
    expected = _lines(sluice("build", recipe()))
    places: dict[str, Store] = {
        "export": S3Store(f"s3://{bucket}/x"),
        "firehose": FolderStore(tmp_path / "there"),
    }
    for layout, store in places.items():
        for name, content in _layouts(log_records)[layout].items():
            store.put_new(name, content)
        path = recipe(swaps={'"logs"': f'"{store.uri}"', "sums": layout}, name="other.toml")
        assert _lines(sluice("build", path)) == expected, layout


def _lines(result: Any) -> list[set[bytes]]:
    assert result.code == 0, result.err
    release = Path(result.out.strip())
    return [
        set((release / name).read_bytes().splitlines())
        for name in ("train.jsonl", "validation.jsonl")
    ]


@pytest.mark.parametrize("command", ["build", "convert"])
def test_a_folder_without_logs_is_told_with_what_it_holds_and_what_is_known(
    tmp_path: Path, sluice: RunSluice, recipe: WriteRecipe, command: str
) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "notes.md").touch()
    result = sluice(command, recipe() if command == "build" else tmp_path / "logs")
    assert result.code == 2
    assert "no logs there (found: notes.md)" in result.err
    for word in ("AWSLogs/", "000000.gz", "Firehose", "*.json"):
        assert word in result.err


def test_a_lake_is_never_read_as_logs(
    tmp_path: Path, sluice: RunSluice, recipe: WriteRecipe
) -> None:
    (tmp_path / "day.json").write_text("{}")
    result = sluice("build", recipe(swaps={'"logs"': '"."'}))
    assert result.code == 2
    assert "lies below the logs; put it elsewhere" in result.err
