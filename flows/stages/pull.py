"""Pull: fetch the log objects that the lake does not hold yet, and land them as Parquet parts."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow.parquet as pq

from bedrock_sluice.flows.running.executor import distribute
from bedrock_sluice.flows.running.runner import ReportProgress
from bedrock_sluice.lake.logs.bodies import Bodies
from bedrock_sluice.lake.logs.fetch import fetch
from bedrock_sluice.lake.logs.landed import (
    UNREAD,
    Batch,
    Held,
    batch_runs,
    batches,
    missing,
    open_part,
    part_key,
    read_parts,
    source_name,
    with_erasures,
    write_footer,
)
from bedrock_sluice.lake.logs.source import LogObject, Source, Window
from bedrock_sluice.lake.stores.opening import reopen_store
from bedrock_sluice.lake.stores.store import ObjectRefusedError, Store
from bedrock_sluice.lake.tombstones import read_digests
from bedrock_sluice.transforms.decode.records import decode_rows
from bedrock_sluice.transforms.errors import ConfigError, OutsideError
from bedrock_sluice.transforms.reasons import Reason
from bedrock_sluice.transforms.rights.tombstones import erased_row, is_forgotten
from bedrock_sluice.transforms.tables import BODY_COLUMNS, landed_table

FETCHERS = 16  # objects that a worker fetches at once; a run of batches bounds their bytes
OBJECT_BYTES = 16 << 10  # what fetching an object costs, in bytes of one that take as long to land
MAX_PACKED_BYTES = 256 << 20  # a larger log object is not fetched
PIECE_BYTES = 16 << 20  # of bodies held before they are written, and read again, at once
PIECE_ROWS = 4_096
REFUSALS = (Reason.PULL_ARCHIVED, Reason.PULL_DENIED)  # of one object, which may be lifted

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Places:
    """Where a worker reads and writes, as data that can be sent to it."""

    logs: str
    lake: str
    bodies: tuple[str, ...]
    source_name: str
    forgotten_digests: frozenset[str] = frozenset()


def pull(source: Source, lake: Store, window: Window, report_progress: ReportProgress) -> int:
    """Land what is listed in the window and not landed whole; returns the number of log objects.

    Safe to run again, and twice at once: parts are named after what they hold, and put if absent.
    An object whose bodies were not all there is tried again, and landed again if there are more;
    so is one that may not be read, or is archived: it is quarantined until it can be.

    Raises:
        ConfigError: the lake would be read as logs.
        OutsideError: the logs can't be listed, or not one of them can be read.
    """
    if not source.below and f"{lake.uri}/".startswith(f"{source.store.uri}/"):
        raise ConfigError(f"the lake {lake.uri} lies below the logs; put it elsewhere")
    reopen_store.cache_clear()
    name = source_name(source)
    parts = read_parts(lake, name, window)
    missing_objects = missing(source.objects(window), parts)
    places = Places(source.store.uri, lake.uri, (source.store.uri, *source.bodies), name)
    places = replace(places, forgotten_digests=read_digests(lake))
    runs = list(batch_runs(batches(missing_objects)))
    cost = sum(each.entry.size + OBJECT_BYTES for each, _ in missing_objects)
    done_count = object_count = unread_total = 0
    report_progress(done_count, len(missing_objects))
    for run, (number, unread_count) in zip(
        runs, distribute(partial(_land, places), runs, cost), strict=True
    ):
        done_count += sum(map(len, run))
        object_count += number
        unread_total += unread_count
        report_progress(done_count, len(missing_objects))
    if unread_total and unread_total == object_count and not parts:
        raise OutsideError(
            f"none of the {unread_total:,} log objects under {source.store.uri} may be read, or "
            "all are archived; check the policy (s3:GetObject, kms:Decrypt) and the storage class"
        )
    return object_count


def _land(places: Places, run: Sequence[Batch]) -> tuple[int, int]:
    """Land each batch as a part; returns how many objects they have, and how many can't be read.

    Objects of the next batches are fetched, and parts put, while one is decoded.
    """
    logs, lake = reopen_store(places.logs), reopen_store(places.lake)
    bodies = Bodies([reopen_store(uri) for uri in places.bodies])
    puts, landed_objects = list[Future[bool]](), list[Held]()
    with (
        TemporaryDirectory(prefix="sluice-pull-") as folder,
        ThreadPoolExecutor(FETCHERS) as pool,
    ):
        raws = pool.map(partial(_fetch, logs), (each for batch in run for each, _ in batch))
        for number, batch in enumerate(run):
            path = Path(folder, f"{number}.parquet")
            if objects := _write_part(path, batch, raws, bodies, places.forgotten_digests):
                key = part_key(places.source_name, batch[0][0].partition, objects)
                puts.append(pool.submit(lake.put_new, key, path))
                landed_objects += objects
        for put in puts:
            put.result()
    return len(landed_objects), sum(each.waiting == UNREAD for each in landed_objects)


def _write_part(
    path: Path,
    batch: Batch,
    raws: Iterator[bytes | Reason],
    bodies: Bodies,
    forgotten_digests: frozenset[str],
) -> list[Held]:
    """Write what a batch holds to a file, taking the bytes of its objects; returns what that is."""
    objects = list[Held]()
    with open_part(path) as part:
        piece = Piece(part)
        for (each, waiting), raw in zip(batch, raws, strict=False):  # `raws` goes on after it
            if waiting is None or _count_waiting(each, raw, bodies) < waiting:
                objects.append(_hold(piece, each, raw, bodies, forgotten_digests))
        piece.flush()
        write_footer(part, objects)
    return objects


class Piece:
    """Rows on their way into a part: written, as a row group, when they are many bytes."""

    def __init__(self, part: pq.ParquetWriter) -> None:
        self._part = part
        self._rows = list[Row]()
        self._bytes = 0

    def add(self, row: Row) -> None:
        """Take a row, and write what has come together if it is much."""
        self._rows.append(row)
        for name in BODY_COLUMNS:
            self._bytes += len(row.get(name) or "")
        if self._bytes > PIECE_BYTES or len(self._rows) == PIECE_ROWS:
            self.flush()

    def flush(self) -> None:
        """Write what there is. A part without rows has an empty row group."""
        self._part.write_table(landed_table(self._rows))
        self._rows, self._bytes = [], 0


def _fetch(logs: Store, each: LogObject) -> bytes | Reason:
    """The bytes of a log object, or why they can't be had."""
    if each.entry.size > MAX_PACKED_BYTES:
        return Reason.PULL_OBJECT_TOO_LARGE
    try:
        return fetch(logs, each.entry)
    except ObjectRefusedError as error:
        return error.reason


