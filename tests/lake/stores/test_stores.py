"""What every store promises, asked of a folder and of a real S3 API alike."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from bedrock_sluice.lake.stores.folder import FolderStore
from bedrock_sluice.lake.stores.opening import open_store
from bedrock_sluice.lake.stores.s3 import S3Store
from bedrock_sluice.lake.stores.store import Entry, Store
from bedrock_sluice.transforms.errors import ConfigError, SluiceError, TransientError

ODD_KEYS = [
    "a b", "a+b", "a%20b", "a%2Fb", "é/ü", "e\u0301", "a#b?c=d&e", "a'b\"c", "*[x]?", "~$()!;,",
    "...", ".hidden/x", "<script>", "a\u202eb", "😀",
]  # fmt: skip


def keys(store: Store, prefix: str = "") -> list[str]:
    """The keys of a listing."""
    return [entry.key for entry in store.entries(prefix)]


def only(store: Store, key: str) -> Entry:
    """The listed object of a key."""
    entry = store.entry(key)
    assert entry
    return entry


def replace(store: Store, key: str, content: bytes | None) -> None:
    """Change an object behind the store's back; None deletes it."""
    if isinstance(store, FolderStore):
        path = store.root / key
        path.unlink() if content is None else path.write_bytes(content)
        return
    assert isinstance(store, S3Store)
    key = store._prefix + key
    store._client.delete_object(Bucket=store.bucket, Key=key)
    if content is not None:
        store._client.put_object(Bucket=store.bucket, Key=key, Body=content)


@pytest.mark.parametrize("content", [b"", b"bytes \0\xff\n", b"x" * 3_000_000])
def test_what_is_put_is_listed_and_read(store: Store, content: bytes) -> None:
    assert store.put_new("a/b.bin", content)
    (entry,) = store.entries()
    assert (entry.key, entry.size) == ("a/b.bin", len(content))
    assert entry.etag
    assert '"' not in entry.etag
    assert entry.modified.tzinfo
    assert store.read(entry) == content


def test_a_file_can_be_put(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"content")
    assert store.put_new("a", path)
    assert store.read(only(store, "a")) == b"content"
    assert path.read_bytes() == b"content"


def test_a_key_that_is_taken_stays_as_it_is(store: Store) -> None:
    assert store.put_new("a/b", b"first")
    before = only(store, "a/b")
    assert not store.put_new("a/b", b"second")
    assert list(store.entries()) == [before]
    assert store.read(before) == b"first"


def test_of_many_that_put_one_key_at_once_one_wins(store: Store) -> None:
    start = Barrier(8)

    def put(number: int) -> bool:
        start.wait()
        return store.put_new("new/key", b"%d" % number * 10_000)

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(put, range(8)))
    assert outcomes.count(True) == 1
    assert keys(store) == ["new/key"]
    assert store.read(only(store, "new/key")) == b"%d" % outcomes.index(True) * 10_000


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [
        ("", ["B", "a", "a-b/c", "a/b", "a/b/c", "a0", "é"]),
        ("a", ["a", "a-b/c", "a/b", "a/b/c", "a0"]),
        ("a/", ["a/b", "a/b/c"]),
        ("a/b", ["a/b", "a/b/c"]),
        ("a/b/", ["a/b/c"]),
        ("nothing", []),
        ("no/such/folder/", []),
    ],
)
def test_entries_come_by_key_and_below_the_prefix(
    bucket: str, tmp_path: Path, prefix: str, expected: list[str]
) -> None:
    """A folder can't hold both `a` and `a/b`, so it is asked about what it can hold."""
    s3, folder = S3Store(f"s3://{bucket}"), FolderStore(tmp_path / "root")
    for key in reversed(["B", "a", "a-b/c", "a/b", "a/b/c", "a0", "é"]):
        s3.put_new(key, b"")
    for key in ("é", "a0", "a/b/c", "a-b/c", "B"):
        folder.put_new(key, b"")
    assert keys(s3, prefix) == expected
    assert keys(folder, prefix) == [key for key in expected if key not in ("a", "a/b")]


def test_keys_of_any_letters_are_kept(store: Store) -> None:
    assert all(store.put_new(key, key.encode()) for key in ODD_KEYS)
    assert keys(store) == sorted(ODD_KEYS)
    for key in ODD_KEYS:
        assert store.read(only(store, key)) == key.encode()


def test_folders_are_named_right_below_the_prefix(store: Store) -> None:
    for key in ("b/2/x", "b/10/x", "b/file", "a/x", "top", "a b/x"):
        store.put_new(key, b"")
    assert store.folders() == ["a", "a b", "b"]
    assert store.folders("b/") == ["10", "2"]
    assert store.folders("b/2/") == []
    assert store.folders("nothing/") == []


@pytest.mark.parametrize("change", [b"other bytes", b"BYTES", None], ids=["grown", "same", "gone"])
def test_an_object_that_is_not_the_listed_one_is_not_read(
    store: Store, change: bytes | None
) -> None:
    store.put_new("a/b", b"bytes")
    stored_entry = only(store, "a/b")
    replace(store, "a/b", change)
    with pytest.raises(TransientError, match=r"a/b .*run again"):
        store.read(stored_entry)


def test_a_local_file_holds_the_bytes(store: Store) -> None:
    store.put_new("a/b.parquet", b"first")
    entry = only(store, "a/b.parquet")
    assert store.local(entry).read_bytes() == b"first"
    assert store.local(entry) == store.local(entry)


@pytest.mark.parametrize("size", [1, 4, 5, 9])
def test_the_last_bytes_can_be_read_alone(store: Store, size: int) -> None:
    store.put_new("a/b", b"12345")
    entry = only(store, "a/b")
    assert store.tail(entry, size) == b"12345"[-size:]
    store.local(entry)  # an S3 store keeps a copy
    assert store.tail(entry, size) == b"12345"[-size:]


def test_find_takes_the_exact_key(store: Store) -> None:
    for key in ("a/b.json", "a/b"):
        store.put_new(key, b"")
    assert only(store, "a/b").key == "a/b"
    assert store.entry("a/") is None
    assert store.entry("c") is None


def test_an_empty_store_holds_nothing(store: Store) -> None:
    assert (keys(store), store.folders()) == ([], [])


def test_a_uri_opens_the_store_again(store: Store) -> None:
    store.put_new("a", b"")
    assert keys(open_store(store.uri)) == ["a"]
    assert keys(open_store(f"{store.uri}/")) == ["a"]
    assert open_store(f"{store.uri}/").uri == store.uri


@pytest.mark.parametrize(
    "uri",
    ["http://bucket/x", "S3://bucket", "s3:/" + "/", "s3://Bucket", "s3://b", "s3://a_b", "gs://x"],
)
def test_what_is_no_place_is_refused(uri: str) -> None:
    with pytest.raises(ConfigError):
        open_store(uri)


def test_messages_hold_no_letters_that_do_not_print(store: Store) -> None:
    key = "a\u202eb\x1b[31m"
    store.put_new(key, b"bytes")
    stored_entry = only(store, key)
    replace(store, key, b"changed!")
    with pytest.raises(SluiceError) as refusal:
        store.read(stored_entry)
    assert str(refusal.value).isprintable()
