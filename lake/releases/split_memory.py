"""What later builds need of a release that was removed: the sides of its lines, and their texts.

releases/<name>/<release id>/split_memory.parquet    all that is left of a removed release

The file takes the place of the release in the history of the split. It has a row per line: the
root, the side and the request id; and the text of lines that were held out. `is_last` says that it
also has the texts of training lines, because a release that was kept was built right after it.
"""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, NamedTuple

import msgspec
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from bedrock_sluice.lake.releases.release import MANIFEST, Release
from bedrock_sluice.lake.stores.store import Entry, Store
from bedrock_sluice.transforms.errors import IntegrityError
from bedrock_sluice.transforms.split import TRAIN, VALIDATION

SCHEMA_VERSION: Final = "1"
MEMORY_FILE = "split_memory.parquet"
PROVENANCE_FILE = "provenance.parquet"

REMEMBERED = pa.schema(
    [
        pa.field("root", pa.string(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
        pa.field("request_id", pa.string(), nullable=False),
        pa.field("json", pa.string()),
    ]
)


class SplitMemory(NamedTuple):
    """What is remembered of a removed release: its id, its parent's, and `REMEMBERED` lines."""

    id: str
    rules: str
    parent: str | None
    is_last: bool
    lines: pl.DataFrame


class _Line(msgspec.Struct):
    id: str


def put_memory(release: Release, *, is_last: bool) -> None:
    """Put what later builds need of a release beside its files.

    Raises:
        IntegrityError: a file of the release is missing or was changed.
    """
    sides = (VALIDATION, TRAIN) if is_last else (VALIDATION,)
    texts = pl.concat(read_lines(release, side) for side in sides)
    provenance = pl.DataFrame(
        pq.read_table(release.file(PROVENANCE_FILE), columns=["id", "root", "split", "request_id"])
    )
    rows = provenance.join(texts, on="id", how="left").sort("id").drop("id")
    facts = {
        "schema_version": SCHEMA_VERSION,
        "split_rules": release.manifest.split_rules,
        "parent": release.manifest.parent or "",
        "is_last": "yes" if is_last else "",
    }
    table = rows.to_arrow().cast(REMEMBERED).replace_schema_metadata(facts)
    with TemporaryDirectory(prefix="sluice-memory-") as folder:
        path = Path(folder, MEMORY_FILE)
        pq.write_table(table, path, compression="zstd", write_page_checksum=True)
        key = f"releases/{release.name}/{release.id}/{MEMORY_FILE}"
        if release.lake.put_new(key, path) or not is_last:
            return
        # Of a release that was removed, and built again since: it may lack the training lines.
        entry = release.lake.entry(key)
        if entry and not read_memory(release.lake, entry).is_last:
            release.lake.delete([entry], "releases")
            release.lake.put_new(key, path)


def read_lines(release: Release, side: str) -> pl.DataFrame:
    """Read the lines of a side as `id, json`.

    Raises:
        IntegrityError: its file is missing or was changed.
    """
    content = release.file(f"{side}.jsonl").read_bytes()
    # As bytes: `str.splitlines` would split texts at further characters, such as U+2028.
    texts = [line.decode() for line in content.splitlines()]
    return pl.DataFrame(
        {"id": [msgspec.json.decode(text, type=_Line).id for text in texts], "json": texts},
        schema={"id": pl.String, "json": pl.String},
    )


def read_memories(lake: Store, name: str) -> list[SplitMemory]:
    """Read what is remembered of the removed releases of a name, by id.

    Raises:
        IntegrityError: one is not what was written.
    """
    return [read_memory(lake, entry) for entry in list_memories(lake, name)]


def list_memories(lake: Store, name: str) -> list[Entry]:
    """List the memories of releases that have no manifest any more."""
    entries = {entry.key: entry for entry in lake.entries(f"releases/{name}/")}
    memories = [key for key in entries if key.endswith(f"/{MEMORY_FILE}")]
    return [entries[k] for k in memories if f"{k.rpartition('/')[0]}/{MANIFEST}" not in entries]


def read_memory(lake: Store, entry: Entry) -> SplitMemory:
    """Read what is remembered of a release.

    Raises:
        IntegrityError: it is not what was written, or a newer version of Sluice wrote it.
    """
    try:
        table = pq.read_table(lake.local(entry), page_checksum_verification=True)
        facts = {k.decode(): v.decode() for k, v in (table.schema.metadata or {}).items()}
        is_known = facts.get("schema_version") == SCHEMA_VERSION
        if not is_known or not table.schema.equals(REMEMBERED):
            raise ValueError
        release_id = entry.key.split("/")[2]
        lines, parent = pl.DataFrame(table), facts["parent"] or None
        return SplitMemory(release_id, facts["split_rules"], parent, bool(facts["is_last"]), lines)
    except (pa.ArrowException, OSError, ValueError, KeyError):
        raise IntegrityError(
            "not what was written, or of a newer version",
            place=f"{lake.uri}/{entry.key}",
            hint="restore it from a copy; the split of later builds depends on it",
        ) from None
