"""Releases: immutable folders in the lake that exist when their manifest does.

releases/<name>/<until-date>-<12 hex of the digest>/
    train.jsonl  validation.jsonl  checks.json  fates.parquet  provenance.parquet
    slices.parquet  report.html
    scores.parquet     if the recipe tries a grader
    manifest.json      written last, and only if it is not there yet

The digest covers what decides the data: the recipe without its job settings, and every file but
`FOR_PEOPLE`. The manifest covers every file, and a decision of a reviewer covers the manifest.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Protocol

import msgspec

from bedrock_sluice.lake.releases.manifest import FileFacts, Manifest, RecipeDump, Verdict
from bedrock_sluice.lake.releases.manifest_file import decode_manifest, encode_manifest
from bedrock_sluice.lake.stores.opening import open_store
from bedrock_sluice.lake.stores.store import S3_SCHEME, Entry, Store
from bedrock_sluice.transforms.errors import ConfigError, IntegrityError

MANIFEST = "manifest.json"
REPORT, SLICES, SCORES = "report.html", "slices.parquet", "scores.parquet"
FOR_PEOPLE = (REPORT, SLICES, SCORES)
"""Files that only show what the others hold, or where it came from: not part of the digest."""

ID_DIGITS = 12

_RESTORE = "do not use this release; restore the file from a copy, or build the release again"


class ReleaseFiles(Protocol):
    """A release, or one that is about to be published."""

    @property
    def manifest(self) -> Manifest:
        """Its manifest."""

    def file(self, name: str) -> Path:
        """Return a local file with the bytes of one of its files."""


class ReleaseView(ReleaseFiles, Protocol):
    """A release, or one that is about to be published, and where it is or will be."""

    @property
    def lake(self) -> Store:
        """The lake of it and of the releases before it."""

    @property
    def uri(self) -> str:
        """The path or `s3://` URI of its folder."""

    @property
    def is_passed(self) -> bool:
        """Whether the gate let it through."""


@dataclass(frozen=True, slots=True)
class Release:
    """A whole release: the lake that holds it, its manifest, and the SHA-256 of `manifest.json`."""

    lake: Store
    manifest: Manifest
    manifest_sha256: str
    _states: dict[str, tuple[Entry, int, int]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    @property
    def name(self) -> str:
        """The name of the recipe."""
        return self.manifest.name

    @property
    def id(self) -> str:
        """`<until-date>-<12 hex>`, unique within the name."""
        return self.manifest.id

    @property
    def uri(self) -> str:
        """The path or `s3://` URI of its folder."""
        return release_uri(self.lake, self.manifest)

    @property
    def is_passed(self) -> bool:
        """Whether the gate let it through."""
        return self.manifest.verdict == "passed"

    def file(self, name: str) -> Path:
        """Return a local file with the verified bytes of one of its files.

        An object is fetched and hashed once. Later calls only look whether object and local file
        are still the same ones.

        Raises:
            IntegrityError: The file is missing, or is not what the manifest describes.
        """
        place = f"{self.uri}/{name}"
        entry = self.lake.entry(f"{_folder(self.name, self.id)}{name}")
        if entry is None:
            raise IntegrityError("missing from the release", place=place, hint=_RESTORE)
        path = self.lake.local(entry)
        # A copy of an object on S3 is a file of its own, which may be damaged after it was hashed.
        status = path.stat()
        state = (entry, status.st_size, status.st_mtime_ns)
        if self._states.get(name) != state:
            if file_facts(path) != self.manifest.files.get(name):
                is_copy = self.lake.uri.startswith(S3_SCHEME)
                raise IntegrityError(
                    "content differs from the manifest of the release",
                    place=place,
                    hint=f"delete the copy {path} and run again" if is_copy else _RESTORE,
                )
            self._states[name] = state
        return path

    def verify(self) -> dict[str, Path]:
        """Compare every file of the release with the manifest; return local files by name.

        Raises:
            IntegrityError: A file is missing, or is not what the manifest describes.
        """
        return {name: self.file(name) for name in self.manifest.files}


def release_uri(lake: Store, manifest: Manifest) -> str:
    """Return the path or `s3://` URI of the folder of a release."""
    return f"{lake.uri}/{_folder(manifest.name, manifest.id)}".rstrip("/")


def file_facts(path: Path) -> FileFacts:
    """Return the digest and the size of a file."""
    with path.open("rb") as file:
        return FileFacts(sha256=file_digest(file, "sha256").hexdigest(), bytes=file.tell())


def file_digests(files: Mapping[str, Path]) -> dict[str, FileFacts]:
    """Return the digest and the size of each file, by name."""
    return {name: file_facts(path) for name, path in sorted(files.items())}


def release_digest(recipe_digest: str, files: Mapping[str, FileFacts]) -> str:
    """Return the digest of a release: over that of its recipe and of the files that hold data."""
    hashes = {name: facts.sha256 for name, facts in files.items() if name not in FOR_PEOPLE}
    content = {"recipe": recipe_digest, "files": hashes}
    return sha256(msgspec.json.encode(content, order="deterministic")).hexdigest()


def draft_manifest(  # noqa: PLR0913 - each by its name
    *,
    name: str,
    until: str,
    recipe: RecipeDump,
    recipe_digest: str,
    files: Mapping[str, FileFacts],
    verdict: Verdict = "passed",
) -> Manifest:
    """Return a manifest with the id and the digest of these contents, and nothing counted yet.

    `until` is the date that begins the id.
    """
    digest = release_digest(recipe_digest, files)
    return Manifest(
        name=name,
        id=f"{until}-{digest[:ID_DIGITS]}",
        digest=digest,
        verdict=verdict,
        recipe=recipe,
        recipe_digest=recipe_digest,
        files=dict(files),
    )


def publish(lake: Store, manifest: Manifest, files: Mapping[str, Path]) -> Release:
    """Write the files, then the manifest; publishing the same again changes nothing.

    A release that exists keeps its files for people and its manifest: a later version may word the
    former differently, and the latter may hold other job settings.

    Raises:
        IntegrityError: A file of that name exists already with different content.
    """
    folder = _folder(manifest.name, manifest.id)
    exists = lake.entry(folder + MANIFEST) is not None
    for name, path in files.items():
        if not (exists and name in FOR_PEOPLE):
            put_same(lake, folder + name, path, manifest.files[name].sha256)
    lake.put_new(folder + MANIFEST, encode_manifest(manifest))
    return _read(lake, folder)


def put_same(store: Store, key: str, path: Path, digest: str) -> None:
    """Create an object with the SHA-256 `digest`, or verify that it exists already.

    Raises:
        IntegrityError: It exists with different content.
    """
    if store.put_new(key, path):
        return
    entry = store.entry(key)
    if entry is None or sha256(store.read(entry)).hexdigest() != digest:
        raise IntegrityError(
            "already exists with different content",
            place=f"{store.uri}/{key}",
            hint="find out who wrote it before you retry",
        )


def open_release(uri: str) -> Release:
    """Open the release at a path or `s3://` URI.

    Raises:
        ConfigError: There is no whole release.
        IntegrityError: Its manifest was changed, or a newer version of Sluice wrote it.
    """
    parts = uri.rstrip("/").split("/")
    if len(parts) < 4 or parts[-3] != "releases":
        parts = str(Path(uri).absolute()).split("/") if "://" not in uri else parts
    if len(parts) < 4 or parts[-3] != "releases":
        raise ConfigError(f"{uri} is not a release; name a folder <lake>/releases/<name>/<id>")
    return _read(open_store("/".join(parts[:-3])), _folder(*parts[-2:]))


def newest_release(
    lake: Store, name: str, matches: Callable[[Manifest], bool] = lambda _: True
) -> Release | None:
    """Return the release of a name whose manifest `matches` and was written last."""
    manifests = list_manifests(lake, name)
    for entry in sorted(manifests, key=lambda each: (each.modified, each.key), reverse=True):
        release = _read(lake, entry.key.removesuffix(MANIFEST))
        if matches(release.manifest):
            return release
    return None


def find_built(
    lake: Store,
    name: str,
    releases: Collection[str] | None,
    matches: Callable[[Manifest], bool],
) -> Release | None:
    """Return the one of a recipe's `releases` (ids; None: all) whose manifest `matches`, if any.

    If `matches` compares the digest of the recipe and the inputs, the release is the one that a
    build is about to make again.

    Raises:
        IntegrityError: A manifest cannot be read.
    """
    for entry in list_manifests(lake, name):
        folder = entry.key.removesuffix(f"/{MANIFEST}")
        if releases is None or folder.rpartition("/")[2] in releases:
            release = open_release(f"{lake.uri}/{folder}")
            if matches(release.manifest):
                return release
    return None


def list_manifests(lake: Store, name: str) -> list[Entry]:
    """List the manifests of all releases of a name, by release id."""
    return [e for e in lake.entries(f"releases/{name}/") if e.key.endswith(f"/{MANIFEST}")]


def _folder(name: str, release_id: str) -> str:
    return f"releases/{name}/{release_id}/"


def _read(lake: Store, folder: str) -> Release:
    entry = lake.entry(folder + MANIFEST)
    if entry is None:
        raise ConfigError(f"{lake.uri}/{folder} has no {MANIFEST}: there is no whole release")
    content, place = lake.read(entry), f"{lake.uri}/{entry.key}"
    manifest = decode_manifest(content, place)
    is_own = folder == _folder(manifest.name, manifest.id)
    if not (is_own and manifest.id.endswith(f"-{manifest.digest[:ID_DIGITS]}")):
        raise IntegrityError(
            "name, id, digest and folder do not match each other",
            place=place,
            hint="do not use this release; find out who changed it",
        )
    return Release(lake, manifest, sha256(content).hexdigest())
