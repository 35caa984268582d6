"""Releases: immutable folders in the lake that exist when their manifest does.

releases/<name>/<until-date>-<12 hex of the digest>/
    train.jsonl  validation.jsonl  checks.json  fates.parquet  provenance.parquet  report.html
    manifest.json      written last, and only if it is not there yet

approvals/<name>/<release id>/<12 hex of the approver>.json     one approval by one person

The digest covers what decides the data: the recipe without its job settings, and every file but the
report, which is made from the others and names the digest. The manifest covers every file, and an
approval covers the manifest.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import file_digest, sha256
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal

import msgspec

from bedrock_sluice.lake.stores.opening import open_store
from bedrock_sluice.lake.stores.store import S3_SCHEME, Entry, Store
from bedrock_sluice.transforms.errors import ConfigError, IntegrityError

MANIFEST = "manifest.json"
REPORT = "report.html"
ID_DIGITS = 12

Manifest = dict[str, Any]
Digest = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
FileName = Annotated[str, msgspec.Meta(pattern=r"^[a-z]+\.[a-z]+$")]


class FileFacts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file of a release, as its manifest describes it."""

    sha256: Digest
    bytes: Annotated[int, msgspec.Meta(ge=0)]


class _ManifestShape(msgspec.Struct):
    """What every manifest holds; the other keys tell how the release came about."""

    name: str
    id: str
    digest: Digest
    recipe: dict[str, Any]
    recipe_digest: Digest
    files: dict[FileName, FileFacts]
    verdict: Literal["passed", "rejected"]


@dataclass(frozen=True, slots=True)
class Release:
    """A whole release: where it is, its manifest, and the SHA-256 of the manifest's bytes."""

    lake: Store
    manifest: Manifest
    manifest_sha256: str

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
        entry = self.lake.entry(f"{_folder(self.name, self.id)}{name}")
        path = self.lake.local(entry) if entry else None
        if path is None or file_facts(path) != self.manifest["files"][name]:
            is_copy = path is not None and self.lake.uri.startswith(S3_SCHEME)
            hint = f"delete the copy {path} and run again" if is_copy else "do not use it"
            raise IntegrityError(f"{self.uri}/{name} is not what its manifest says; {hint}")
        return path

    def verify(self) -> dict[str, Path]:
        """All files of the release, by name, each read and compared with the manifest.

        Raises:
            IntegrityError: as `file` does.
        """
        return {name: self.file(name) for name in self.manifest["files"]}


def file_facts(path: Path) -> dict[str, Any]:
    """SHA-256 and bytes of a file, as manifests hold them (`FileFacts`)."""
    with path.open("rb") as file:
        return {"sha256": file_digest(file, "sha256").hexdigest(), "bytes": file.tell()}


def file_digests(files: Mapping[str, Path]) -> dict[str, dict[str, Any]]:
    """`file_facts` of each file, by name."""
    return {name: file_facts(path) for name, path in sorted(files.items())}


def release_digest(recipe_digest: str, files: Mapping[str, Mapping[str, Any]]) -> str:
    """What the id of a release is made of: the recipe's digest, and every file but the report's."""
    hashes = {name: facts["sha256"] for name, facts in files.items() if name != REPORT}
    content = {"recipe": recipe_digest, "files": hashes}
    return sha256(msgspec.json.encode(content, order="deterministic")).hexdigest()


def publish(lake: Store, manifest: Manifest, files: Mapping[str, Path]) -> Release:
    """Write the files, then the manifest; publishing the same again changes nothing.

    A release that is there keeps its report and its manifest: a later version may word the one
    differently, and other job settings stand in the other.

    Raises:
        IntegrityError: a file of that name is there already with other bytes.
    """
    folder = _folder(manifest["name"], manifest["id"])
    is_there = lake.entry(folder + MANIFEST) is not None
    for name, path in files.items():
        if not (is_there and name == REPORT):
            put_same(lake, folder + name, path, manifest["files"][name]["sha256"])
    text = msgspec.json.format(msgspec.json.encode(manifest, order="deterministic"), indent=2)
    lake.put_new(folder + MANIFEST, text + b"\n")
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
        raise ConfigError(f"{uri} is not a release; name a folder <lake>/releases/<name>/<id>")
    return _read(open_store("/".join(parts[:-3])), _folder(*parts[-2:]))


def newest_release(
    lake: Store, name: str, facts: Mapping[str, Any] = MappingProxyType({})
) -> Release | None:
    """The release of a name whose manifest was written last, of those that hold these `facts`."""
    manifests = list_manifests(lake, name)
    for entry in sorted(manifests, key=lambda each: (each.modified, each.key), reverse=True):
        release = _read(lake, entry.key.removesuffix(MANIFEST))
        if facts.items() <= release.manifest.items():
            return release
    return None


def list_manifests(lake: Store, name: str) -> list[Entry]:
    """The manifests of all releases of a name, by release id."""
    return [e for e in lake.entries(f"releases/{name}/") if e.key.endswith(f"/{MANIFEST}")]


def approvals_folder(release: Release) -> str:
    """Where the approvals of a release lie in its lake, one object each."""
    return f"approvals/{release.name}/{release.id}/"


def _folder(name: str, release_id: str) -> str:
    return f"releases/{name}/{release_id}/"


def _read(lake: Store, folder: str) -> Release:
    entry = lake.entry(folder + MANIFEST)
    if entry is None:
        raise ConfigError(f"{lake.uri}/{folder} has no {MANIFEST}: there is no whole release")
    content = lake.read(entry)
    try:
        manifest = msgspec.json.decode(content, type=Manifest)
        shape = msgspec.convert(manifest, _ManifestShape)
    except ValueError:
        raise IntegrityError(f"{lake.uri}/{entry.key} is not a manifest; do not use it") from None
    is_own = folder == _folder(shape.name, shape.id)
    if not (is_own and shape.id.endswith(f"-{shape.digest[:ID_DIGITS]}")):
        raise IntegrityError(
            f"{lake.uri}/{entry.key}: name, id and digest do not fit each other and the folder; "
            "do not use it"
        )
    return Release(lake, manifest, sha256(content).hexdigest())
