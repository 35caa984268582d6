"""Deletion: what can be computed again and leftovers, and nothing else by any name."""

import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bedrock_sluice.lake import files
from bedrock_sluice.lake.files import STALE_SECONDS, TEMPORARY_PREFIX
from bedrock_sluice.lake.stores.folder import FolderStore
from bedrock_sluice.lake.stores.s3 import DELETE_KEYS, S3Store
from bedrock_sluice.lake.stores.store import Area, Entry, Store
from bedrock_sluice.transforms.errors import OutsideError, SluiceError, TransientError

Failing = Callable[..., tuple[S3Store, Any]]


def put(store: Store, *keys: str) -> list[Entry]:
    for key in keys:
        store.put_new(key, b"content")
    return [entry for key in keys if (entry := store.entry(key))]


def test_what_is_deleted_is_gone_and_nothing_else(store: Store) -> None:
    deletable = put(store, "derived/f/a.parquet", "derived/f/b c/é.parquet")
    others = put(store, "derived/f/c.parquet", "derived2/a", "landed/a.parquet")
    store.delete(deletable)
    assert sorted(others, key=lambda entry: entry.key) == list(store.entries())


def test_to_delete_twice_is_no_error(store: Store) -> None:
    entries = put(store, "derived/f/x/a", "derived/f/x/b")
    store.delete(entries[:1])
    store.delete(entries)
    store.delete([])
    assert list(store.entries()) == []


@pytest.mark.parametrize("area", ["landed", "leases", "releases", "reviews"])
def test_only_what_lies_below_the_area_that_is_named_is_deleted(store: Store, area: Area) -> None:
    inside = put(store, f"{area}/x/y/a")
    outside = put(store, "approvals/a", "derived/a", f"{area}2/a")
    with pytest.raises(ValueError, match="approvals/a"):
        store.delete([*inside, *outside], area)
    with pytest.raises(ValueError, match=f"{area}/x/y/a"):
        store.delete(inside)
    with pytest.raises(ValueError, match=r"\.\./approvals/a"):
        store.delete([replace(inside[0], key=f"{area}/../approvals/a")], area)
    store.delete(inside, area)
    assert list(store.entries()) == outside


@pytest.mark.parametrize(
    "key",
    [
        *("landed/a.parquet", "releases/a/b/manifest.json", "registry/a", "derived", "derived2/a"),
        *("derived/../landed/a.parquet", "derived//a", "derived/./a", "/derived/a", ""),
    ],
)
def test_no_other_key_can_be_deleted(store: Store, key: str) -> None:
    (cache,) = put(store, "derived/a")
    put(store, "landed/a.parquet", "releases/a/b/manifest.json", "registry/a", "derived2/a")
    before = list(store.entries())
    with pytest.raises(ValueError, match="^" + key):
        store.delete([cache, Entry(key, cache.size, cache.etag, cache.modified)])
    assert list(store.entries()) == before


def test_a_link_below_derived_leads_nowhere_else(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "lake")
    put(store, "landed/a.parquet", "derived/f/b")
    (tmp_path / "lake/derived/f/landed").symlink_to(tmp_path / "lake/landed")
    (entry,) = store.entries("derived/f/landed/")
    with pytest.raises(ValueError, match=entry.key):
        store.delete([entry])
    assert (tmp_path / "lake/landed/a.parquet").exists()


def test_a_lake_behind_a_link_is_a_lake(tmp_path: Path) -> None:
    put(FolderStore(tmp_path / "disk"), "derived/f/a")
    (tmp_path / "lake").symlink_to(tmp_path / "disk")
    store = FolderStore(tmp_path / "lake")
    store.delete(list(store.entries()))
    assert list(store.entries()) == []


def test_folders_that_become_empty_are_removed(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    put(store, "derived/f/x/y/a", "derived/f/z/b", "landed/c")
    store.delete(list(store.entries("derived/f/x/")))
    assert sorted(p.name for p in (tmp_path / "derived/f").iterdir()) == ["z"]
    store.delete(list(store.entries("derived/")))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["landed"]


def test_of_temporary_files_only_those_of_days_ago_are_leftovers(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    put(store, "landed/a")
    old, new = (tmp_path / f"landed/{TEMPORARY_PREFIX}{letter * 16}" for letter in "ab")
    for path in (old, new):
        path.write_bytes(b"half of it")
    long_ago = time.time() - STALE_SECONDS - 60
    for path in (old, tmp_path / "landed/a"):
        os.utime(path, (long_ago, long_ago))
    leftovers = list(store.leftovers())
    assert [entry.key for entry in leftovers] == [f"landed/{old.name}"]
    store.delete(leftovers)
    store.delete(leftovers)
    assert sorted(p.name for p in (tmp_path / "landed").iterdir()) == sorted([new.name, "a"])


def test_in_a_bucket_nothing_is_a_leftover(bucket: str) -> None:
    store = S3Store(f"s3://{bucket}/lake")
    (entry,) = put(store, f"landed/{TEMPORARY_PREFIX}{'a' * 16}")
    assert list(store.leftovers()) == []
    with pytest.raises(ValueError, match=entry.key):
        store.delete([entry])


def test_more_objects_than_one_request_takes_are_deleted(bucket: str) -> None:
    store = S3Store(f"s3://{bucket}/lake")
    (entry,) = put(store, "derived/last")
    absent = [Entry(f"derived/{n}", 1, "e", entry.modified) for n in range(DELETE_KEYS)]
    store.delete([*absent, entry])
    assert list(store.entries()) == []


@pytest.mark.parametrize(
    ("reply", "kind", "words"),
    [
        ("AccessDenied", OutsideError, "s3:DeleteObject"),
        ("deletion that is denied", OutsideError, "s3:DeleteObject"),
        ("deletion that fails", TransientError, "InternalError"),
        ("SlowDown", TransientError, "SlowDown"),
        ("nothing", TransientError, "proxy"),
        ("a proxy's page", SluiceError, "run again"),
    ],
)
def test_a_deletion_that_fails_says_what_to_do(
    failing: Failing, reply: str, kind: type[SluiceError], words: str
) -> None:
    store, _ = failing("listing", reply)
    (other,) = store.entries()
    entry = Entry("derived/a", other.size, other.etag, other.modified)
    with pytest.raises(kind, match=words):
        store.delete([entry])


def test_a_listing_goes_on_where_files_and_folders_are_deleted_meanwhile(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    put(store, "derived/a", "derived/b/c", "derived/d")
    entries = store.entries("derived/")
    assert next(entries).key == "derived/a"
    store.delete(list(FolderStore(tmp_path).entries("derived/b/")))
    assert [entry.key for entry in entries] == ["derived/d"]


def test_a_write_goes_on_where_its_folder_is_removed_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remove_stale, folders = files._remove_stale, list[Path]()

    def remove_folder(folder: Path) -> None:
        remove_stale(folder)
        if not folders:
            folder.rmdir()
        folders.append(folder)

    monkeypatch.setattr(files, "_remove_stale", remove_folder)
    store = FolderStore(tmp_path)
    assert store.put_new("derived/f/a", b"content")
    assert (tmp_path / "derived/f/a").read_bytes() == b"content"
    assert len(folders) == 2
