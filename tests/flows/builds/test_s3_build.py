"""The same logs in a bucket: the same release, to the byte; and what S3 refuses is told."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
from support.protocols import RunSluice, WriteRecipe

from bedrock_sluice.lake.stores.folder import FolderStore
from bedrock_sluice.lake.stores.s3 import S3Store
from bedrock_sluice.lake.stores.store import Entry

SWAPS = {'"lake"': '"s3://{0}/lake"', '"logs"': '"s3://{0}/logs"'}


@pytest.fixture
def in_s3(bucket: str, sums: Path, recipe: WriteRecipe) -> Path:
    """The recipe `sums` with its logs and its lake in a bucket."""
    here = sums.parent / "logs"
    for entry in FolderStore(here).entries():
        S3Store(f"s3://{bucket}/logs").put_new(entry.key, here / entry.key)
    swaps = {old: new.format(bucket) for old, new in SWAPS.items()}
    return recipe(swaps=swaps, name="s3.toml")


def test_logs_in_s3_make_the_same_release_as_logs_in_a_folder(
    sums: Path, in_s3: Path, sluice: RunSluice, tmp_path: Path
) -> None:
    here = json.loads(sluice("build", sums, "--json").out)
    there = json.loads(sluice("build", in_s3, "--json").out)
    assert there["id"] == here["id"]
    assert there["counts"] == here["counts"]
    store = S3Store(there["release"])
    contents = {entry.key: store.read(entry) for entry in store.entries()}
    folder = Path(here["release"])
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert contents.keys() == files.keys()
    # These two name the places.
    assert {n for n in contents if contents[n] != files[n]} == {"manifest.json", "report.html"}


def test_a_second_pull_from_s3_fetches_nothing_and_explain_reads_the_lake(
    in_s3: Path, sluice: RunSluice
) -> None:
    sluice("build", in_s3)
    assert json.loads(sluice("pull", in_s3, "--json").out)["objects"] == 0
    assert sluice("explain", in_s3, "request-7").code == 0
    assert sluice("doctor", in_s3).code == 0


def test_a_bucket_that_is_not_there_is_the_recipes_fault(
    aws: Callable[[str], None], moto_url: str, recipe: WriteRecipe, sluice: Any
) -> None:
    aws(moto_url)
    result = sluice("build", recipe(swaps={'"logs"': '"s3://no-such-bucket/x"'}))
    assert result.code == 2
    assert "there is no such bucket" in result.err


def test_a_prefix_with_a_typo_is_answered_with_its_neighbours(
    in_s3: Path, bucket: str, sluice: RunSluice
) -> None:
    S3Store(f"s3://{bucket}").put_new("archive/old.txt", b"-")
    in_s3.write_text(in_s3.read_text().replace(f"{bucket}/logs", f"{bucket}/lgos"))
    result = sluice("pull", in_s3)
    assert result.code == 2
    assert "found: no files; beside it: logs, archive)" in " ".join(result.err.split())


def test_a_byte_that_changes_on_the_way_leaves_nothing_in_the_lake(
    in_s3: Path, sluice: RunSluice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither in a log object nor in its magic bytes, where it would pass for plain text."""
    read = S3Store.read
    flipped_keys = set[str]()

    def flip_once(store: S3Store, entry: Entry) -> bytes:
        content = read(store, entry)
        if entry.key in flipped_keys or not entry.key.endswith(".json.gz"):
            return content
        at = len(flipped_keys) % 2 * 100
        flipped_keys.add(entry.key)
        return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]

    monkeypatch.setattr(S3Store, "read", flip_once)
    counts = json.loads(sluice("build", in_s3, "--json").out)["counts"]
    assert (len(flipped_keys), counts["records"], counts["quarantined"]) == (3, 150, {})


def test_an_object_that_changes_after_it_was_listed_is_not_mixed_in(
    in_s3: Path, bucket: str, sluice: RunSluice, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = S3Store.read

    def swap(store: S3Store, entry: Any) -> bytes:
        client = boto3.client("s3")
        client.put_object(Bucket=bucket, Key=f"logs/{entry.key}", Body=b"other")
        return read(store, entry)

    monkeypatch.setattr(S3Store, "read", swap)
    result = sluice("build", in_s3)
    assert result.code == 3
    assert "changed or went after it was listed; run again" in result.err
