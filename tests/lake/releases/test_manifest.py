"""The manifest: every schema version is read, and nothing else is taken for a manifest.

`data/` has two manifests of one build: version 1 by the last Sluice that wrote it, and version 2.
Version 3 is version 2 with its new fields.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from bedrock_sluice.lake.releases.manifest import SCHEMA_VERSION, Manifest
from bedrock_sluice.lake.releases.manifest_file import decode_manifest, encode_manifest
from bedrock_sluice.lake.releases.release import find_built, newest_release, open_release
from bedrock_sluice.lake.releases.split_history import read_split_history
from bedrock_sluice.lake.stores.store import Store
from bedrock_sluice.transforms.errors import ExitCode, IntegrityError

Json = dict[str, Any]
PLACE = "lake/releases/tutor/x/manifest.json"
DATA = Path(__file__).parent / "data"
VERSION_1, VERSION_2, VERSION_3 = (
    (DATA / f"manifest-version-{version}.json").read_bytes() for version in (1, 2, 3)
)


def test_version_1_is_read_as_version_2_of_the_same_build() -> None:
    old, new = decode_manifest(VERSION_1, PLACE), decode_manifest(VERSION_2, PLACE)
    assert old.files.pop("report.html") != new.files.pop("report.html")  # its words have changed
    assert (old.schema_version, new.schema_version) == (SCHEMA_VERSION, 2)
    assert old == replace(new, schema_version=SCHEMA_VERSION)
    # Each part has something in it, so that its equality says something.
    assert old.readiness is not None
    assert old.curation.label_conflicts is not None
    assert old.answers.sources["labels"].table is not None
    assert all((old.inputs.objects, old.stages, old.counts.dropped, old.metadata.records_by_key))


def test_a_manifest_is_written_as_it_was_read() -> None:
    assert encode_manifest(decode_manifest(VERSION_3, PLACE)) == VERSION_3
    new_fields = {"rights": None, "decisions": None}
    version_2 = replace(decode_manifest(VERSION_3, PLACE), schema_version=2, **new_fields)
    assert version_2 == decode_manifest(VERSION_2, PLACE)


@pytest.mark.parametrize("version", [SCHEMA_VERSION + 1, 99, 0, -1])
def test_another_version_is_refused_with_what_to_do(version: int) -> None:
    content = msgspec.json.encode({"schema_version": version, "anything": "else"})
    with pytest.raises(IntegrityError) as error_info:
        decode_manifest(content, PLACE)
    error = error_info.value
    assert (error.place, error.value, error.exit_code) == (PLACE, version, ExitCode.CHECK_FAILED)
    assert str(version) in error.message
    assert "upgrade bedrock-sluice" in (error.hint or "")


def remove(key: str) -> Callable[[Json], Any]:
    return lambda content: content.pop(key)


EDITS: dict[str, tuple[Callable[[Json], Any], str]] = {
    "no name": (remove("name"), "name"),
    "no recipe": (remove("recipe"), "recipe"),
    "no files": (remove("files"), "files"),
    "a verdict that is none": (lambda m: m.update(verdict="fine"), "verdict"),
    "a count that is text": (lambda m: m["counts"].update(train="29"), r"counts\.train"),
    "a short digest": (lambda m: m.update(digest="0"), "digest"),
    "a path as a file name": (
        lambda m: m["files"].update({"../up.json": m["files"]["checks.json"]}),
        "files",
    ),
    "an unknown field": (lambda m: m.update(verdicts="passed"), "verdicts"),
    "an unknown field within": (lambda m: m["leakage"].update(late=1), "leakage"),
    "no version": (remove("schema_version"), "inputs"),  # is version 1, with other inputs
    "a version that is text": (lambda m: m.update(schema_version="2"), "schema_version"),
}


@pytest.mark.parametrize("name", EDITS)
def test_a_manifest_with_another_shape_is_refused_by_field(name: str) -> None:
    edit, field = EDITS[name]
    content: Json = msgspec.json.decode(VERSION_3)
    edit(content)
    with pytest.raises(IntegrityError, match=field) as error_info:
        decode_manifest(msgspec.json.encode(content), PLACE)
    assert error_info.value.place == PLACE
    assert "build it again" in (error_info.value.hint or "")


@pytest.mark.parametrize("content", [b"", b"\xff{}", b"[]", b"null", b"{}", b"[" * 100_000])
def test_what_is_not_a_manifest_is_refused(content: bytes) -> None:
    with pytest.raises(IntegrityError, match="not a manifest") as error_info:
        decode_manifest(content, PLACE)
    assert error_info.value.place == PLACE


def put_manifest(lake: Store, content: bytes) -> Manifest:
    manifest = decode_manifest(content, PLACE)
    lake.put_new(f"releases/{manifest.name}/{manifest.id}/manifest.json", content)
    return manifest


def test_a_release_of_version_1_is_found_and_opened(store: Store) -> None:
    old = put_manifest(store, VERSION_1)
    release = open_release(f"{store.uri}/releases/tutor/{old.id}")
    assert release.manifest == old
    new = decode_manifest(VERSION_3, PLACE)
    build = find_built(store, "tutor", None, lambda manifest: manifest.inputs == new.inputs)
    assert build is not None
    assert build.uri == release.uri
    rules = new.split_rules
    newest = newest_release(store, "tutor", lambda each: each.split_rules == rules)
    assert newest is not None
    assert newest.uri == release.uri
    with pytest.raises(IntegrityError, match=r"provenance\.parquet"):  # it is read for its sides
        read_split_history(store, "tutor", rules)


def test_a_manifest_in_another_folder_is_refused(store: Store) -> None:
    manifest = decode_manifest(VERSION_2, PLACE)
    other = replace(manifest, id=f"2026-11-01-{manifest.digest[:12]}")
    store.put_new(f"releases/tutor/{manifest.id}/manifest.json", encode_manifest(other))
    with pytest.raises(IntegrityError, match="do not match each other"):
        open_release(f"{store.uri}/releases/tutor/{manifest.id}")
