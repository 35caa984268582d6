"""Approvals: somebody has read a release and lets it be trained on. One immutable record each."""

from datetime import UTC, datetime
from typing import Any

import msgspec
from pydantic import ValidationError

from bedrock_sluice.expectations.gate import Check, is_passed
from bedrock_sluice.flows.recipe import Recipe, recipe_digest
from bedrock_sluice.lake.releases import Release, approval_key, release_digest
from bedrock_sluice.transforms.errors import ConfigError, IntegrityError, RefusedError

MAX_BY_CHARS = 128
CHECKS = "checks.json"

Approval = dict[str, str]  # release (its id), name, digest, by, at (UTC)


def approve(release: Release, by: str, at: datetime) -> Approval:
    """Record that `by` approved the release at `at` (with a zone), and return the record.

    The first approval of a release stands: a later one returns it, whoever made it.

    Raises:
        ConfigError: `by` names nobody.
        RefusedError: the gate rejected the release.
        IntegrityError: the release, or an approval that is there, is not what was written.
    """
    by = by.strip()
    if not by or len(by) > MAX_BY_CHARS or not by.isprintable():
        raise ConfigError(f"say who approves: 1 to {MAX_BY_CHARS} printable characters")
    recipe_of(release)
    check_passed(release)
    for name in release.manifest["files"]:
        release.file(name)
    record = {
        "release": release.id,
        "name": release.name,
        "digest": release.manifest["digest"],
        "by": by,
        "at": at.astimezone(UTC).isoformat(),
    }
    content = msgspec.json.encode(record, order="deterministic") + b"\n"
    if release.lake.put_new(approval_key(release), content):
        return record
    return find_approval(release) or record


def find_approval(release: Release) -> Approval | None:
    """The approval of a release, if there is one.

    Raises:
        IntegrityError: what is there can't be read, or approves another digest.
    """
    entry = release.lake.entry(approval_key(release))
    if entry is None:
        return None
    where = f"{release.lake.uri}/{entry.key}"
    try:
        record = msgspec.json.decode(release.lake.read(entry), type=Approval)
    except msgspec.DecodeError:
        raise IntegrityError(f"{where} is no approval; look who wrote it") from None
    if record.get("digest") != release.manifest["digest"]:
        raise IntegrityError(f"{where} approves other content than {release.uri} holds")
    return record


def check_passed(release: Release) -> None:
    """See that the gate let the release through: its manifest says so, and so do its checks.

    Raises:
        RefusedError: it did not.
        IntegrityError: the checks are not what was written.
    """
    if not (release.is_passed and _checks_passed(release)):
        raise RefusedError(
            f"{release.uri} was rejected by the gate; read its report, mend the recipe or the "
            "data, and build again"
        )


def _checks_passed(release: Release) -> bool:
    """The verdict stands beside what the digest is made of; the checks stand in it."""
    if CHECKS not in release.manifest["files"]:
        return True
    checks = msgspec.json.decode(release.file(CHECKS).read_bytes(), type=list[dict[str, Any]])
    return is_passed(Check(**check) for check in checks)


def recipe_of(release: Release) -> Recipe:
    """The recipe that a release was built from, as its digest vouches for it.

    Raises:
        IntegrityError: recipe and files of the manifest are not those of its digest.
    """
    manifest, where = release.manifest, f"{release.uri}/manifest.json"
    try:
        recipe = Recipe.model_validate(manifest["recipe"])
        told = manifest["recipe_digest"], manifest["digest"]
        made = recipe_digest(manifest["recipe"]), release_digest(told[0], manifest["files"])
    except (KeyError, TypeError, ValidationError):
        raise IntegrityError(f"{where} has no recipe of this version; build again") from None
    if told != made:
        raise IntegrityError(
            f"{where} does not fit its digest: it was changed after it was written; build again"
        )
    return recipe
