"""The bytes of `manifest.json`: written in the current schema version, read in every one."""

import msgspec

from bedrock_sluice.lake.releases.manifest import SCHEMA_VERSION, Manifest
from bedrock_sluice.lake.releases.manifest_v1 import ManifestV1
from bedrock_sluice.transforms.errors import IntegrityError


class _Version(msgspec.Struct):
    schema_version: int = 1


def encode_manifest(manifest: Manifest) -> bytes:
    """Return the bytes of `manifest.json`: fields in their order, keys of mappings sorted."""
    content = msgspec.json.encode(manifest, order="deterministic")
    return msgspec.json.format(content, indent=2) + b"\n"


def decode_manifest(content: bytes, place: str) -> Manifest:
    """Read the bytes of a `manifest.json`; `place` is its path or URI, for errors.

    Raises:
        IntegrityError: The content is not a manifest, or a newer version of Sluice wrote it.
    """
    try:
        version = msgspec.json.decode(content, type=_Version).schema_version
        if version == 1:
            return msgspec.json.decode(content, type=ManifestV1).upgrade()
        if 1 < version <= SCHEMA_VERSION:
            return msgspec.json.decode(content, type=Manifest)
    except (ValueError, RecursionError) as error:
        # The library names the field and the types, never a value; of broken JSON, the position.
        raise IntegrityError(
            f"not a manifest ({error})",
            place=place,
            hint="restore it from a copy, or delete the release and build it again",
        ) from None
    raise IntegrityError(
        f"schema_version {version} is not supported; this Sluice reads 1 to {SCHEMA_VERSION}",
        place=place,
        value=version,
        hint="upgrade bedrock-sluice",
    )
