"""Landed parts: what one holds is told by its name and its footer, and by nothing else."""

import itertools
from datetime import timedelta
from pathlib import Path
from secrets import token_hex
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.landed_parts import HOUR, NOON, ROWS, item, land, write_part

from bedrock_sluice.lake.logs.landed import (
    FOOTER_BYTES,
    Held,
    Part,
    choose_versions,
    missing,
    part_key,
    read_parts,
    read_rows,
    source_name,
)
from bedrock_sluice.lake.logs.source import LogObject, Source, Window
from bedrock_sluice.lake.stores.folder import FolderStore
from bedrock_sluice.lake.stores.s3 import S3Store
from bedrock_sluice.lake.stores.store import Entry
from bedrock_sluice.transforms.errors import IntegrityError
from bedrock_sluice.transforms.tables import LANDED, landed_table


def log(key: str = "a", size: int = 10, etag: str = "e1", partition: str = HOUR) -> LogObject:
    """A listed log object."""
    return LogObject(Entry(key, size, etag, NOON), partition)


def part(name: str, *objects: Held) -> Part:
    """A part of the lake."""
    return Part(Entry(f"landed/s/{name}.parquet", 1, "e", NOON), objects)


def test_a_part_is_named_after_what_it_holds() -> None:
    objects = [item("a"), item("b")]
    key = part_key("0123456789ab", HOUR, objects)
    assert key == part_key("0123456789ab", HOUR, [item("a"), item("b")])
    folder, _, name = key.rpartition("/")
    assert folder == f"landed/0123456789ab/{HOUR}"
    assert len(name) == 24 + len(".parquet")
    others = [
        [item("a")],
        [item("b"), item("a")],
        [item("a", "e2"), item("b")],
        [item("a", size=11), item("b")],
        [item("a", waiting=1), item("b")],
        [item("ab"), item("")],
        [item("a", modified_at=NOON + timedelta(1)), item("b")],
        [item("a", rows=2), item("b")],
        [item("a", digest="1" * 64), item("b")],
    ]
    keys = {key, *(part_key("0123456789ab", HOUR, other) for other in others)}
    assert len(keys) == 1 + len(others)
    assert set(Held.__struct_fields__) == {
        *("key", "etag", "size", "modified", "sha256", "rows", "waiting", "erasures")
    }  # each is changed above


def test_a_part_gives_back_its_rows_and_its_objects(tmp_path: Path) -> None:
    lake = FolderStore(tmp_path / "lake")
    land(lake, tmp_path, ROWS, item("a", rows=2), item("b"))
    (read,) = read_parts(lake, "s", Window())
    assert read.objects == (item("a", rows=2), item("b"))
    table = pq.read_table(lake.local(read.entry))
    assert table.replace_schema_metadata(None).schema.equals(LANDED)
    assert table.equals(landed_table(ROWS))


@pytest.mark.parametrize("number", [1, 2_000], ids=["short footer", "long footer"])
def test_of_a_part_in_s3_only_the_footer_is_fetched(
    bucket: str, tmp_path: Path, number: int
) -> None:
    """In one request, or in two if it is long; and in none if the part is in the cache."""
    lake = S3Store(f"s3://{bucket}")
    objects = [item(f"AWSLogs/{n}") for n in range(number)]
    bodies = [token_hex(FOOTER_BYTES) for _ in range(4)]  # what can't be compressed
    rows = [
        {"object": each.key, "line": 1, "input_body": body}
        for each, body in zip(objects, itertools.cycle(bodies), strict=False)
    ]
    land(lake, tmp_path, rows, *objects)
    answers = list[int]()
    lake._client.meta.events.register(
        "after-call.s3.GetObject", lambda **event: answers.append(event["parsed"]["ContentLength"])
    )
    (read,) = read_parts(lake, "s", Window())
    assert read.objects == tuple(objects)
    assert answers[0] == min(read.entry.size, FOOTER_BYTES)
    assert len(answers) == (1 if number == 1 else 2)
    lake.local(read.entry)
    answers.clear()
    assert read_parts(lake, "s", Window()) == [read]
    assert answers == []


def test_the_same_rows_make_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "other"):
        write_part(tmp_path / name, landed_table(ROWS), [item("a")])
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()


def test_a_part_may_hold_objects_without_rows(tmp_path: Path) -> None:
    lake = FolderStore(tmp_path / "lake")
    land(lake, tmp_path, [], item("a", rows=0))
    assert read_parts(lake, "s", Window())[0].objects == (item("a", rows=0),)


