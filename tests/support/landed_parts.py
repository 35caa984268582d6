"""Landed parts for tests: written by hand, and put into a lake."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from bedrock_sluice.lake.logs.landed import Held, open_part, part_key, write_footer
from bedrock_sluice.lake.stores.store import Store
from bedrock_sluice.transforms.tables import landed_table

NOON = datetime(2026, 10, 1, 12, tzinfo=UTC)
DAY = "111122223333/us-east-1/2026/10/01"
HOUR = f"{DAY}/12"

ROWS: list[dict[str, Any]] = [
    {"object": "a", "line": 1, "request_id": "r", "timestamp": NOON, "input_body": "{}"},
    {"object": "a", "line": 2, "request_metadata": [("k", "v"), ("é", "")]},
    {"object": "b", "line": 0, "reason": "pull_corrupt_gzip", "detail": "x"},
]


def item(
    key: str = "a",
    etag: str = "e1",
    size: int = 10,
    modified_at: datetime = NOON,
    waiting: int = 0,
    rows: int = 1,
    digest: str = "0" * 64,
) -> Held:
    """A log object as a part holds it."""
    return Held(key, etag, size, modified_at, digest, rows, waiting)


def write_part(path: Path, table: pa.Table, objects: Sequence[Held]) -> None:
    """Write a part to a local file."""
    with open_part(path) as part:
        part.write_table(table)
        write_footer(part, objects)


def land(
    lake: Store, folder: Path, rows: list[dict[str, Any]], *objects: Held, source: str = "s"
) -> None:
    """Write a part and put it into a lake."""
    path = folder / "part.parquet"
    write_part(path, landed_table(rows), objects)
    assert lake.put_new(part_key(source, HOUR, objects), path)
