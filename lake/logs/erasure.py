"""Erasing forgotten records from landed parts.

A part is immutable, so a new one takes its place: the same rows, of which forgotten ones have only
their place (log object and line) left. It names the same log objects, so none is landed again.
"""

from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from bedrock_sluice.lake.logs.landed import (
    Part,
    integrity_error,
    open_part,
    part_key,
    read_parts,
    with_erasures,
    write_footer,
)
from bedrock_sluice.lake.logs.source import Window
from bedrock_sluice.lake.stores.store import Entry, Store
from bedrock_sluice.transforms.rights.tombstones import erased_row, find_forgotten
from bedrock_sluice.transforms.tables import LANDED, RECORD_KEY, landed_table

READERS = 8  # parts that are read at once
LANDED_FOLDER = "landed/"

BODY_URIS = ("input_body_uri", "output_body_uri")
SCAN_COLUMNS = (
    *(*RECORD_KEY, "request_id", "timestamp", "identity_arn", "request_metadata"),
    *BODY_URIS,
)

Matches = Callable[[pl.DataFrame], pl.Series]


@dataclass(frozen=True)
class LandedMatch:
    """A landed part of a source, and those of its rows that were looked for."""

    source: str
    part: Part
    rows: pl.DataFrame


def find_rows(
    lake: Store, matches: Matches, columns: Collection[str] = SCAN_COLUMNS
) -> Iterator[LandedMatch]:
    """Yield each landed part of a lake that has rows for which `matches` gives True.

    Raises:
        IntegrityError: a file in the lake is not a part as Sluice wrote it.
    """
    for source in lake.folders(LANDED_FOLDER):
        parts = read_parts(lake, source, Window(None, None))
        with ThreadPoolExecutor(READERS) as pool:
            frames = pool.map(lambda part: _read(lake, part.entry, columns), parts)
            for part, frame in zip(parts, frames, strict=True):
                rows = frame.filter(matches(frame))
                if rows.height:
                    yield LandedMatch(source, part, rows)


def _read(lake: Store, entry: Entry, columns: Collection[str]) -> pl.DataFrame:
    # In memory, and not as a local copy: a copy would stay on this machine.
    try:
        buffer = pa.BufferReader(lake.read(entry))
        with pq.ParquetFile(buffer, page_checksum_verification=True) as file:
            return pl.DataFrame(file.read(columns=list(columns)))
    except (pa.ArrowException, KeyError, TypeError, ValueError):
        raise integrity_error(f"{lake.uri}/{entry.key}") from None


def put_erased(lake: Store, match: LandedMatch, digests: Collection[str]) -> str:
    """Put the part that takes the place of one with forgotten records; returns its key."""
    lines = dict[str, list[int]]()
    for log_object, line in match.rows.select(RECORD_KEY).iter_rows():
        lines.setdefault(log_object, []).append(line)
    objects = [with_erasures(each, lines.get(each.key, ())) for each in match.part.objects]
    partition = match.part.entry.key.removeprefix(f"{LANDED_FOLDER}{match.source}/")
    key = part_key(match.source, partition.rpartition("/")[0], objects)
    with TemporaryDirectory(prefix="sluice-forget-") as folder:
        path = Path(folder, "part.parquet")
        buffer = pa.BufferReader(lake.read(match.part.entry))
        with (
            pq.ParquetFile(buffer, page_checksum_verification=True) as file,
            open_part(path) as writer,
        ):
            for number in range(file.num_row_groups):
                writer.write_table(_erase(file.read_row_group(number), digests))
            write_footer(writer, objects)
        lake.put_new(key, path)
    return key


def _erase(table: pa.Table, digests: Collection[str]) -> pa.Table:
    """Return the same rows in the same order, the forgotten ones without their content."""
    mask = np.array(find_forgotten(table["request_id"].to_pylist(), digests), dtype=bool)
    places = table.select(RECORD_KEY).filter(pa.array(mask)).to_pylist()
    erased_rows = landed_table([erased_row(place) for place in places])
    rows = pa.concat_tables([table.filter(pa.array(~mask)), erased_rows])
    order = np.argsort(np.argsort(mask, kind="stable"))
    return rows.take(pa.array(order)).cast(LANDED)


def has_forgotten(lake: Store, entry: Entry, digests: Collection[str]) -> bool:
    """Return whether a compacted day of landed parts has rows of forgotten records."""
    return any(find_forgotten(_read(lake, entry, ["request_id"])["request_id"], digests))
