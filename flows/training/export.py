"""Export of a release for another trainer: its lines in another format, and where they are from."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Literal, NamedTuple

import msgspec

from bedrock_sluice.flows.decisions.requirements import check_passed
from bedrock_sluice.flows.recipe.build_recipe import recipe_of
from bedrock_sluice.flows.training.targets.base import TRAIN_FILE, VALIDATION_FILE
from bedrock_sluice.lake.releases.release import Release, file_facts, put_same
from bedrock_sluice.lake.stores.opening import open_store
from bedrock_sluice.rewards.exports import (
    FORMATS,
    PARQUET_FORMATS,
    ExportFormat,
    Origin,
    export_lines,
    write_parquet,
)
from bedrock_sluice.transforms.errors import ConfigError

EXPORT_FILE = "export.json"


class ExportFile(msgspec.Struct, frozen=True):
    """One file of an export: its SHA-256, its bytes, and how many rows it has."""

    sha256: str
    bytes: int
    rows: int


class ExportManifest(msgspec.Struct, frozen=True, kw_only=True):
    """The content of `export.json`: the files, and what they were made from."""

    schema_version: Literal[1] = 1
    format: ExportFormat
    release: str
    release_digest: str
    manifest_sha256: str
    files: Annotated[dict[str, ExportFile], msgspec.Meta(min_length=1)]


class Export(NamedTuple):
    """Where an export was put, and its manifest."""

    uri: str
    manifest: ExportManifest


def export_release(
    release: Release, kind: ExportFormat, out: str, *, parquet: bool = True
) -> Export:
    """Write the lines of a verified release into a folder or below an `s3://` URI.

    The same release gives the same bytes; to export it again changes nothing. `export.json` is
    written last.

    Raises:
        ConfigError: there is no such format, or the lines can't be written in it.
        RefusedError: the gate rejected the release.
        IntegrityError: a file of the release, or of an earlier export, is not what was written.
    """
    if kind not in FORMATS:
        raise ConfigError(f"unknown format {kind!r}; choose one of {', '.join(FORMATS)}")
    check_passed(release)
    recipe = recipe_of(release)
    store, files = open_store(out), dict[str, ExportFile]()
    with TemporaryDirectory(prefix="sluice-export-") as folder:
        for name in (TRAIN_FILE, VALIDATION_FILE):
            if name not in release.manifest.files:
                continue
            source, target = release.file(name), Path(folder, name)
            origin = Origin(name.partition(".")[0], recipe.name, recipe.template.name)
            rows = export_lines(kind, source, target, origin)
            paths = [target]
            if parquet and kind in PARQUET_FORMATS and rows:
                paths.append(target.with_suffix(".parquet"))
                write_parquet(kind, source, paths[-1], origin)
            for path in paths:
                facts = file_facts(path)
                put_same(store, path.name, path, facts.sha256)
                files[path.name] = ExportFile(facts.sha256, facts.bytes, rows)
        manifest = ExportManifest(
            format=kind,
            release=f"{release.name}/{release.id}",
            release_digest=release.manifest.digest,
            manifest_sha256=release.manifest_sha256,
            files=files,
        )
        path = Path(folder, EXPORT_FILE)
        path.write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")
        put_same(store, EXPORT_FILE, path, file_facts(path).sha256)
    return Export(store.uri, manifest)
