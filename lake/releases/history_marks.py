"""Marks of the lines that the next release of a name is compared with, kept beside the release.

    derived/<fingerprint>/lines/<name>/<release id>-<digest>.parquet

So a nightly computes marks of new lines alone. The file is a cache: each row serves only for the
messages whose digest it has, and the file only if its name has the digest of its bytes. It can be
deleted at any time.
"""

import re
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from bedrock_sluice.lake.derived import NAME_END, digest_of, name_end
from bedrock_sluice.lake.stores.store import DERIVED_FOLDER, Entry, Store
from bedrock_sluice.transforms.dedup.line_marks import MARKS
from bedrock_sluice.transforms.errors import TransientError

_NAME = re.compile(rf"(?P<release>[^/]+/[^/]+){NAME_END}")


def read_marks(lake: Store, fingerprint: str, release: str) -> pa.Table:
    """Read the marks (schema `MARKS`) kept beside a release, `<name>/<release id>`.

    The table is empty if there are none, or if they are damaged.
    """
    for entry in list_marks(lake, fingerprint, release).get(release, []):
        if (table := _read(lake, entry)) is not None:
            return table
    return MARKS.empty_table()


def put_marks(lake: Store, fingerprint: str, release: str, marks: pa.Table, work: Path) -> None:
    """Keep marks (schema `MARKS`) beside a release, unless some are; `work` is a folder."""
    entries = list_marks(lake, fingerprint, release).get(release, [])
    if any(_read(lake, entry) is not None for entry in entries):
        return
    path = work / "marks.parquet"
    pq.write_table(marks, path, compression="zstd", write_page_checksum=True)
    lake.put_new(f"{_root(fingerprint)}{release}-{name_end(path, entries)}", path)


def list_marks(lake: Store, fingerprint: str, start: str = "") -> Mapping[str, list[Entry]]:
    """List files of marks by their release, `<name>/<release id>`, which begins with `start`."""
    root, entries = _root(fingerprint), dict[str, list[Entry]]()
    for entry in lake.entries(f"{root}{start}"):
        if match := _NAME.fullmatch(entry.key.removeprefix(root)):
            entries.setdefault(match["release"], []).append(entry)
    return entries


def _root(fingerprint: str) -> str:
    return f"{DERIVED_FOLDER}/{fingerprint}/lines/"


def _read(lake: Store, entry: Entry) -> pa.Table | None:
    """Read a file of marks; None if it is not as it was written, or is gone."""
    match = _NAME.search(entry.key)
    try:
        path = lake.local(entry)
        if match is None or not digest_of(path).startswith(match["digest"]):
            return None
        table = pq.read_table(path, page_checksum_verification=True)
    except (pa.ArrowException, OSError, TransientError):
        return None
    return table if table.schema.equals(MARKS) else None
