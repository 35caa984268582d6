"""Releases: each file is compared with the manifest, and read once."""

from pathlib import Path

import pytest

from bedrock_sluice.lake.releases import release as module
from bedrock_sluice.lake.releases.manifest import FileFacts
from bedrock_sluice.lake.releases.release import (
    Release,
    draft_manifest,
    file_digests,
    open_release,
    publish,
)
from bedrock_sluice.lake.stores.s3 import S3Store
from bedrock_sluice.lake.stores.store import Entry, Store
from bedrock_sluice.transforms.errors import IntegrityError

LINES = b'{"id":"a"}\n'


@pytest.fixture
def release(store: Store, tmp_path: Path) -> Release:
    """A release of two files, in either kind of lake."""
    files = {name: tmp_path / name for name in ("train.jsonl", "validation.jsonl")}
    for path in files.values():
        path.write_bytes(LINES)
    manifest = draft_manifest(
        name="math",
        until="2026-11-01",
        recipe={},
        recipe_digest="0" * 64,
        files=file_digests(files),
    )
    return open_release(publish(store, manifest, files).uri)


def test_a_file_is_fetched_and_hashed_once(
    release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    gets, hashes = list[str](), list[str]()
    get, hash_file = S3Store.read, module.file_facts

    def read(store: S3Store, entry: Entry) -> bytes:
        gets.append(entry.key)
        return get(store, entry)

    def file_facts(path: Path) -> FileFacts:
        hashes.append(path.name)
        return hash_file(path)

    monkeypatch.setattr(S3Store, "read", read)
    monkeypatch.setattr(module, "file_facts", file_facts)
    for _ in range(3):
        assert release.file("train.jsonl").read_bytes() == LINES
    release.verify()
    assert len(hashes) == 2
    assert len(gets) == (2 if isinstance(release.lake, S3Store) else 0)


def test_a_file_that_changes_after_it_was_read_is_noticed(release: Release) -> None:
    path = release.file("train.jsonl")
    path.write_bytes(LINES.swapcase())
    with pytest.raises(IntegrityError, match="differs from the manifest") as error_info:
        release.file("train.jsonl")
    assert error_info.value.place == f"{release.uri}/train.jsonl"


def test_a_file_that_is_missing_is_named(release: Release) -> None:
    with pytest.raises(IntegrityError, match="missing from the release") as error_info:
        release.file("fates.parquet")
    assert error_info.value.place == f"{release.uri}/fates.parquet"
