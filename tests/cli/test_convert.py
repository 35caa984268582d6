"""`sluice convert`: logs to chat JSONL, each record converted or rejected with a reason."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.protocols import MakeRecord, MakeRecords, RunSluice, WriteLogs

from bedrock_sluice.lake.stores.folder import FolderStore
from bedrock_sluice.lake.stores.store import Entry
from bedrock_sluice.transforms.errors import TransientError

Json = dict[str, Any]

KEYS = [
    "request_id",
    "timestamp",
    "model_id",
    "operation",
    "messages",
    "response",
    "tools",
    "stop_reason",
    "request_metadata",
]


def _rows(path: Path) -> list[Json]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("name", ["log.jsonl", "log.json", "log.jsonl.gz", "log.json.gz"])
def test_one_file_plain_or_packed_gives_one_object_a_record(
    tmp_path: Path,
    sluice: RunSluice,
    record: MakeRecord,
    log_object: Callable[..., bytes],
    name: str,
) -> None:
    log_record = record(system="Be brief.", metadata={"project": "x"})
    plain = json.dumps(log_record).encode()
    (tmp_path / name).write_bytes(log_object([log_record]) if name.endswith("gz") else plain)
    result = sluice("convert", tmp_path / name)
    row = json.loads(result.out)
    assert result.code == 0
    assert list(row) == KEYS
    assert row["messages"][0] == {"role": "system", "content": "Be brief."}
    assert row["response"]["role"] == "assistant"
    assert row["timestamp"] == "2026-10-01T12:00:00Z"
    assert (row["tools"], row["request_metadata"]) == ([], {"project": "x"})


def test_rejects_go_to_their_file_and_are_counted(
    tmp_path: Path,
    sluice: RunSluice,
    record: MakeRecord,
    log_object: Callable[..., bytes],
) -> None:
    image = {"image": {"format": "png", "source": {"s3Uri": "s3://b/data/1.png"}}}
    picture = {"messages": [{"role": "user", "content": [{"text": "What?"}, image]}]}
    reply = {"output": {"message": {"role": "assistant", "content": [{"text": "Red"}]}}}
    media_record = record(request_id="seen", bodies=(picture, {**reply, "stopReason": "end_turn"}))
    lines = [record(request_id="good"), media_record, b"no json"]
    (tmp_path / "log.json.gz").write_bytes(log_object(lines))
    out, rejects = tmp_path / "chat.jsonl", tmp_path / "rejects.jsonl"
    result = sluice("convert", tmp_path, "--out", out, "--rejects", rejects)
    assert (result.code, result.out) == (0, "")
    assert [row["request_id"] for row in _rows(out)] == ["good"]
    rejects_read = [(row["object"], row["line"], row["reason"]) for row in _rows(rejects)]
    assert rejects_read == [
        ("log.json.gz", 2, "curate_media"),
        ("log.json.gz", 3, "decode_bad_json"),
    ]
    assert "1 records converted" in result.err
    assert "1 rejected: curate_media" in result.err


def test_a_folder_is_read_by_key_without_bodies_and_permission_checks(
    tmp_path: Path,
    sluice: RunSluice,
    records: MakeRecords,
    write_logs: WriteLogs,
) -> None:
    log_records = records(4)
    write_logs(tmp_path, [log_records[:2], log_records[2:]])
    hour = next(tmp_path.rglob("*.gz")).parent
    (hour / "data").mkdir()
    (hour / "data" / "request-1_input.json.gz").write_bytes(b"a body")
    (hour / "amazon-bedrock-logs-permission-check").write_bytes(b"")
    result = sluice("convert", tmp_path)
    ids = [json.loads(line)["request_id"] for line in result.out.splitlines()]
    assert ids == [each["requestId"] for each in log_records]
    assert "2 files skipped: their names" in result.err


def test_no_logs_is_an_error(tmp_path: Path, sluice: RunSluice) -> None:
    result = sluice("convert", tmp_path / "none")
    assert result.code == 2
    assert "no logs there" in result.err


def test_an_output_that_cannot_be_written_exits_3(
    tmp_path: Path, sluice: RunSluice, records: MakeRecords, write_logs: Any
) -> None:
    write_logs(tmp_path, [records(2)])
    result = sluice("convert", tmp_path, "--out", tmp_path / "none" / "out.jsonl")
    assert result.code == 3
    assert "No such file or directory" in result.err


def test_outputs_stay_as_they_were_until_all_is_converted(
    tmp_path: Path,
    sluice: RunSluice,
    records: MakeRecords,
    write_logs: WriteLogs,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write_logs(tmp_path / "logs", [records(2), records(2)])
    out, rejects = tmp_path / "chat.jsonl", tmp_path / "rejects.jsonl"
    out.write_text("before")
    out.chmod(0o640)
    arguments = ("convert", tmp_path / "logs", "--out", out, "--rejects", rejects)
    read = FolderStore.read

    def fail(store: FolderStore, entry: Entry) -> bytes:
        if entry.key.endswith("1.json.gz"):
            raise TransientError("gone")
        return read(store, entry)

    with monkeypatch.context() as patch:
        patch.setattr(FolderStore, "read", fail)
        assert sluice(*arguments).code == 3
    assert (out.read_text(), rejects.exists()) == ("before", False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["chat.jsonl", "logs"]
    assert sluice(*arguments).code == 0
    assert (len(_rows(out)), _rows(rejects)) == (4, [])
    assert out.stat().st_mode & 0o777 == 0o640


def test_an_output_may_be_a_device(
    tmp_path: Path, sluice: RunSluice, records: MakeRecords, write_logs: Any
) -> None:
    write_logs(tmp_path, [records(2)])
    assert sluice("convert", tmp_path, "--out", "/dev/null").code == 0
    assert Path("/dev/null").is_char_device()


@pytest.mark.parametrize("way", ["plain", "dotted", "link"])
def test_an_output_is_never_one_of_the_logs(
    tmp_path: Path,
    sluice: RunSluice,
    write_logs: WriteLogs,
    records: MakeRecords,
    way: str,
) -> None:
    write_logs(tmp_path / "logs", [records(3)])
    (log,) = (tmp_path / "logs").rglob("*.json.gz")
    before = log.read_bytes()
    (tmp_path / "link").symlink_to(log)
    out = {"plain": log, "dotted": tmp_path / "logs" / ".." / log.relative_to(tmp_path)}
    result = sluice("convert", tmp_path / "logs", "--out", out.get(way, tmp_path / "link"))
    assert (result.code, log.read_bytes()) == (2, before)
    assert "is one of the logs; write elsewhere" in result.err


def test_one_file_can_not_take_both_outputs(tmp_path: Path, sluice: RunSluice) -> None:
    both = tmp_path / "both.jsonl"
    result = sluice("convert", tmp_path, "--out", both, "--rejects", both)
    assert (result.code, both.exists()) == (2, False)
