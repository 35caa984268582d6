"""Verification of a release: its files, its manifest, and the decisions about it."""

from collections.abc import Callable
from dataclasses import dataclass

from bedrock_sluice.flows.decisions.decisions import find_decisions, has_passed_gate
from bedrock_sluice.flows.recipe.build_recipe import recipe_of
from bedrock_sluice.lake.releases.decisions import read_decisions
from bedrock_sluice.lake.releases.release import Release
from bedrock_sluice.transforms.errors import IntegrityError


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What was verified, whether it is as it was written, and a sentence about it."""

    subject: str
    ok: bool
    message: str


def verify_release(release: Release) -> list[Verification]:
    """Verify every file, the manifest, and the decisions about the releases of its name."""
    files = release.manifest.files
    results = [
        _verify(name, lambda name=name: _file_message(release, name))  # type: ignore[misc]
        for name in files
    ]
    results.append(_verify("manifest.json", lambda: _manifest_message(release)))
    results.append(_verify("decisions", lambda: _decisions_message(release)))
    return results


def _verify(subject: str, check: Callable[[], str]) -> Verification:
    try:
        return Verification(subject=subject, ok=True, message=check())
    except IntegrityError as error:
        return Verification(subject=subject, ok=False, message=str(error))


def _file_message(release: Release, name: str) -> str:
    release.file(name)
    return f"{release.manifest.files[name].bytes:,} bytes, as in the manifest"


def _manifest_message(release: Release) -> str:
    recipe_of(release)
    if has_passed_gate(release) != release.is_passed:
        raise IntegrityError(
            f"its verdict is {release.manifest.verdict}, but not by checks.json",
            place=f"{release.uri}/manifest.json",
            hint="do not use this release; find out who changed it",
        )
    return f"digest {release.manifest.digest[:12]} of recipe and files; gate: " + (
        release.manifest.verdict
    )


def _decisions_message(release: Release) -> str:
    about_release = find_decisions(release)
    total = len(read_decisions(release.lake, release.name))
    return (
        f"{len(about_release):,} about this release; {total:,} numbered records of {release.name}, "
        "each with the SHA-256 of the one before"
    )
