"""Diagnosis of a recipe: whether everything that it names can be read, written and submitted."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from bedrock_sluice.flows.access.asking import UncheckedError
from bedrock_sluice.flows.access.job_checks import (
    check_grader,
    check_model,
    check_role,
    check_trust,
)
from bedrock_sluice.flows.access.place_checks import (
    check_identity,
    check_keys,
    check_lines_place,
    check_logging,
    check_retention,
    command_of,
    is_on_aws,
)
from bedrock_sluice.flows.context import BuildContext, open_context
from bedrock_sluice.flows.training.request import job_request
from bedrock_sluice.flows.training.spending import check_lengths
from bedrock_sluice.lake.releases.release import Release, draft_manifest, newest_release
from bedrock_sluice.rewards.running.process import LocalGrader
from bedrock_sluice.transforms.errors import SluiceError
from bedrock_sluice.transforms.features.languages import check_languages
from bedrock_sluice.transforms.metadata_filter import why_not_native

PROBE_KEY = "doctor.txt"
PROBE = b"`sluice doctor` wrote this file to test write access. It may be deleted.\n"
DRAFT_DATE = "2000-01-01"  # of a release that does not exist yet


class Diagnosis(NamedTuple):
    """One statement about a recipe, whether it holds, and the details.

    `needs` is the IAM action that the caller lacks to check it, and `run` a command that helps.
    """

    check: str
    ok: bool | None  # None where the statement does not apply, or could not be checked
    message: str
    needs: str | None = None
    run: str | None = None


class NotApplicable(str):
    """The message of a check that does not apply to the recipe."""

    __slots__ = ()


def diagnose(path: Path) -> list[Diagnosis]:
    """Try everything that a recipe names; one failure does not stop the others.

    Raises:
        ConfigError: the recipe itself is wrong.
    """
    with open_context(path) as context:
        return [_diagnose(context, name, check) for name, check in CHECKS.items()]


def _diagnose(context: BuildContext, name: str, check: Callable[[BuildContext], str]) -> Diagnosis:
    try:
        message = check(context)
    except UncheckedError as error:
        needs = error.value if isinstance(error.value, str) else None
        return Diagnosis(name, None, str(error), needs)
    except SluiceError as error:
        return Diagnosis(name, False, str(error), run=command_of(error))
    ok = None if isinstance(message, NotApplicable) else True
    return Diagnosis(name, ok, str(message))


def _on_aws(
    check: Callable[[BuildContext], str | None], reason: str
) -> Callable[[BuildContext], str]:
    """A check of what is on AWS; `reason` says why it does not apply to other recipes."""

    def check_if_named(context: BuildContext) -> str:
        message = check(context) if is_on_aws(context) else None
        return NotApplicable(reason) if message is None else message

    return check_if_named


def _list_logs(context: BuildContext) -> str:
    first = next(context.source.objects(context.recipe.window), None)
    return f"the first is of {first.partition}" if first else "there are none in the window yet"


def _read_log(context: BuildContext) -> str:
    first = next(context.source.objects(context.recipe.window), None)
    if first is None:
        return NotApplicable("there are none in the window yet")
    return f"{len(context.source.store.read(first.entry)):,} bytes"


def _write_lake(context: BuildContext) -> str:
    is_new = context.lake.put_new(PROBE_KEY, PROBE)
    return f"{context.lake.uri}/{PROBE_KEY} {'was written' if is_new else 'exists'}"


def _check_languages(context: BuildContext) -> str:
    languages = context.recipe.quality.languages
    check_languages(languages)
    return ", ".join(languages) if languages else NotApplicable("the recipe names none")


def _read_labels(context: BuildContext) -> str:
    tables = [*context.labels, *context.feedback]
    items = context.evaluation.items.height
    counts = [f"{sum(len(t.rows) for t in tables):,} labels"] if tables else []
    counts += [f"{items:,} evaluation items"] if items else []
    return " and ".join(counts) if counts else NotApplicable("the recipe names none")


def _check_filter(context: BuildContext) -> str:
    metadata = context.recipe.select.metadata
    if not metadata:
        return NotApplicable("the recipe has no filter")
    why = why_not_native(metadata)
    # Not a failure: what Bedrock can't filter, Sluice can.
    return NotApplicable(f"no: {why}. Sluice applies it all the same") if why else "word for word"


def _read_grader(context: BuildContext) -> str:
    grader = context.recipe.grader
    if grader is None or grader.python is None:
        return NotApplicable("the recipe names no local grader")
    path, function = LocalGrader(grader.python, context.base).place()
    return f"{path}:{function}"


def _check_job_request(context: BuildContext) -> str:
    """Check the request of a job, of a release that does not exist yet, before any is built."""
    recipe = context.recipe
    if recipe.train is None:
        return NotApplicable("the recipe has no [train]")
    draft = draft_manifest(
        name=recipe.name,
        until=DRAFT_DATE,
        recipe=recipe.dump(),
        recipe_digest=recipe.digest(),
        files={},
    )
    release = Release(context.lake, draft, manifest_sha256="")
    job_request(release, recipe)
    return "by Bedrock's own service model"


def _check_lines(context: BuildContext) -> str:
    """Check that the job's maxPromptLength leaves enough of the newest release's lines."""
    if context.recipe.train is None:
        return NotApplicable("the recipe has no [train]")
    release = newest_release(context.lake, context.recipe.name)
    if release is None:
        return NotApplicable("there is no release yet")
    return f"{check_lengths(release, context.recipe.train)} ({release.id})"


_NO_AWS, _NO_ROLE = "the recipe names nothing on AWS", "the recipe has no [train] with a role"
_NO_LOGS = "there are no logs in Bedrock's layout on S3"

CHECKS: dict[str, Callable[[BuildContext], str]] = {
    "AWS knows the caller": _on_aws(check_identity, _NO_AWS),
    "logs can be listed": _list_logs,
    "a log object can be read": _read_log,
    "the lake can be written": _write_lake,
    "KMS keys can be used": _on_aws(check_keys, _NO_AWS),
    "invocations are logged to the bucket": _on_aws(check_logging, _NO_LOGS),
    "data retention of Bedrock is known": _on_aws(check_retention, _NO_LOGS),
    "languages can be detected": _check_languages,
    "labels can be read": _read_labels,
    "the grader can be read": _read_grader,
    "the training request is valid": _check_job_request,
    "the prefix for lines can be listed": _on_aws(check_lines_place, "there is no data_uri"),
    "the job's role trusts the service": _on_aws(check_trust, _NO_ROLE),
    "the job's role has its permissions": _on_aws(check_role, _NO_ROLE),
    "the model is open to the account": _on_aws(check_model, "the recipe has no [train]"),
    "the grader's Lambda is ready": _on_aws(check_grader, "the recipe names no Lambda"),
    "the newest release fits the job's limits": _check_lines,
    "the metadata filter is Bedrock-native": _check_filter,
}
