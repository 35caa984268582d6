"""`sluice convert`: logs to OpenAI chat JSONL. The stage `normalise`, alone."""

import sys
from collections import Counter
from contextlib import ExitStack
from datetime import datetime
from functools import partial
from hashlib import blake2b
from itertools import product
from mmap import ACCESS_READ, mmap
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO, NamedTuple

import msgspec

from bedrock_sluice.cli.console import people
from bedrock_sluice.flows.executor import in_order
from bedrock_sluice.lake.files import replaced_file
from bedrock_sluice.lake.logs.bodies import Bodies
from bedrock_sluice.lake.logs.fetch import fetch
from bedrock_sluice.lake.logs.source import is_log, no_logs, parent_of_top
from bedrock_sluice.lake.stores.opening import open_store, reopen_store
from bedrock_sluice.lake.stores.store import S3_SCHEME, Entry, Store
from bedrock_sluice.transforms.chat.messages import Exchange, JsonObject, Message
from bedrock_sluice.transforms.decode.records import (
    Envelope,
    Rejects,
    decode_numbered,
    read_log_lines,
    refused_object,
)
from bedrock_sluice.transforms.errors import ConfigError, InputError, OutsideError
from bedrock_sluice.transforms.readers.exchanges import read_exchange, rejected_row
from bedrock_sluice.transforms.readers.fast_path import read_plain_line
from bedrock_sluice.transforms.reasons import Reason

NAME_BYTES = 16  # of a piece
BUFFER_BYTES = 4 << 20  # of lines that are written at once

Row = dict[str, Any]


def convert(uri: str, out: Path | None, rejects: Path | None) -> int:
    """Convert all logs at a file, folder or `s3://` URI, in the order of their keys.

    Output files are replaced when all is done; until then, and if it fails, they stay as they were.
    Returns the number of records that were converted.

    Raises:
        ConfigError: there are no logs at `uri`.
        OutsideError: an output file can't be written.
    """
    reopen_store.cache_clear()
    outputs = [path for path in (out, rejects) if path]
    if out is not None and out == rejects:
        raise ConfigError(f"{out} can't take both what was converted and what was not")
    if out is None and sys.stdout is None:
        raise OutsideError("stdout is closed; name a file with --out")
    store, entries, skipped = _find_logs(uri, outputs)
    _spare_logs(store, entries, outputs)
    counts = Counter[str]()
    with ExitStack() as files:
        kept_file = files.enter_context(replaced_file(out)) if out else sys.stdout.buffer
        rejects_file = files.enter_context(replaced_file(rejects)) if rejects else None
        size = sum(entry.size for entry in entries)
        # Processes hand over much text by files several times faster than by pipes.
        pieces = Path(files.enter_context(TemporaryDirectory(prefix="sluice-work-")))
        for done in in_order(partial(convert_object, store.uri, pieces), entries, size):
            _move(done.jsonl, kept_file)
            if rejects_file:
                rejects_file.writelines(msgspec.json.encode(row) + b"\n" for row in done.rejected)
            counts["converted"] += done.lines
            counts.update(row["reason"] for row in done.rejected)
        sys.stdout.flush()
    _tell(counts, skipped)
    return counts["converted"]


def _tell(counts: Counter[str], skipped: int) -> None:
    people.print(f"{counts['converted']:,} records converted")
    for reason, number in sorted((counts - Counter(converted=counts["converted"])).items()):
        people.print(f"{number:,} rejected: {reason} ({Reason[reason.upper()].message})")
    if skipped:
        people.print(f"{skipped:,} files are no logs by their name, and were skipped")


def _find_logs(uri: str, outputs: list[Path]) -> tuple[Store, list[Entry], int]:
    """The logs at a URI, and how many other files there are. What will be written is neither."""
    folder, _, name = uri.rstrip("/").rpartition("/")
    if f"{folder}/" != S3_SCHEME:  # a bucket is not a file
        store = open_store(folder or ("/" if uri.startswith("/") else "."))
        entry = store.entry(name)
        if entry is not None:
            return store, [entry], 0
    store = open_store(uri)
    ours = {str(path.absolute()) for path in outputs}
    entries = list(store.entries())
    logs = [entry for entry in entries if is_log(entry.key)]
    if not logs:
        raise no_logs(uri, [entry.key for entry in entries])
    others = [e for e in entries if not is_log(e.key) and f"{store.uri}/{e.key}" not in ours]
    return store, logs, len(others)