def _decode(each: LogObject, raw: bytes | Reason) -> Iterator[Row]:
    if isinstance(raw, bytes):
        return decode_rows(raw, each.entry.key)
    return iter([{"object": each.entry.key, "line": 0, "reason": raw}])


def _count_waiting(each: LogObject, raw: bytes | Reason, bodies: Bodies) -> int:
    return UNREAD if raw in REFUSALS else bodies.count_waiting(_decode(each, raw))


def _hold(
    piece: Piece,
    each: LogObject,
    raw: bytes | Reason,
    bodies: Bodies,
    forgotten_digests: frozenset[str],
) -> Held:
    """Write the rows of one object with their bodies; returns what the part holds of it.

    Of a forgotten record only its place is written.
    """
    rows = waiting = 0
    erasures = list[int]()
    for row in map(bodies.resolve, _decode(each, raw)):
        if forgotten_digests and is_forgotten(row.get("request_id"), forgotten_digests):
            erasures.append(row["line"])
            row = erased_row(row)  # noqa: PLW2901 - its content must not be written
        waiting += row.get("reason") in (Reason.PULL_BODY_MISSING, *REFUSALS)
        rows += 1
        piece.add(row)
        del row  # a row may be large; the next one is decoded without it
    entry = each.entry
    waiting = UNREAD if raw in REFUSALS else waiting
    digest = sha256(raw if isinstance(raw, bytes) else b"").hexdigest()
    version = Held(entry.key, entry.etag, entry.size, entry.modified, digest, rows, waiting)
    return with_erasures(version, erasures)
