"""Compacted days: found by the parts that they were made of, and only while they are sound."""

from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from bedrock_sluice.lake.compacted import CompactedDays, Member, day_folder, list_compacted
from bedrock_sluice.lake.exchanges import read_columns
from bedrock_sluice.lake.stores.folder import FolderStore
from bedrock_sluice.lake.stores.store import Entry

SCHEMA = pa.schema([("n", pa.int64())])
DAY = "111122223333/us-east-1/2026/10/01"
NOON = datetime(2026, 10, 1, 12, tzinfo=UTC)
A, B, B_AGAIN = (Entry(key, 1, etag, NOON) for key, etag in (("a", "1"), ("b", "1"), ("b", "2")))
PARTS = [(Member(2, "f1"), pa.table([[1, 2]], SCHEMA)), (Member(1, "f2"), pa.table([[3]], SCHEMA))]


@pytest.fixture
def lake(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "lake")


def days_of(lake: FolderStore) -> CompactedDays:
    return list_compacted(lake, "landed/source", SCHEMA)


def stored_files(lake: FolderStore) -> list[Path]:
    return sorted((lake.root / "derived").rglob("*.parquet"))


@pytest.fixture
def day_path(lake: FolderStore, tmp_path: Path) -> Path:
    """The file of a day in the lake, made of the parts a and b."""
    days = days_of(lake)
    days.put(DAY, [A, B], days.make(tmp_path / "day.parquet", PARTS))
    (path,) = stored_files(lake)
    return path


def test_a_day_is_found_by_its_parts(lake: FolderStore, day_path: Path) -> None:
    day_file = days_of(lake).find(DAY, [A, B])
    assert day_file is not None
    assert day_file.path == day_path
    assert day_file.members == (Member(2, "f1"), Member(1, "f2"))
    assert read_columns(day_file.path, ["n"])["n"].to_pylist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("day", "parts"), [(DAY, [A]), (DAY, [A, B_AGAIN]), (DAY.replace("/01", "/02"), [A, B])]
)
def test_other_parts_and_days_are_others(
    lake: FolderStore, day_path: Path, day: str, parts: list[Entry]
) -> None:
    assert day_path.exists()
    assert days_of(lake).find(day, parts) is None


def test_a_damaged_day_is_not_used_but_replaced(
    lake: FolderStore, day_path: Path, tmp_path: Path
) -> None:
    content = day_path.read_bytes()
    for place in range(len(content)):
        content_with_flip = bytearray(content)
        content_with_flip[place] ^= 1
        day_path.write_bytes(content_with_flip)
        days = days_of(lake)
        assert days.find(DAY, [A, B]) is None
    days.put(DAY, [A, B], days.make(tmp_path / "again.parquet", PARTS))
    assert len(stored_files(lake)) == 2
    day_file = days_of(lake).find(DAY, [A, B])
    assert day_file is not None
    assert day_file.path.read_bytes() == content


def test_a_day_with_other_columns_is_not_used(lake: FolderStore, day_path: Path) -> None:
    assert day_path.exists()
    other = list_compacted(lake, "landed/source", pa.schema([("m", pa.int64())]))
    assert other.find(DAY, [A, B]) is None


def test_days_are_those_of_folders_by_the_hour() -> None:
    assert day_folder(f"landed/source/{DAY}/07/part.parquet") == DAY
    assert day_folder("landed/source/loose/part.parquet") is None
