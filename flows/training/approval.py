"""Approvals: people have read a release and let it be trained on. One immutable record each."""

from datetime import UTC, datetime
from hashlib import sha256
from typing import Annotated

import msgspec
from msgspec.structs import replace
from pydantic import ValidationError

from bedrock_sluice.expectations.checks import decode_checks, is_passed
from bedrock_sluice.flows.recipe import Recipe, recipe_digest
from bedrock_sluice.flows.training.request import check_model
from bedrock_sluice.lake.releases.release import (
    ID_DIGITS,
    Release,
    approvals_folder,
    release_digest,
)
from bedrock_sluice.lake.stores.store import Entry
from bedrock_sluice.transforms.errors import ConfigError, IntegrityError, RefusedError

MAX_BY_CHARS = 128
CHECKS = "checks.json"


class Approval(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One person's approval of one release.

    `manifest` is the SHA-256 of its manifest.json, `checksum` that of the record without it.
    """

    release: str
    name: str
    digest: str
    manifest: str
    by: str
    at: Annotated[datetime, msgspec.Meta(tz=True)]
    checksum: str = ""


def approve(release: Release, by: str, at: datetime) -> Approval:
    """Record that `by` approved the release at `at` (with a zone), and return the record.

    Each person has a record of their own; a person's first approval of a release stands.

    Raises:
        ConfigError: `by` names nobody, or the recipe names a model that can't be trained.
        RefusedError: the gate rejected the release.
        IntegrityError: the release, or an approval that is there, is not what was written.
    """
    by = by.strip()
    if not _is_name(by):
        raise ConfigError(f"say who approves: 1 to {MAX_BY_CHARS} printable characters")
    recipe = recipe_of(release)
    if recipe.train:
        check_model(recipe.train)
    check_passed(release)
    release.verify()
    approval = Approval(
        release=release.id,
        name=release.name,
        digest=release.manifest.digest,
        manifest=release.manifest_sha256,
        by=by,
        at=at.astimezone(UTC),
    )
    record = replace(approval, checksum=_checksum(approval))
    key = approvals_folder(release) + _file_name(by)
    release.lake.put_new(key, msgspec.json.encode(record, order="deterministic") + b"\n")
    # Read back: if this person approved before, that record stands, and is the one to show.
    return next(each for each in find_approvals(release) if each.by == by)


def find_approvals(release: Release) -> list[Approval]:
    """All approvals of a release, the first one first.

    Raises:
        IntegrityError: one can't be read, or approves something else.
    """
    lake = release.lake
    entries = list(lake.entries(approvals_folder(release)))
    approvals = [_read_approval(release, entry) for entry in entries]
    return sorted(approvals, key=lambda each: (each.at, each.by))


def _read_approval(release: Release, entry: Entry) -> Approval:
    where = f"{release.lake.uri}/{entry.key}"
    try:
        approval = msgspec.json.decode(release.lake.read(entry), type=Approval)
    except ValueError:
        raise IntegrityError(f"{where} is not an approval; find out who wrote it") from None
    is_own = entry.key == approvals_folder(release) + _file_name(approval.by)
    is_whole = approval.checksum == _checksum(approval)
    if not (_is_name(approval.by) and is_own and is_whole):
        raise IntegrityError(f"{where} was changed after it was written; find out who did that")
    subject = (approval.release, approval.name, approval.digest, approval.manifest)
    if subject != (release.id, release.name, release.manifest.digest, release.manifest_sha256):
        raise IntegrityError(
            f"{where} approves other content than {release.uri} holds; the release or the approval "
            "was changed after it was written"
        )
    return approval


def _is_name(by: str) -> bool:
    return by == by.strip() and 0 < len(by) <= MAX_BY_CHARS and by.isprintable()


def _file_name(by: str) -> str:
    return f"{sha256(by.encode()).hexdigest()[:ID_DIGITS]}.json"


def _checksum(approval: Approval) -> str:
    content = msgspec.json.encode(replace(approval, checksum=""), order="deterministic")
    return sha256(content).hexdigest()


def check_passed(release: Release) -> None:
    """See that the gate let the release through: its manifest says so, and so do its checks.

    Raises:
        RefusedError: it did not.
        IntegrityError: the checks are not what was written.
    """
    has_passed = release.is_passed
    # The verdict stands beside what the release's digest is made of; the checks stand in it.
    if has_passed and CHECKS in release.manifest.files:
        content = release.file(CHECKS).read_bytes()
        has_passed = is_passed(decode_checks(content, f"{release.uri}/{CHECKS}"))
    if not has_passed:
        raise RefusedError(
            f"{release.uri} was rejected by the gate; read its report, mend the recipe or the "
            "data, and build again"
        )


def recipe_of(release: Release) -> Recipe:
    """The recipe that a release was built from, as its digest vouches for it.

    Raises:
        IntegrityError: recipe and files of the manifest are not those of its digest.
    """
    manifest, where = release.manifest, f"{release.uri}/manifest.json"
    try:
        recipe = Recipe.model_validate(manifest.recipe)
        manifest_digests = manifest.recipe_digest, manifest.digest
        actual_digests = (
            recipe_digest(manifest.recipe),
            release_digest(manifest.recipe_digest, manifest.files),
        )
    except (KeyError, TypeError, ValidationError):
        raise IntegrityError(f"{where} has no recipe of this version; build again") from None
    if manifest_digests != actual_digests:
        raise IntegrityError(
            f"{where} does not fit its digest: it was changed after it was written; build again"
        )
    return recipe


def job_recipe(release: Release, current: Recipe | None = None) -> Recipe:
    """The recipe that a release was built from, with the job settings of the `current` one.

    Raises:
        ConfigError: `current` is another dataset's recipe.
        IntegrityError: the manifest does not fit its digest.
    """
    recipe_of_build = recipe_of(release)
    if current is None:
        return recipe_of_build
    if current.name != recipe_of_build.name:
        raise ConfigError(
            f"{release.uri} is a release of the recipe {recipe_of_build.name}, "
            f"not of {current.name}; "
            "name that recipe"
        )
    return recipe_of_build.model_copy(update={"train": current.train, "grader": current.grader})
