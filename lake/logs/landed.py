"""Landed parts: immutable Parquet files of records, and the knowledge of what they hold.

    landed/<source>/<account>/<region>/YYYY/MM/DD/HH/<digest of the footer>.parquet

A part's footer lists the log objects that it holds, so what is landed is known from the parts
themselves. The name is the digest of that list: so a copy of it, as compacted days have, can't be
wrong unnoticed.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from hashlib import sha256
from itertools import groupby
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from msgspec.structs import replace

from bedrock_sluice.lake.compacted import day_folder, list_compacted
from bedrock_sluice.lake.logs.source import LogObject, Source, Window, is_delivered
from bedrock_sluice.lake.stores.store import Entry, Store
from bedrock_sluice.transforms.errors import IntegrityError
from bedrock_sluice.transforms.tables import BODY_COLUMNS, LANDED

NARROW_LANDED = pa.schema([field for field in LANDED if field.name not in BODY_COLUMNS])
"""The columns of landed parts without the bodies."""

MAX_BATCH_BYTES = 4 << 20  # of compressed log objects in one part
MAX_BATCH_OBJECTS = 256
FOOTER_WORKERS = 16
FOOTER_BYTES = 64 << 10  # of the end of a part, which mostly hold its whole footer
NAME_DIGITS = 24
SOURCE_DIGITS = 12
LAYOUT = 2  # of the parts; those of another layout are not seen, and their logs are landed again

UNREAD = 1 << 30  # bodies that are waited for in an object that could not be read at all

_FOOTER_KEY = b"sluice.objects"
_REPETITIVE = ["account_id", "region", "model_id", "operation", "identity_arn", "object"]
_MAGIC_BYTES, _FOOTER_END = 4, 8  # a Parquet file ends with the footer's length and `PAR1`


class Held(msgspec.Struct, frozen=True):
    """One log object as a part holds it: its listing, the digest of its bytes, its rows."""

    key: str
    etag: str
    size: int
    modified: datetime
    sha256: str
    rows: int
    waiting: int = 0  # bodies that were stored apart, and were not there yet
    erasures: tuple[int, ...] | msgspec.UnsetType = msgspec.UNSET  # lines of forgotten records

    @property
    def erasure_count(self) -> int:
        """How many of its records were forgotten."""
        return len(self.erasures or ())


def with_erasures(version: Held, lines: Iterable[int]) -> Held:
    """Return a log object from which forgotten records, by their lines, were taken as well."""
    if all_lines := tuple(sorted({*(version.erasures or ()), *lines})):
        return replace(version, erasures=all_lines)
    return version


@dataclass(frozen=True, slots=True)
class Part:
    """One Parquet file of the lake, and the log objects in it."""

    entry: Entry
    objects: tuple[Held, ...]


Batch = tuple[tuple[LogObject, int | None], ...]  # of one partition, for one part; see `missing`
Run = tuple[Batch, ...]


def source_name(source: Source) -> str:
    """The name of a source inside the lake; several sources may share one lake.

    The places of large bodies belong to it: they decide which bodies parts hold.
    """
    identity = [LAYOUT, source.store.uri, source.bodies]
    return sha256(msgspec.json.encode(identity)).hexdigest()[:SOURCE_DIGITS]


def batches(log_objects: Iterable[tuple[LogObject, int | None]]) -> Iterator[Batch]:
    """Group what `missing` found (by key) into parts: one partition, bounded in size."""
    batch, size = list[tuple[LogObject, int | None]](), 0
    for each in log_objects:
        entry = each[0].entry
        is_full = size + entry.size > MAX_BATCH_BYTES or len(batch) == MAX_BATCH_OBJECTS
        if batch and (is_full or batch[0][0].partition != each[0].partition):
            yield tuple(batch)
            batch, size = [], 0
        batch.append(each)
        size += entry.size
    if batch:
        yield tuple(batch)


def batch_runs(whole_batches: Iterable[Batch]) -> Iterator[Run]:
    """Group batches that one worker lands in a row: several small ones, bounded as one is."""
    run, size, number = list[Batch](), 0, 0
    for batch in whole_batches:
        batch_size = sum(each.entry.size for each, _ in batch)
        is_full = size + batch_size > MAX_BATCH_BYTES or number + len(batch) > MAX_BATCH_OBJECTS
        if run and is_full:
            yield tuple(run)
            run, size, number = [], 0, 0
        run.append(batch)
        size += batch_size
        number += len(batch)
    if run:
        yield tuple(run)


def part_key(source: str, partition: str, objects: Sequence[Held]) -> str:
    """The key of the part that holds these objects; the same objects always have the same key."""
    return f"landed/{source}/{partition}/{_part_name(objects)}"


def _part_name(objects: Sequence[Held]) -> str:
    return f"{sha256(msgspec.json.encode(objects)).hexdigest()[:NAME_DIGITS]}.parquet"


@contextmanager
def open_part(path: Path) -> Iterator[pq.ParquetWriter]:
    """Write a part (schema `tables.LANDED`) to a local file, a table at a time."""
    # Of a path, pyarrow first finds out the file system, which takes as long as a small part.
    with (
        pa.OSFile(str(path), "wb") as file,
        pq.ParquetWriter(
            file,
            LANDED,
            compression="zstd",
            write_page_checksum=True,
            use_dictionary=_REPETITIVE,
        ) as writer,
    ):
        yield writer


def write_footer(writer: pq.ParquetWriter, objects: Sequence[Held]) -> None:
    """Say what the part holds. It is the last thing that is written to it."""
    writer.add_key_value_metadata({_FOOTER_KEY: msgspec.json.encode(objects)})


def read_rows(
    path: Path, columns: Sequence[str], objects: Sequence[str] | None
) -> Iterator[pa.Table]:
    """Columns of a part's rows, of all its log objects or of those named, a row group at a time.

    Raises:
        IntegrityError: its bytes are not those that were written.
    """
    keys = pa.array(objects, pa.string()) if objects is not None else None
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            for group in range(file.num_row_groups):
                table = file.read_row_group(group, columns=list(columns))
                is_wanted = None if keys is None else pc.is_in(table["object"], value_set=keys)
                yield table if is_wanted is None else table.filter(is_wanted)
                del table  # it may be large; the next one is read without it
    except (pa.ArrowException, OSError, KeyError, TypeError, ValueError):
        raise integrity_error(path) from None


def read_parts(lake: Store, source: str, window: Window) -> list[Part]:
    """The parts of a source that may hold records of the window, by key.

    Raises:
        IntegrityError: a file in the lake is not a part as Sluice wrote it.
        OutsideError: a part may not be read.
    """
    root = f"landed/{source}/"
    entries = [
        entry
        for entry in lake.entries(root)
        if is_delivered(entry.key.removeprefix(root).rpartition("/")[0], window)
    ]
    parts = _parts_of_days(lake, source, entries)
    other_entries = [entry for entry in entries if entry not in parts]
    with ThreadPoolExecutor(FOOTER_WORKERS) as pool:
        parts |= zip(other_entries, pool.map(partial(_part, lake), other_entries), strict=True)
    return [parts[entry] for entry in entries]


def _parts_of_days(lake: Store, source: str, entries: Sequence[Entry]) -> dict[Entry, Part]:
    """Return the parts of which compacted days tell what they hold, by their entries."""
    days = list_compacted(lake, f"landed/{source}", NARROW_LANDED)
    parts = dict[Entry, Part]()
    for folder, group in groupby(entries, key=lambda entry: day_folder(entry.key)):
        of_day = list(group)
        if day_file := days.find(folder, of_day):
            for entry, member in zip(of_day, day_file.members, strict=True):
                objects = msgspec.json.decode(member.footer, type=tuple[Held, ...])
                if _is_named_after(entry, objects):
                    parts[entry] = Part(entry, objects)
    return parts


def _part(lake: Store, entry: Entry) -> Part:
    try:
        metadata = _read_footer(lake, entry)
        objects = msgspec.json.decode(metadata.metadata[_FOOTER_KEY], type=tuple[Held, ...])
        schema = metadata.schema.to_arrow_schema()
    except (pa.ArrowException, OSError, KeyError, TypeError, ValueError):
        raise integrity_error(f"{lake.uri}/{entry.key}") from None
    is_as_listed = metadata.num_rows == sum(each.rows for each in objects)
    if not (_is_named_after(entry, objects) and is_as_listed and schema.equals(LANDED)):
        raise integrity_error(f"{lake.uri}/{entry.key}")
    return Part(entry, objects)


def _is_named_after(entry: Entry, objects: Sequence[Held]) -> bool:
    """Whether a part holds these objects: an altered list, or a file moved here, does not fit."""
    return entry.key.rpartition("/")[2] == _part_name(objects)


def _read_footer(lake: Store, entry: Entry) -> pq.FileMetaData:
    """The footer of a part: of its bytes, no more than the last ones are fetched."""
    tail = lake.tail(entry, FOOTER_BYTES)
    size = int.from_bytes(tail[-_FOOTER_END:-_MAGIC_BYTES], "little") + _FOOTER_END
    if len(tail) < size <= entry.size:
        tail = lake.tail(entry, size)
    return pq.read_metadata(pa.BufferReader(tail))


def integrity_error(place: str | Path) -> IntegrityError:
    """Return the error that a file is not a landed part, or is damaged."""
    return IntegrityError(
        f"{place} is not a landed part as Sluice wrote it: it is damaged or another file. "
        "Delete it, and pull again"
    )


def missing(
    objects: Iterable[LogObject], parts: Iterable[Part]
) -> list[tuple[LogObject, int | None]]:
    """Listed objects that no part holds whole in the version listed now.

    With each goes the number of its bodies that the best part still waits for, None if there is no
    part of it.
    """
    waiting = dict[tuple[str, str, int], int]()
    for known_object in (known_object for part in parts for known_object in part.objects):
        version = (known_object.key, known_object.etag, known_object.size)
        waiting[version] = min(known_object.waiting, waiting.get(version, known_object.waiting))
    listed_objects = ((o, waiting.get((o.entry.key, o.entry.etag, o.entry.size))) for o in objects)
    return [(each, number) for each, number in listed_objects if number != 0]


def choose_versions(parts: Sequence[Part]) -> Mapping[str, list[Held]]:
    """Which part (by its key) each object is read from: the newest version that is most whole.

    Of two that are equally whole, it is the one from which more forgotten records were taken.
    """
    newest = dict[str, tuple[tuple[datetime, str, int, int, str], Held]]()
    for part in parts:
        for version in part.objects:
            wholeness = (-version.waiting, version.erasure_count)
            rank = (version.modified, version.etag, *wholeness, part.entry.key)
            if version.key not in newest or newest[version.key][0] < rank:
                newest[version.key] = (rank, version)
    by_part = dict[str, list[Held]]()
    for (*_, key), version in newest.values():
        by_part.setdefault(key, []).append(version)
    return by_part
