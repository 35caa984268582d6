"""Compacted days tell what the parts of a day hold, so that their footers need not be read."""

from pathlib import Path

import msgspec
from support.landed_parts import DAY, ROWS, item, land

from bedrock_sluice.lake.compacted import Member, list_compacted
from bedrock_sluice.lake.logs.landed import NARROW_LANDED, read_parts, source_name
from bedrock_sluice.lake.logs.landed_window import find_landed
from bedrock_sluice.lake.logs.source import Source, Window
from bedrock_sluice.lake.stores.folder import FolderStore
from bedrock_sluice.lake.stores.s3 import S3Store, cache_in


def test_a_compacted_day_tells_what_its_parts_hold(bucket: str, tmp_path: Path) -> None:
    lake, source = S3Store(f"s3://{bucket}"), Source(FolderStore(tmp_path / "logs"), "")
    name = source_name(source)
    land(lake, tmp_path, ROWS[:2], item("a", rows=2), source=name)
    land(lake, tmp_path, ROWS[2:], item("b"), source=name)
    parts = read_parts(lake, name, Window())
    assert find_landed(lake, source, Window(), (), tmp_path).days

    keys = list[str]()
    lake._client.meta.events.register(
        "provide-client-params.s3.GetObject", lambda params, **_: keys.append(params["Key"])
    )
    with cache_in(tmp_path / "another machine"):
        assert read_parts(lake, name, Window()) == parts
        (key,) = keys
        assert key.startswith("derived/landed/")

        land(lake, tmp_path, ROWS[:1], item("c"), source=name)  # it came late
        objects = {each.objects for each in read_parts(lake, name, Window())}
        assert objects == {(item("a", rows=2),), (item("b"),), (item("c"),)}


def test_a_compacted_day_is_not_trusted_over_the_names_of_parts(tmp_path: Path) -> None:
    lake = FolderStore(tmp_path / "lake")
    land(lake, tmp_path, ROWS[:1], item("a"))
    (part,) = read_parts(lake, "s", Window())
    days = list_compacted(lake, "landed/s", NARROW_LANDED)
    lie = Member(1, msgspec.json.encode([item("b")]).decode())
    day_file = days.make(tmp_path / "day.parquet", [(lie, NARROW_LANDED.empty_table())])
    days.put(DAY, [part.entry], day_file)
    assert read_parts(lake, "s", Window()) == [part]