def _spare_logs(store: Store, logs: list[Entry], outputs: list[Path]) -> None:
    """Refuse to write over what is read, by whatever name.

    Raises:
        ConfigError: an output is one of the logs.
    """
    there = [path for path in outputs if path.exists()] if "://" not in store.uri else []
    for path, log in product(there, logs):
        if path.samefile(store.local(log)):
            raise ConfigError(f"{path} is one of the logs; write elsewhere")


def _move(piece: Path, out: BinaryIO) -> None:
    """Put a file at the end of another, and remove it."""
    if piece.stat().st_size:
        with piece.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as text:
            out.write(text)
    piece.unlink()


class Converted(NamedTuple):
    """What one log object gave: a file of JSONL, its lines, and the rows that gave none."""

    jsonl: Path
    lines: int
    rejected: list[Row]


def convert_object(uri: str, pieces: Path, entry: Entry) -> Converted:
    """Convert one log object of the store at `uri`, into a file of its own in a folder."""
    bodies = Bodies([reopen_store(place) for place in _body_places(uri, entry)])
    rejected, unreadable = list[Row](), Rejects(entry.key)
    piece = pieces / blake2b(entry.key.encode(), digest_size=NAME_BYTES).hexdigest()
    text, lines = bytearray(), 0
    with piece.open("wb") as file:
        try:
            for number, line in read_log_lines(fetch(reopen_store(uri), entry)):
                plain = None if isinstance(line, Reason) else read_plain_line(line)
                row: Row = {} if plain else decode_numbered(entry.key, number, line)
                if "reason" in row:
                    unreadable.add(row)
                    continue
                row = row if plain else bodies.resolve(row)
                try:
                    _ENCODER.encode_into(_line(*(plain or _of_row(row))), text, -1)
                except InputError as error:
                    rejected.append(rejected_row(row, error))
                    continue
                text += b"\n"
                lines += 1
                if len(text) > BUFFER_BYTES:
                    file.write(text)
                    text.clear()
        except InputError as error:
            unreadable.add(refused_object(entry.key, error))
        file.write(text)
    for row in unreadable.rows():
        rejected.append(rejected_row(row, InputError(row["reason"], row.get("detail") or "")))
    return Converted(piece, lines, sorted(rejected, key=lambda row: row["line"]))


def _body_places(uri: str, entry: Entry) -> list[str]:
    """Where bodies of an object may lie: below its parent of `AWSLogs/`, and where it was found."""
    parent = parent_of_top(f"{uri}/{entry.key}")
    return list(dict.fromkeys([parent, uri] if parent else [uri]))


class ChatLine(msgspec.Struct, gc=False):
    """One line of the output; its messages are OpenAI chat messages."""

    request_id: str
    timestamp: datetime
    model_id: str | None
    operation: str | None
    messages: list[Message]
    response: Message
    tools: list[JsonObject]
    stop_reason: str | None
    request_metadata: dict[str, str]


_ENCODER = msgspec.json.Encoder()
_TOLD = ("request_id", "timestamp", "model_id", "operation")


def _line(record: Envelope, exchange: Exchange) -> ChatLine:
    return ChatLine(
        record.request_id,
        record.timestamp,
        record.model_id,
        record.operation,
        exchange.messages,
        exchange.response,
        exchange.tools,
        exchange.stop_reason,
        record.request_metadata or {},
    )


def _of_row(row: Row) -> tuple[Envelope, Exchange]:
    """What a line tells. Text alone can't stand for an exchange with images or documents in it.

    Raises:
        InputError: the row gives no exchange, or one with media.
    """
    _, exchange = read_exchange(row)
    if exchange.has_media:
        raise InputError(Reason.CURATE_MEDIA)
    envelope = Envelope(**{name: row[name] for name in _TOLD})
    envelope.request_metadata = dict(row["request_metadata"] or ())
    return envelope, exchange
