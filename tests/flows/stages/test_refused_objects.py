"""Log objects that can't be read: each is quarantined, stops no build, and is tried again."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pytest
from support.protocols import MakeRecords, RunSluice, WriteLogs, WriteRecipe

from bedrock_sluice.lake.stores.s3 import S3Store
from bedrock_sluice.lake.stores.store import Entry, ObjectRefusedError
from bedrock_sluice.transforms.reasons import Reason

Json = dict[str, Any]


@pytest.fixture
def logs(
    tmp_path: Path,
    bucket: str,
    write_logs: WriteLogs,
    records: MakeRecords,
    recipe: WriteRecipe,
) -> tuple[str, list[str], Path]:
    """A bucket of three log objects, their keys, and a recipe over them."""
    good = records(180, datetime(2026, 10, 1, 12, tzinfo=UTC))
    write_logs(tmp_path / "logs", [good[:60], good[60:120], good[120:]])
    s3, keys = boto3.client("s3"), list[str]()
    for path in sorted((tmp_path / "logs").rglob("*.gz")):
        keys.append(path.relative_to(tmp_path / "logs").as_posix())
        s3.upload_file(str(path), bucket, keys[-1])
    return bucket, keys, recipe(swaps={'"logs"': f'"s3://{bucket}"'})


def counts(sluice: RunSluice, recipe: Path) -> tuple[int, int, Json]:
    """Exit code, lines, and what was quarantined, of a build."""
    result = sluice("build", recipe, "--json")
    output = json.loads(result.out)["counts"]
    return result.code, output["train"] + output["validation"], output["quarantined"]


def restore(bucket: str, key: str, storage: str) -> None:
    """Change the storage class of an object, which changes nothing else of it."""
    from moto.s3.models import s3_backends

    stored_object = s3_backends["123456789012"]["aws"].get_object(bucket, key)
    assert stored_object is not None
    stored_object.set_storage_class(storage)


def test_an_archived_object_is_quarantined_until_it_is_restored(
    logs: tuple[str, list[str], Path], sluice: RunSluice
) -> None:
    bucket, keys, recipe = logs
    restore(bucket, keys[1], "GLACIER")
    for _ in range(2):
        assert counts(sluice, recipe) == (0, 120, {"pull_archived": 1})
    assert json.loads(sluice("pull", recipe, "--json").out)["objects"] == 0
    restore(bucket, keys[1], "STANDARD")
    assert counts(sluice, recipe) == (0, 180, {})
    assert json.loads(sluice("pull", recipe, "--json").out)["objects"] == 0


def test_a_denied_object_is_quarantined_and_all_of_them_are_an_error(
    logs: tuple[str, list[str], Path], sluice: RunSluice, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, keys, recipe = logs
    read, denied_keys = S3Store.read, set(keys)

    def refuse(store: S3Store, entry: Entry) -> bytes:
        if entry.key in denied_keys:
            raise ObjectRefusedError(f"{entry.key}: AccessDenied", Reason.PULL_DENIED)
        return read(store, entry)

    monkeypatch.setattr(S3Store, "read", refuse)
    result = sluice("build", recipe)
    assert (result.code, "none of the 3 log objects" in result.err) == (3, True)
    denied_keys.intersection_update(keys[:1])
    assert counts(sluice, recipe) == (0, 120, {"pull_denied": 1})
    denied_keys.clear()
    assert counts(sluice, recipe) == (0, 180, {})
