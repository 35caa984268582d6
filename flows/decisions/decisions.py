"""Decisions of reviewers: recording them, and reading those about a release."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from unicodedata import normalize

from bedrock_sluice.expectations.checks import decode_checks, is_passed
from bedrock_sluice.flows.recipe.build_recipe import recipe_of
from bedrock_sluice.lake.releases.approvals_v1 import read_old_approvals
from bedrock_sluice.lake.releases.decisions import (
    PUT_ATTEMPTS,
    Decision,
    DecisionVerdict,
    append_decision,
    check_head,
    read_decisions,
    text_faults,
)
from bedrock_sluice.lake.releases.release import Release, newest_release
from bedrock_sluice.transforms.errors import (
    ConfigError,
    IntegrityError,
    RefusedError,
    TransientError,
)

CHECKS = "checks.json"


def decide(  # noqa: PLR0913 - each by its name
    release: Release,
    verdict: DecisionVerdict,
    *,
    by: str,
    at: datetime,
    role: str | None = None,
    note: str | None = None,
    override: str | None = None,
) -> Decision:
    """Record what a person decided about a release at `at` (with a zone), and return the record.

    All files of the release are verified first. A decision that the person has already made, and
    not changed since, is returned as it was recorded.

    Raises:
        ConfigError: A text is empty, too long or does not print; or `override` is not needed.
        RefusedError: The gate rejected the release, and there is no `override`.
        IntegrityError: The release, or an earlier decision, was changed.
        TransientError: Too many people decide at the same time.
    """
    draft = Decision(
        verdict=verdict,
        name=release.name,
        release=release.id,
        digest=release.manifest.digest,
        manifest_sha256=release.manifest_sha256,
        by=by.strip(),
        role=None if role is None else role.strip(),
        note=None if note is None else note.strip(),
        override=None if override is None else override.strip(),
        at=at.astimezone(UTC),
    )
    for field, fault in text_faults(draft):
        raise ConfigError(f"--{field} {fault}")
    recipe_of(release)
    release.verify()
    if verdict == "approved":
        _check_override(release, override)
    return _record(release, draft)


def _check_override(release: Release, override: str | None) -> None:
    has_passed = has_passed_gate(release)
    if override is None and not has_passed:
        raise RefusedError(
            f"{release.uri} was rejected by the gate; read its report, fix the recipe or the data, "
            "and build again. To approve it nevertheless, give a reason: --override REASON"
        )
    if override is not None and has_passed:
        raise ConfigError("the gate passed this release; leave out --override")


def _record(release: Release, draft: Decision) -> Decision:
    """Append a decision; whoever else decides at the same time gets another number."""
    for _ in range(PUT_ATTEMPTS):
        decisions = read_decisions(release.lake, release.name)
        _check_heads(release, decisions)
        for standing in latest_decisions(_select(release, decisions)):
            if _content(standing) == _content(draft):
                return standing
        if record := append_decision(release.lake, draft, decisions):
            return record
    raise TransientError(f"{release.uri}: too many people decide at the same time; run again")


def find_decisions(release: Release) -> list[Decision]:
    """Return all decisions about a release, the first one first.

    Raises:
        IntegrityError: A record was changed, moved or removed, or is about other content.
    """
    decisions = read_decisions(release.lake, release.name)
    _check_heads(release, decisions)
    return _select(release, decisions)


def find_approvals(release: Release) -> list[Decision]:
    """Return the approvals of a release that their authors have not withdrawn, the first one first.

    Raises:
        IntegrityError: As `find_decisions` does.
    """
    latest = latest_decisions(find_decisions(release))
    return [each for each in latest if each.verdict == "approved"]


def latest_decisions(decisions: Iterable[Decision]) -> list[Decision]:
    """Return the last decision of each person in each role: the ones that count."""
    return list({(person(each.by), each.role): each for each in decisions}.values())


def person(name: str) -> str:
    """Return what identifies a person: the name, without regard to case and spaces."""
    return " ".join(normalize("NFKC", name).casefold().split())


def has_passed_gate(release: Release) -> bool:
    """Return whether the gate passed a release: its manifest says so, and so do its checks.

    Raises:
        IntegrityError: The checks are not what was written.
    """
    # The verdict stands beside what the release's digest is made of; the checks stand in it.
    if not release.is_passed or CHECKS not in release.manifest.files:
        return release.is_passed
    content = release.file(CHECKS).read_bytes()
    return is_passed(decode_checks(content, f"{release.uri}/{CHECKS}"))


def find_overrides(release: Release) -> list[Decision]:
    """Return the approvals of a release that overrode the gate's verdict, withdrawn ones as well.

    Raises:
        IntegrityError: The release, or a decision, was changed.
    """
    return [each for each in find_decisions(release) if each.override is not None]


def _select(release: Release, decisions: Sequence[Decision]) -> list[Decision]:
    """Return the decisions about a release; each must be about what the release holds now."""
    records = [each for each in decisions if each.release == release.id]
    about_release = [*read_old_approvals(release), *records]
    content = (release.id, release.manifest.digest, release.manifest_sha256)
    for each in about_release:
        if (each.release, each.digest, each.manifest_sha256) != content:
            raise IntegrityError(
                f"a decision of {each.at:%Y-%m-%d %H:%M} is about other content than the release "
                "holds: one of the two was changed after it was written",
                place=release.uri,
                hint="do not use this release; restore it from a copy",
            )
    return about_release


def _check_heads(release: Release, decisions: Sequence[Decision]) -> None:
    """Compare the decisions with what this release and the newest one say about them."""
    newest = newest_release(release.lake, release.name)
    for each in filter(None, (release, newest)):
        if head := each.manifest.decisions:
            check_head(release.lake, release.name, decisions, head, each.id)


def _content(decision: Decision) -> tuple[object, ...]:
    """Return what two decisions have in common if they are the same one, made twice."""
    return (
        decision.verdict,
        person(decision.by),
        decision.role,
        decision.note,
        decision.override,
    )
