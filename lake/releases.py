"""Releases: immutable folders in the lake that exist when their manifest does.

releases/<name>/<until-date>-<12 hex of the digest>/
    train.jsonl  validation.jsonl  checks.json  fates.parquet  provenance.parquet  report.html
    manifest.json      written last, and only if it is not there yet

approvals/<name>/<release id>.json      who approved which digest, and when
"""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec

from bedrock_sluice.lake.store import Entry, Store, open_store
from bedrock_sluice.transforms.errors import ConfigError, IntegrityError

MANIFEST = "manifest.json"
REQUIRED = frozenset({"name", "id", "digest", "recipe", "recipe_digest", "files", "verdict"})
ID_DIGITS = 12

Manifest = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Release:
    """A whole release: where it is, and its manifest."""

    lake: Store
    manifest: Manifest

    @property
    def name(self) -> str:
        """The name of the recipe."""
        return str(self.manifest["name"])

    @property
    def id(self) -> str:
        """`<until-date>-<12 hex>`, unique within the name."""
        return str(self.manifest["id"])

    @property
    def uri(self) -> str:
        """The path or `s3://` URI of its folder."""
        return f"{self.lake.uri}/{_folder(self.name, self.id)}".rstrip("/")

    @property
    def is_passed(self) -> bool:
        """Whether the gate let it through."""
        return bool(self.manifest["verdict"] == "passed")

    def file(self, name: str) -> Path:
        """A local file with the bytes of one of its files.

        Raises:
            IntegrityError: the file is gone, or is not what the manifest says.
        """
        key = f"{_folder(self.name, self.id)}{name}"
        entry, told = self.lake.entry(key), self.manifest["files"][name]
        if entry is None or sha256(self.lake.read(entry)).hexdigest() != told["sha256"]:
            raise IntegrityError(f"{self.uri}/{name} is not what its manifest says; do not use it")
        return self.lake.local(entry)


def file_digests(files: Mapping[str, Path]) -> dict[str, dict[str, Any]]:
    """SHA-256 and bytes of each file, by name."""
    contents = {name: path.read_bytes() for name, path in sorted(files.items())}
    return {
        name: {"sha256": sha256(content).hexdigest(), "bytes": len(content)}
        for name, content in contents.items()
    }


def release_digest(recipe_digest: str, files: Mapping[str, Mapping[str, Any]]) -> str:
    """What an approval is bound to: the recipe's digest, and that of every file."""
    told = {"recipe": recipe_digest, "files": {name: f["sha256"] for name, f in files.items()}}
    return sha256(msgspec.json.encode(told, order="deterministic")).hexdigest()


def publish(lake: Store, manifest: Manifest, files: Mapping[str, Path]) -> Release:
    """Write the files, then the manifest; publishing the same again changes nothing.

    Raises:
        IntegrityError: a file of that name is there already with other bytes.
    """
    folder = _folder(manifest["name"], manifest["id"])
    for name, path in files.items():
        put_same(lake, folder + name, path, manifest["files"][name]["sha256"])
    text = msgspec.json.format(msgspec.json.encode(manifest, order="deterministic"), indent=2)
    if lake.put_new(folder + MANIFEST, text + b"\n"):
        return Release(lake, manifest)
    return _read(lake, folder)


def put_same(store: Store, key: str, path: Path, digest: str) -> None:
    """Create an object with the SHA-256 `digest`, or see that it is there already.

    Raises:
        IntegrityError: it is there with other bytes.
    """
    if store.put_new(key, path):
        return
    entry = store.entry(key)
    if entry is None or sha256(store.read(entry)).hexdigest() != digest:
        raise IntegrityError(f"{store.uri}/{key} is there with other bytes; look before you go on")


def open_release(uri: str) -> Release:
    """The release at a path or `s3://` URI.

    Raises:
        ConfigError: there is no whole release.
    """
    parts = uri.rstrip("/").split("/")
    if len(parts) < 4 or parts[-3] != "releases":
        parts = str(Path(uri).absolute()).split("/") if "://" not in uri else parts
    if len(parts) < 4 or parts[-3] != "releases":
        raise ConfigError(f"{uri} is no release: name a folder <lake>/releases/<name>/<id>")
    return _read(open_store("/".join(parts[:-3])), _folder(*parts[-2:]))


def newest_release(lake: Store, name: str) -> Release | None:
    """The release of a name whose manifest was written last."""
    manifests = list_manifests(lake, name)
    newest = max(manifests, key=lambda entry: (entry.modified, entry.key), default=None)
    return _read(lake, newest.key.removesuffix(MANIFEST)) if newest else None


def list_manifests(lake: Store, name: str) -> list[Entry]:
    """The manifests of all releases of a name, by release id."""
    return [e for e in lake.entries(f"releases/{name}/") if e.key.endswith(f"/{MANIFEST}")]


def approval_key(release: Release) -> str:
    """Where the approval of a release lies in its lake."""
    return f"approvals/{release.name}/{release.id}.json"


def _folder(name: str, release_id: str) -> str:
    return f"releases/{name}/{release_id}/"


def _read(lake: Store, folder: str) -> Release:
    entry = lake.entry(folder + MANIFEST)
    if entry is None:
        raise ConfigError(f"{lake.uri}/{folder} has no {MANIFEST}: there is no whole release")
    try:
        manifest = msgspec.json.decode(lake.read(entry), type=Manifest)
    except ValueError:
        manifest = {}
    if not manifest.keys() >= REQUIRED:
        raise IntegrityError(f"{lake.uri}/{entry.key} is no manifest; do not use it")
    return Release(lake, manifest)