def test_sources_do_not_see_each_other(tmp_path: Path) -> None:
    lake = FolderStore(tmp_path / "lake")
    sources = [Source(FolderStore(tmp_path / name), "AWSLogs/") for name in ("logs", "logs2")]
    names = [source_name(source) for source in sources]
    for name in names:
        land(lake, tmp_path, ROWS, item(name, rows=3), source=name)
    assert [read_parts(lake, name, Window())[0].objects for name in names] == [
        (item(names[0], rows=3),),
        (item(names[1], rows=3),),
    ]


def test_other_places_for_bodies_make_another_source(tmp_path: Path) -> None:
    """They decide which bodies a part holds, so recipes that name others share no parts."""
    places = [(), ("s3://a/x",), ("s3://a/x", "s3://b/y"), ("s3://b/y", "s3://a/x")]
    sources = [Source(FolderStore(tmp_path), "AWSLogs/", each) for each in places]
    assert len({source_name(source) for source in sources}) == len(places)


def _parquet(metadata: dict[str, str]) -> bytes:
    out = pa.BufferOutputStream()
    pq.write_table(pa.table({"a": [1]}).replace_schema_metadata(metadata), out)
    return bytes(out.getvalue().to_pybytes())


def _spoil(whole: bytes, kind: str) -> bytes:
    footer = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")
    return {
        "nothing": b"",
        "text": b"hello",
        "cut": whole[: len(whole) // 2],
        "another's": _parquet({}),
        "footer": whole[:footer] + b"\xff" * (len(whole) - 8 - footer) + whole[-8:],
        "footer's length": whole[:-8] + b"\xff\xff\xff\x7f" + whole[-4:],
        "objects": _parquet({"sluice.objects": '[{"key":"a"}]'}),
    }[kind]


@pytest.mark.parametrize(
    "kind", ["nothing", "text", "cut", "another's", "footer", "footer's length", "objects"]
)
def test_a_file_that_is_no_part_is_told(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "part.parquet"
    write_part(path, landed_table(ROWS), [item("a", rows=3)])
    lake = FolderStore(tmp_path / "lake")
    lake.put_new("landed/s/x.parquet", _spoil(path.read_bytes(), kind))
    with pytest.raises(IntegrityError, match=r"x\.parquet is not a landed part .* Delete it, and"):
        read_parts(lake, "s", Window())


@pytest.mark.parametrize(
    ("rows", "objects"),
    [(ROWS, [item("a", rows=2)]), (ROWS[:2], [item("a", rows=2), item("b")])],
    ids=["rows of no object", "an object without its row"],
)
def test_a_part_holds_as_many_rows_as_it_lists(
    tmp_path: Path, rows: list[dict[str, Any]], objects: list[Held]
) -> None:
    lake = FolderStore(tmp_path / "lake")
    land(lake, tmp_path, rows, *objects)
    with pytest.raises(IntegrityError, match="is not a landed part"):
        read_parts(lake, "s", Window())


def test_a_part_of_another_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "part.parquet"
    footer = {"sluice.objects": msgspec.json.encode([item()]).decode()}
    path.write_bytes(_parquet(footer))
    lake = FolderStore(tmp_path / "lake")
    assert lake.put_new(part_key("s", HOUR, [item()]), path)
    with pytest.raises(IntegrityError, match="is not a landed part"):
        read_parts(lake, "s", Window())


def test_a_part_with_another_name_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "part.parquet"
    write_part(path, landed_table(ROWS[:1]), [item("a")])
    lake = FolderStore(tmp_path / "lake")
    assert lake.put_new(part_key("s", HOUR, [item("b")]), path)
    with pytest.raises(IntegrityError, match="is not a landed part"):
        read_parts(lake, "s", Window())


def test_no_flipped_bit_of_a_footer_goes_unnoticed(tmp_path: Path) -> None:
    """Either the part is refused, or it lists the same objects and gives the same rows."""
    lake = FolderStore(tmp_path)
    objects = (item("AWSLogs/a", rows=2, waiting=1), item("b"))
    land(lake, tmp_path, ROWS, *objects)
    path = tmp_path / part_key("s", HOUR, objects)
    whole = path.read_bytes()
    start = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")
    list_start = whole.rindex(b'[{"key":"AWSLogs/a"')  # each byte of the list, a few elsewhere
    flips = accepted_count = refused_count = 0
    for at in range(start, len(whole)):
        if at % 15 and not list_start <= at < list_start + len(msgspec.json.encode(objects)):
            continue
        path.write_bytes(whole[:at] + bytes([whole[at] ^ (1 << at % 8)]) + whole[at + 1 :])
        flips += 1
        try:
            (read,) = read_parts(lake, "s", Window())
            rows = rows_of(path, LANDED.names)
        except IntegrityError as error:
            refused_count += path.name in str(error)
            continue
        accepted_count += 1
        assert (read.objects, rows.equals(landed_table(ROWS))) == (objects, True), at
    assert accepted_count + refused_count == flips  # each refusal names the file
    assert refused_count > 300


def test_a_part_with_a_flipped_bit_never_gives_other_rows(tmp_path: Path) -> None:
    """Pages carry checksums; without them, one flip in ten gave other rows in silence."""
    path = tmp_path / "part.parquet"
    rows = [{"object": "a", "line": n, "input_body": f'{{"n": {n}}}'} for n in range(50)]
    table = landed_table(rows)
    write_part(path, table, [item("a")])
    whole = path.read_bytes()
    changed_bits = list[int]()
    for at in range(4, len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        try:
            read = rows_of(path, LANDED.names)
        except IntegrityError:
            continue
        if not read.equals(table):
            changed_bits.append(at)
    assert changed_bits == []


def test_rows_can_be_asked_of_some_objects_alone(tmp_path: Path) -> None:
    path = tmp_path / "part.parquet"
    write_part(path, landed_table(ROWS), [item("a"), item("b")])
    columns = ["object", "line"]
    assert rows_of(path, columns, ["b", "z"]).to_pylist() == [{"object": "b", "line": 0}]
    assert rows_of(path, ["line"])["line"].to_pylist() == [1, 2, 0]
    assert rows_of(path, columns, []).num_rows == 0


def rows_of(path: Path, columns: list[str], objects: list[str] | None = None) -> pa.Table:
    return pa.concat_tables(read_rows(path, columns, objects))


# --- versions


def test_what_is_missing_is_what_no_part_holds_as_it_is_now() -> None:
    parts = [
        part("p", item("a"), item("b", etag="old")),
        part("q", item("c", size=9)),
    ]
    log_objects = [log("a"), log("b"), log("c"), log("d")]
    assert missing(log_objects, parts) == [(each, None) for each in log_objects[1:]]
    assert missing(log_objects, []) == [(each, None) for each in log_objects]
    assert missing([], parts) == []


def test_what_waits_for_bodies_is_missing_until_it_has_them_all() -> None:
    waits = [part("p", item("a", waiting=3)), part("q", item("a", waiting=1))]
    assert missing([log("a")], waits) == missing([log("a")], waits[::-1]) == [(log("a"), 1)]
    assert missing([log("a")], [*waits, part("r", item("a"))]) == []


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([part("p", item("a"), item("b"))], {"p": ["a", "b"]}),
        (
            [part("p", item("a"), item("b")), part("q", item("b", "e2", 11, NOON + timedelta(1)))],
            {"p": ["a"], "q": ["b"]},
        ),
        (
            [part("q", item("b")), part("p", item("b", "e0", 11, NOON + timedelta(1)))],
            {"p": ["b"]},
        ),
        ([part("p", item("a")), part("q", item("a"))], {"q": ["a"]}),
        ([part("q", item("a")), part("p", item("a"))], {"q": ["a"]}),
        ([part("p", item("a", "e1")), part("q", item("a", "e2"))], {"q": ["a"]}),
        ([part("p", item("a")), part("q", item("a", waiting=1))], {"p": ["a"]}),
        (
            [part("p", item("a")), part("q", item("a", "e2", 9, NOON + timedelta(1), 1))],
            {"q": ["a"]},
        ),
        ([], {}),
    ],
    ids=[
        "one part", "a newer version", "newer beats the order of parts", "landed twice",
        "landed twice, in the other order", "two of one time", "the most whole",
        "a newer version that waits", "nothing",
    ],
)  # fmt: skip
def test_each_object_is_read_once_in_its_newest_version(
    parts: list[Part], expected: dict[str, list[str]]
) -> None:
    choice = {
        key.removeprefix("landed/s/").removesuffix(".parquet"): [each.key for each in objects]
        for key, objects in choose_versions(parts).items()
    }
    assert choice == expected


_HELD = st.builds(
    item,
    st.sampled_from("abc"),
    st.sampled_from(["e1", "e2"]),
    st.just(10),
    st.sampled_from([NOON, NOON + timedelta(1)]),
)


@given(contents=st.lists(st.lists(_HELD, max_size=4), max_size=4), order=st.randoms())
def test_the_choice_does_not_depend_on_the_order_of_parts(
    contents: list[list[Held]], order: Any
) -> None:
    parts = [part(str(n), *objects) for n, objects in enumerate(contents)]
    before = choose_versions(parts)
    order.shuffle(parts)
    after = choose_versions(parts)
    assert {k: sorted(h.key for h in v) for k, v in before.items()} == {
        k: sorted(h.key for h in v) for k, v in after.items()
    }
    keys = [each.key for objects in after.values() for each in objects]
    assert sorted(keys) == sorted({each.key for objects in contents for each in objects})
