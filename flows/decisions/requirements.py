"""What is still needed before a release can be trained on, by the section `[approval]`."""

from collections.abc import Sequence

from bedrock_sluice.flows.decisions.decisions import (
    find_decisions,
    has_passed_gate,
    latest_decisions,
    person,
)
from bedrock_sluice.flows.decisions.figures import review_figures
from bedrock_sluice.flows.recipe.approval_section import ApprovalSection
from bedrock_sluice.lake.releases.decisions import Decision
from bedrock_sluice.lake.releases.release import Release
from bedrock_sluice.transforms.errors import RefusedError
from bedrock_sluice.transforms.review.figures import ReviewFigures

WITHOUT_OVERRIDE = ApprovalSection()
"""What a recipe without the section asks for: nobody overrides the gate."""


def check_passed(release: Release, section: ApprovalSection = WITHOUT_OVERRIDE) -> None:
    """See that the gate passed a release, or that the recipe lets people override it.

    Raises:
        RefusedError: Neither is so.
        IntegrityError: The checks are not what was written.
    """
    if not _may_be_approved(release, section):
        raise RefusedError(
            f"{release.uri} was rejected by the gate; read its report, fix the recipe or the data, "
            "and build again. Approvals that override the gate count only if the recipe has "
            "allow_override = true in [approval]"
        )


def check_approvals(release: Release, section: ApprovalSection) -> None:
    """See that people approved a release as the recipe asks for it.

    Raises:
        RefusedError: Something is missing; the message lists all of it.
        IntegrityError: A decision or the release was changed.
    """
    if needs := unmet_requirements(release, section):
        role = f" --role {section.roles[0]}" if section.roles else ""
        raise RefusedError(
            f"{release.uri} is not approved: {'; '.join(needs)}. Read its report, then run "
            f"sluice approve {release.uri} --by NAME{role}"
        )


def is_approved(release: Release, section: ApprovalSection) -> bool:
    """Return whether `check_passed` and `check_approvals` let a release pass.

    Raises:
        IntegrityError: A decision or the release was changed.
    """
    return _may_be_approved(release, section) and not unmet_requirements(release, section)


def unmet_requirements(release: Release, section: ApprovalSection) -> list[str]:
    """Return what is still needed before a release can be trained on, each in words.

    Raises:
        IntegrityError: A decision or the release was changed.
    """
    latest = latest_decisions(find_decisions(release))
    return [
        *_unmet_by_people(latest, section),
        *_unmet_by_review(review_figures(release.lake, release), section),
    ]


def unmet_without_decisions(section: ApprovalSection) -> list[str]:
    """Return what is needed before a release can be trained on about which nobody has decided."""
    return [*_unmet_by_people([], section), *_unmet_by_review(None, section)]


def _may_be_approved(release: Release, section: ApprovalSection) -> bool:
    return has_passed_gate(release) or section.allow_override


def _unmet_by_people(latest: Sequence[Decision], section: ApprovalSection) -> list[str]:
    needs = [
        f"{signature(each)} declined it, and has not approved it since"
        for each in latest
        if each.verdict == "declined"
    ]
    approvals = [each for each in latest if each.verdict == "approved"]
    roles = [role for role in section.roles if role not in {each.role for each in approvals}]
    if roles:
        needs.append(f"nobody approved it in the role {', '.join(roles)}")
    number = len({person(each.by) for each in approvals})
    if number < section.min_approvers:
        needs.append(f"{number:,} of {section.min_approvers:,} people approved it")
    return needs


def _unmet_by_review(figures: ReviewFigures | None, section: ApprovalSection) -> list[str]:
    """The error rate is compared by the upper end of its interval: a few lines prove little."""
    min_lines, max_rate = section.min_reviewed_lines, section.max_error_rate
    if min_lines is None and max_rate is None:
        return []
    if figures is None or figures.error.high is None:
        return ["no review of its lines was applied (min_reviewed_lines, max_error_rate)"]
    error, needs = figures.error, []
    answers = error.right + error.wrong
    if min_lines and answers < min_lines:
        needs.append(f"{answers:,} of {min_lines:,} lines of the random sample were judged")
    if max_rate is not None and figures.error.high > max_rate:
        needs.append(
            f"up to {figures.error.high:.1%} of the lines may be wrong ({error.wrong:,} of "
            f"{answers:,} judged), more than max_error_rate = {max_rate:g}: review more "
            "lines, or correct the answers and build again"
        )
    return needs


def signature(decision: Decision) -> str:
    """Return who decided, and in which role."""
    return f"{decision.by} ({decision.role})" if decision.role else decision.by
