"""Compacted days: the narrow columns of all parts of one day, in one file.

    derived/landed/<source>/<account>/<region>/YYYY/MM/DD-<parts>-<digest>.parquet
    derived/<fingerprint>/days/<source>/<account>/<region>/YYYY/MM/DD-<parts>-<digest>.parquet

The first has columns of landed parts, the second of derived parts; `<parts>` is a digest of what is
known of the parts without opening them.

A window of 30 days has hundreds of parts. To open one takes longer than to read its narrow columns,
and in S3 even the footers of all are as many requests. A compacted day is a cache: a pure function
of the parts that it names, which can be deleted at any time. It is used if its name has the digest
of its bytes.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from bedrock_sluice.lake.derived import DIGEST_DIGITS, NAME_END, digest_of, name_end
from bedrock_sluice.lake.stores.store import DERIVED_FOLDER, Entry, Store
from bedrock_sluice.transforms.errors import TransientError

FORMAT = 2  # of the files
ROW_GROUP_ROWS = 65_536

_MEMBERS_KEY = b"sluice.members"
_NAME = re.compile(rf"(?P<stem>.+-[0-9a-f]{{{DIGEST_DIGITS}}}){NAME_END}")
_DAY = re.compile(r"landed/[^/]+/(?P<folder>[^/]+/[^/]+/\d{4}/\d\d/\d\d)/\d\d/[^/]+")


class Member(msgspec.Struct, frozen=True):
    """One part in a compacted day: its number of rows, and what is known of its footer.

    That is the list of log objects (JSON) of a landed part, and the digest of a derived one.
    """

    rows: int
    footer: str


@dataclass(frozen=True)
class CompactedDay:
    """A local file with columns of the rows of its members, one after the other."""

    path: Path
    members: tuple[Member, ...]


@dataclass(frozen=True)
class CompactedDays:
    """The compacted days of one kind in a lake, which all have these columns."""

    lake: Store
    kind: str
    schema: pa.Schema
    entries: Mapping[str, list[Entry]]

    def find(self, day: str | None, parts: Sequence[Entry]) -> CompactedDay | None:
        """Return the compacted day of these parts, if the lake has a sound one.

        There is none of parts outside of the hour folders (`day` is None).
        """
        for entry in self.entries.get(_stem(day, parts), []) if day else []:
            try:
                path = self.lake.local(entry)
            except TransientError:  # removed since it was listed
                continue
            if (members := _read_members(path, entry.key, self.schema)) is not None:
                return CompactedDay(path, members)
        return None

    def make(self, path: Path, parts: Iterable[tuple[Member, pa.Table]]) -> CompactedDay:
        """Write a compacted day to a new local file, from the columns of each part."""
        members, tables = list[Member](), [self.schema.empty_table()]
        with pq.ParquetWriter(
            path, self.schema, compression="zstd", write_page_checksum=True
        ) as writer:
            for member, table in parts:
                members.append(member)
                tables.append(table)
                if sum(each.num_rows for each in tables) >= ROW_GROUP_ROWS:
                    writer.write_table(pa.concat_tables(tables))
                    tables.clear()
            if tables:
                writer.write_table(pa.concat_tables(tables))
            writer.add_key_value_metadata({_MEMBERS_KEY: msgspec.json.encode(members)})
        return CompactedDay(path, tuple(members))

    def put(self, day: str, parts: Sequence[Entry], day_file: CompactedDay) -> None:
        """Put a compacted day into the lake, for later builds."""
        stem = _stem(day, parts)
        name = f"{stem}-{name_end(day_file.path, self.entries.get(stem, []))}"
        self.lake.put_new(f"{DERIVED_FOLDER}/{self.kind}/{name}", day_file.path)


def list_compacted(lake: Store, kind: str, schema: pa.Schema) -> CompactedDays:
    """List the compacted days of one kind."""
    root = f"{DERIVED_FOLDER}/{kind}/"
    entries = dict[str, list[Entry]]()
    for entry in lake.entries(root):
        if match := _NAME.fullmatch(entry.key.removeprefix(root)):
            entries.setdefault(match["stem"], []).append(entry)
    return CompactedDays(lake, kind, schema, entries)


def list_by_folder(lake: Store, fingerprint: str | None) -> Mapping[str, list[Entry]]:
    """List the compacted days of all sources by the folder of their landed parts, of one day.

    They are those of derived parts with a fingerprint; None for those of landed parts.
    """
    root = f"{DERIVED_FOLDER}/{fingerprint}/days/" if fingerprint else f"{DERIVED_FOLDER}/landed/"
    entries = dict[str, list[Entry]]()
    for entry in lake.entries(root):
        if match := _NAME.fullmatch(entry.key.removeprefix(root)):
            folder = match["stem"].rpartition("-")[0]
            entries.setdefault(f"landed/{folder}", []).append(entry)
    return entries


def day_folder(landed_key: str) -> str | None:
    """Return `account/region/YYYY/MM/DD` of a landed part; None outside of the hour folders."""
    match = _DAY.fullmatch(landed_key)
    return match["folder"] if match else None


def _stem(day: str, parts: Sequence[Entry]) -> str:
    """Return the name of a day; it changes if a part is landed anew, or its file is written to."""
    identity = [FORMAT, [f"{part.key} {part.etag}" for part in parts]]
    return f"{day}-{sha256(msgspec.json.encode(identity)).hexdigest()[:DIGEST_DIGITS]}"


def _read_members(path: Path, key: str, schema: pa.Schema) -> tuple[Member, ...] | None:
    """Return the members of a sound file; None if it is not as it was written."""
    match = _NAME.fullmatch(key.rpartition("/")[2])
    try:
        if match is None or digest_of(path)[:DIGEST_DIGITS] != match["digest"]:
            return None
        metadata = pq.read_metadata(path)
        if not metadata.schema.to_arrow_schema().equals(schema):
            return None
        return msgspec.json.decode(metadata.metadata[_MEMBERS_KEY], type=tuple[Member, ...])
    except (pa.ArrowException, OSError, KeyError, ValueError):
        return None
