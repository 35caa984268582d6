"""`sluice convert`: logs to OpenAI chat JSONL. The stage `normalise`, alone."""

import sys
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from bedrock_sluice.flows.console import people
from bedrock_sluice.lake.source import is_log
from bedrock_sluice.lake.store import Entry, Store, find, open_store
from bedrock_sluice.transforms.errors import ConfigError, OutsideError
from bedrock_sluice.transforms.normalise import normalise
from bedrock_sluice.transforms.reasons import Reason
from bedrock_sluice.transforms.records import decode_object, landed_table

Row = dict[str, Any]


def convert(uri: str, out: Path | None, rejects: Path | None) -> None:
    """Convert all logs at a file, folder or `s3://` URI, in the order of their keys.

    Raises:
        ConfigError: there are no logs at `uri`.
        OutsideError: an output file can't be written.
    """
    store, entries, skipped = _find_logs(uri)
    counts = Counter[str]()
    with ExitStack() as files:
        kept_file = files.enter_context(_open(out)) if out else sys.stdout.buffer
        rejects_file = files.enter_context(_open(rejects)) if rejects else None
        for entry in entries:
            kept, rejected = _convert(store, entry)
            _write(kept, kept_file)
            if rejects_file:
                _write(rejected, rejects_file)
            counts["converted"] += len(kept)
            counts.update(row["reason"] for row in rejected)
        sys.stdout.flush()
    people.print(f"{counts.pop('converted'):,} records converted")
    for reason, number in sorted(counts.items()):
        people.print(f"{number:,} rejected: {reason} ({Reason[reason.upper()].says})")
    if skipped:
        people.print(f"{skipped:,} files are no logs by their name, and were skipped")


def _find_logs(uri: str) -> tuple[Store, list[Entry], int]:
    folder, _, name = uri.rstrip("/").rpartition("/")
    if "." in name:
        store = open_store(folder or ".")
        entry = find(store, name)
        if entry is not None:
            return store, [entry], 0
    store = open_store(uri)
    entries = list(store.entries())
    logs = [entry for entry in entries if is_log(entry.key)]
    if not logs:
        raise ConfigError(f"{uri}: no logs there; name a log file, or a folder of *.json.gz")
    return store, logs, len(entries) - len(logs)


def _open(path: Path) -> BinaryIO:
    try:
        return path.open("wb")
    except OSError as error:
        raise OutsideError(f"{path}: {error.strerror}") from None


def _write(rows: list[Row], file: BinaryIO) -> None:
    file.writelines(msgspec.json.encode(row) + b"\n" for row in rows)


def _convert(store: Store, entry: Entry) -> tuple[list[Row], list[Row]]:
    landed = landed_table(decode_object(store.read(entry), entry.key))
    read = normalise(landed)
    exchanges = read.exchanges.to_pylist()
    rejected = read.rejected.to_dicts()
    media = [row for row in exchanges if row["has_media"]]
    rejected += [_reject(row, Reason.CURATE_MEDIA) for row in media]
    rejected.sort(key=lambda row: row["line"])
    return [_chat(row) for row in exchanges if not row["has_media"]], rejected


def _reject(row: Row, reason: Reason) -> Row:
    """Text alone can't stand for an exchange that had images or documents in it."""
    keys = {name: row[name] for name in ("object", "line", "request_id")}
    return keys | {"reason": reason.value, "detail": None}


def _chat(row: Row) -> Row:
    return {
        "request_id": row["request_id"],
        "timestamp": row["timestamp"],
        "model_id": row["model_id"],
        "operation": row["operation"],
        "messages": msgspec.Raw(row["messages"].encode()),
        "response": msgspec.Raw(row["response"].encode()),
        "tools": msgspec.Raw((row["tools"] or "[]").encode()),
        "stop_reason": row["stop_reason"],
        "request_metadata": dict(row["request_metadata"] or ()),
    }
