"""Landed parts: immutable Parquet files of records, and the knowledge of what they hold.

    landed/<source>/<account>/<region>/YYYY/MM/DD/HH/<digest of the objects>.parquet

A part's footer lists the log objects that it holds, so what is landed is known from the parts
themselves: there is no index beside them that could be wrong.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from bedrock_sluice.lake.source import LogObject, Source
from bedrock_sluice.lake.store import Entry, Store
from bedrock_sluice.transforms.errors import IntegrityError

MAX_BATCH_BYTES = 4 << 20  # of compressed log objects in one part
MAX_BATCH_OBJECTS = 256
ROWS_PER_GROUP = 4_096
FOOTER_WORKERS = 16
NAME_DIGITS = 24
SOURCE_DIGITS = 12

_FOOTER_KEY = b"sluice.objects"


class Held(msgspec.Struct, frozen=True):
    """One log object as a part holds it: its listing, the digest of its bytes, its rows."""

    key: str
    etag: str
    size: int
    modified: datetime
    sha256: str
    rows: int


@dataclass(frozen=True, slots=True)
class Part:
    """One Parquet file of the lake, and the log objects in it."""

    entry: Entry
    objects: tuple[Held, ...]


Batch = tuple[str, tuple[LogObject, ...]]  # a partition, and objects of it that make one part


def source_name(source: Source) -> str:
    """The name of a source inside the lake; several sources may share one lake."""
    return sha256(source.store.uri.encode()).hexdigest()[:SOURCE_DIGITS]


def batches(objects: Iterable[LogObject]) -> Iterator[Batch]:
    """Group listed objects (by key) into parts: one partition each, bounded in bytes and number."""
    batch, size = list[LogObject](), 0
    for each in objects:
        is_full = size + each.entry.size > MAX_BATCH_BYTES or len(batch) == MAX_BATCH_OBJECTS
        if batch and (is_full or batch[0].partition != each.partition):
            yield batch[0].partition, tuple(batch)
            batch, size = [], 0
        batch.append(each)
        size += each.entry.size
    if batch:
        yield batch[0].partition, tuple(batch)


def part_key(source: str, batch: Batch) -> str:
    """The key of the part that holds a batch; the same batch always has the same key."""
    partition, objects = batch
    listed = [(o.entry.key, o.entry.etag, o.entry.size) for o in objects]
    name = sha256(msgspec.json.encode(listed)).hexdigest()[:NAME_DIGITS]
    return f"landed/{source}/{partition}/{name}.parquet"


def write_part(path: Path, table: pa.Table, objects: Sequence[Held]) -> None:
    """Write a part (schema `tables.LANDED`) with its footer to a local file."""
    footer = {_FOOTER_KEY: msgspec.json.encode(objects)}
    pq.write_table(
        table.replace_schema_metadata(footer),
        path,
        compression="zstd",
        row_group_size=ROWS_PER_GROUP,
        use_dictionary=["account_id", "region", "model_id", "operation", "identity_arn", "object"],
    )


def read_parts(lake: Store, source: str) -> list[Part]:
    """All parts of a source, by key.

    Raises:
        IntegrityError: a file in the lake is no part that Sluice wrote.
    """
    entries = list(lake.entries(f"landed/{source}/"))
    with ThreadPoolExecutor(FOOTER_WORKERS) as pool:
        return list(pool.map(lambda entry: _part(lake, entry), entries))


def _part(lake: Store, entry: Entry) -> Part:
    try:
        footer = pq.read_schema(lake.local(entry)).metadata[_FOOTER_KEY]
        objects = msgspec.json.decode(footer, type=tuple[Held, ...])
    except (pa.ArrowException, KeyError, TypeError, ValueError):
        raise IntegrityError(
            f"{lake.uri}/{entry.key} is no landed part; move it away, and pull again"
        ) from None
    return Part(entry, objects)


def missing(objects: Iterable[LogObject], parts: Iterable[Part]) -> list[LogObject]:
    """Listed objects that no part holds in the version listed now."""
    held = {(o.key, o.etag, o.size) for part in parts for o in part.objects}
    return [o for o in objects if (o.entry.key, o.entry.etag, o.entry.size) not in held]


def choose_versions(parts: Sequence[Part]) -> Mapping[str, list[Held]]:
    """Which part (by its key) each object is read from: its newest version, from one part only."""
    newest = dict[str, tuple[tuple[datetime, str, str], Held]]()
    for part in parts:
        for held in part.objects:
            rank = (held.modified, held.etag, part.entry.key)
            if held.key not in newest or newest[held.key][0] < rank:
                newest[held.key] = (rank, held)
    chosen = dict[str, list[Held]]()
    for (_, _, key), held in newest.values():
        chosen.setdefault(key, []).append(held)
    return chosen
