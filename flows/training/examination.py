"""Whether the job of a release may be started: everything that speaks against it, at once."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from bedrock_sluice.flows.decisions.requirements import check_approvals, check_passed
from bedrock_sluice.flows.recipe import Recipe
from bedrock_sluice.flows.recipe.approval_section import ApprovalSection
from bedrock_sluice.flows.recipe.build_recipe import job_recipe, recipe_of
from bedrock_sluice.flows.rights.recheck import check_rights
from bedrock_sluice.flows.training.request import check_model, job_request, request_error
from bedrock_sluice.flows.training.spending import check_lengths, keep_to_budget
from bedrock_sluice.flows.training.targets.base import (
    TRAIN_FILE,
    JobDraft,
    Request,
    Target,
    train_section,
)
from bedrock_sluice.flows.training.targets.choice import choose_target
from bedrock_sluice.lake.releases.registry import find_use, used_prompts
from bedrock_sluice.lake.releases.release import Release
from bedrock_sluice.transforms.errors import ConfigError, RefusedError, SluiceError
from bedrock_sluice.transforms.settings import MAX_LINES


@dataclass(frozen=True, slots=True)
class Job:
    """A job over a verified release, with the recipe that has its settings."""

    release: Release
    recipe: Recipe
    target: Target

    @property
    def draft(self) -> JobDraft:
        """The attempt that follows the jobs that came to nothing."""
        use = find_use(self.release, self.recipe.lineage)
        attempt = 1 + (use.failed_jobs() if use else 0)
        return JobDraft(self.release, self.recipe, train_section(self.recipe), attempt)

    def request(self) -> Request:
        """What would be asked now.

        Raises:
            ConfigError: the service would reject it.
        """
        draft = self.draft
        return job_request(self.release, self.recipe, draft.attempt)


class Problem(NamedTuple):
    """Something that speaks against a job; `is_consent` where only an approval is missing."""

    error: SluiceError
    is_consent: bool = False


class Examination(NamedTuple):
    """A job (None without [train]), its request as far as it goes, and what speaks against it."""

    job: Job | None
    request: Request
    problems: list[Problem]

    def error(self, *, consent_needed: bool = True) -> SluiceError | None:
        """All problems as one error; None if nothing that is needed is missing."""
        errors = [each.error for each in self.problems]
        if not consent_needed and all(each.is_consent for each in self.problems):
            return None
        if len(errors) < 2:
            return errors[0] if errors else None
        kind = ConfigError if any(isinstance(e, ConfigError) for e in errors) else RefusedError
        lines = "\n".join(f"- {error}" for error in errors)
        return kind(f"the job can't be started, for {len(errors)} reasons:\n{lines}")


def examine(
    release: Release, current: Recipe | None = None, base: Path | None = None
) -> Examination:
    """Look at everything that a job needs. Changes nothing anywhere, and asks nobody outside.

    `current` is the recipe as it is now, and `base` its folder; without it, the job settings are
    those of the build.

    Raises:
        IntegrityError: the release or a decision about it is not what was written.
        ConfigError: `current` is another dataset's recipe.
    """
    recipe = job_recipe(release, current)
    release.verify()
    problems = [*_release_problems(release, recipe.approval)]
    problems += _collect(lambda: check_rights(release, recipe_of(release), current, base))
    if recipe.train is None:
        problems += _collect(lambda: train_section(recipe))
        return Examination(None, {}, problems)
    job, train = Job(release, recipe, choose_target(recipe.train)), recipe.train
    request, faults = job.target.draft(job.draft)
    problems += _collect(lambda: check_model(train))
    if error := request_error(faults):
        problems.append(Problem(error))
    problems += _collect(lambda: check_lengths(release, train))
    problems += _collect(lambda: keep_to_budget(release, recipe))
    return Examination(job, request, problems)


def _release_problems(release: Release, section: ApprovalSection) -> Iterator[Problem]:
    """What speaks against training on a release, whatever the job."""
    rejection = _collect(lambda: check_passed(release, section))
    yield from rejection
    if not rejection:
        problems = _collect(lambda: check_approvals(release, section))
        yield from (problem._replace(is_consent=True) for problem in problems)
    yield from _collect(lambda: used_prompts(release))
    yield from _collect(lambda: _check_number_of_lines(release))


def _check_number_of_lines(release: Release) -> None:
    """See that a job may be given so many lines; a release of another version may have more.

    Raises:
        RefusedError: it may not.
    """
    with release.file(TRAIN_FILE).open("rb") as file:
        number = sum(1 for _ in file)
    if number > MAX_LINES:
        raise RefusedError(
            f"{TRAIN_FILE} has {number:,} lines, and a job takes {MAX_LINES:,} at most; lower "
            "max_lines in [split] and build again"
        )


def _collect(check: Callable[[], Any]) -> list[Problem]:
    """The problem that a check raises; what was changed after it was written stops everything."""
    try:
        check()
    except (ConfigError, RefusedError) as error:
        return [Problem(error)]
    return []
