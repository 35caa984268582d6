"""Conversion of logs to OpenAI chat JSONL: no recipe, no lake, no curation."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
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

from bedrock_sluice.flows.running.executor import in_order
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
from bedrock_sluice.transforms.errors import ConfigError, InputError
from bedrock_sluice.transforms.readers.exchanges import read_exchange, rejected_row
from bedrock_sluice.transforms.readers.fast_path import read_plain_line
from bedrock_sluice.transforms.reasons import Reason

NAME_BYTES = 16  # of a piece
BUFFER_BYTES = 4 << 20  # of lines that are written at once

RECORDS = "records"  # stands for the log object of records that come from no log object

Row = dict[str, Any]
Record = Mapping[str, Any] | str | bytes


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


_CHAT_LINE = msgspec.json.Decoder(ChatLine)


class ConversionSummary(NamedTuple):
    """Counts of records by outcome, and of files that were not read because of their names."""

    exchanges: int
    rejected: dict[str, int]
    skipped_files: int


class Piece(NamedTuple):
    """The outcome of one log object: a file of JSONL, its number of lines, the rejected rows."""

    path: Path
    lines: int
    rejects: list[Row]


class Logs(NamedTuple):
    """The log objects at a URI, and the number of other files there."""

    store: Store
    entries: list[Entry]
    skipped_files: int


def convert_logs(uri: str, out: Path | BinaryIO, rejects: Path | None) -> ConversionSummary:
    """Convert all logs at a file, folder or `s3://` URI, in the order of their keys.

    Output files are replaced when all is done; until then, and if it fails, they stay as they were.

    Raises:
        ConfigError: there are no logs at `uri`, or an output is one of them.
        OutsideError: an output file can't be written.
    """
    outputs = [path for path in (out, rejects) if isinstance(path, Path)]
    if out == rejects:
        raise ConfigError(f"{out} is named for both the output and the rejects; name two files")
    logs = find_logs(uri, outputs)
    _check_outputs(logs, outputs)
    counts = Counter[str]()
    exchange_count = 0
    with ExitStack() as files:
        lines_file = files.enter_context(replaced_file(out)) if isinstance(out, Path) else out
        rejects_file = files.enter_context(replaced_file(rejects)) if rejects else None
        for piece in convert_pieces(logs):
            _move(piece.path, lines_file)
            if rejects_file:
                rejects_file.writelines(msgspec.json.encode(row) + b"\n" for row in piece.rejects)
            exchange_count += piece.lines
            counts.update(row["reason"] for row in piece.rejects)
        lines_file.flush()
    return ConversionSummary(exchange_count, dict(sorted(counts.items())), logs.skipped_files)


def read_logs(logs: Logs) -> Iterator[ChatLine | Row]:
    """Convert logs; yield the lines of each log object, and then the rows of its rejected records.

    Raises:
        TransientError: a worker process died.
    """
    for piece in convert_pieces(logs):
        with piece.path.open("rb") as file:
            yield from map(_CHAT_LINE.decode, file)
        yield from piece.rejects


def read_records(records: Iterable[Record]) -> Iterator[ChatLine | Row]:
    """Convert records one by one; yield the line of each, or the row that says why it has none.

    Their bodies are not fetched where Bedrock stored them apart.
    """
    for number, record in enumerate(records, start=1):
        try:
            row = decode_numbered(RECORDS, number, _record_text(record))
        except InputError as error:
            row = {"object": RECORDS, "line": number, "reason": error.reason}
        try:
            yield _chat_line(*_read_row(row))
        except InputError as error:
            yield rejected_row(row, error)


def _record_text(record: Record) -> bytes:
    """Return the JSON of a record.

    Raises:
        InputError: it cannot be written as JSON.
    """
    if isinstance(record, bytes):
        return record
    try:
        return record.encode() if isinstance(record, str) else msgspec.json.encode(record)
    except UnicodeEncodeError:  # half of a surrogate pair
        raise InputError(Reason.DECODE_BAD_ENCODING) from None
    except (RecursionError, TypeError, ValueError):
        raise InputError(Reason.DECODE_BAD_JSON) from None


def convert_pieces(logs: Logs) -> Iterator[Piece]:
    """Convert each log object; the file of a piece is removed once the next one is asked for.

    Raises:
        TransientError: a worker process died.
    """
    reopen_store.cache_clear()
    size = sum(entry.size for entry in logs.entries)
    # Processes exchange much text by files several times faster than by pipes.
    with TemporaryDirectory(prefix="sluice-work-") as folder:
        work = partial(convert_object, logs.store.uri, Path(folder))
        for piece in in_order(work, logs.entries, size):
            yield piece
            piece.path.unlink(missing_ok=True)


def find_logs(uri: str, outputs: list[Path]) -> Logs:
    """List the logs at a URI. Files that will be written are neither logs nor other files.

    Raises:
        ConfigError: there are none.
    """
    folder, _, name = uri.rstrip("/").rpartition("/")
    if f"{folder}/" != S3_SCHEME:  # a bucket is not a file
        store = open_store(folder or ("/" if uri.startswith("/") else "."))
        entry = store.entry(name)
        if entry is not None:
            return Logs(store, [entry], 0)
    store = open_store(uri)
    own = {str(path.absolute()) for path in outputs}
    entries = list(store.entries())
    logs = [entry for entry in entries if is_log(entry.key)]
    if not logs:
        raise no_logs(uri, [entry.key for entry in entries])
    others = [e for e in entries if not is_log(e.key) and f"{store.uri}/{e.key}" not in own]
    return Logs(store, logs, len(others))


def _check_outputs(logs: Logs, outputs: list[Path]) -> None:
    """Refuse to overwrite what is read, by whatever name: links and `..` are followed.

    Raises:
        ConfigError: an output is one of the logs.
    """
    is_local = "://" not in logs.store.uri
    existing = [path for path in outputs if path.exists()] if is_local else []
    for path, log in product(existing, logs.entries):
        if path.samefile(logs.store.local(log)):
            raise ConfigError(f"{path} is one of the logs; write elsewhere")


def _move(piece: Path, out: BinaryIO) -> None:
    """Append a file to another, and remove it."""
    if piece.stat().st_size:  # an empty file can't be mapped
        with piece.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as text:
            out.write(text)
    piece.unlink()


def convert_object(uri: str, folder: Path, entry: Entry) -> Piece:
    """Convert one log object of the store at `uri` into a file of its own in `folder`."""
    # Bodies that were stored apart lie below the parent of AWSLogs/, or beside the object.
    parent = parent_of_top(f"{uri}/{entry.key}")
    places = list(dict.fromkeys([parent, uri] if parent else [uri]))
    bodies = Bodies([reopen_store(place) for place in places])
    rejects, unreadable = list[Row](), Rejects(entry.key)
    path = folder / blake2b(entry.key.encode(), digest_size=NAME_BYTES).hexdigest()
    text, lines = bytearray(), 0
    encoder = msgspec.json.Encoder()
    with path.open("wb") as file:
        try:
            for number, line in read_log_lines(fetch(reopen_store(uri), entry)):
                # Most lines have a plain shape, which is read several times faster.
                plain = None if isinstance(line, Reason) else read_plain_line(line)
                row: Row = {} if plain else decode_numbered(entry.key, number, line)
                if "reason" in row:
                    unreadable.add(row)
                    continue
                row = row if plain else bodies.resolve(row)
                try:
                    encoder.encode_into(_chat_line(*(plain or _read_row(row))), text, -1)
                except InputError as error:
                    rejects.append(rejected_row(row, error))
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
        rejects.append(rejected_row(row, InputError(row["reason"], row.get("detail") or "")))
    return Piece(path, lines, sorted(rejects, key=lambda row: row["line"]))


def _chat_line(record: Envelope, exchange: Exchange) -> ChatLine:
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


def _read_row(row: Row) -> tuple[Envelope, Exchange]:
    """Read a decoded row. Text alone can't represent an exchange with images or documents.

    Raises:
        InputError: the row has no exchange, or one with media.
    """
    _, exchange = read_exchange(row)
    if exchange.has_media:
        raise InputError(Reason.CURATE_MEDIA)
    names = ("request_id", "timestamp", "model_id", "operation")
    envelope = Envelope(**{name: row[name] for name in names})
    envelope.request_metadata = dict(row["request_metadata"] or ())
    return envelope, exchange
