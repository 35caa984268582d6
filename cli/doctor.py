"""`sluice doctor`: can everything that a recipe names be read, written and submitted?"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from bedrock_sluice.cli.console import people, print_json
from bedrock_sluice.flows.context import BuildContext, open_context
from bedrock_sluice.flows.training.request import job_request, lines_uri
from bedrock_sluice.flows.training.spending import check_lengths
from bedrock_sluice.lake.releases.releases import ID_DIGITS, Release, newest_release, release_digest
from bedrock_sluice.rewards.running.process import LocalGrader
from bedrock_sluice.transforms.errors import SluiceError
from bedrock_sluice.transforms.features.languages import check_languages
from bedrock_sluice.transforms.metadata_filter import why_not_native

PROBE_KEY = "doctor.txt"
PROBE = b"Sluice's doctor wrote this to see whether it can write here. It may be deleted.\n"
EXIT_UNWELL = 1
DRAFT_DATE = "2000-01-01"  # of a release that is not made yet


class Finding(NamedTuple):
    """One question, whether the answer is good, and the answer."""

    question: str
    ok: bool | None  # None where there was nothing to try
    answer: str


class NothingToTry(str):
    """An answer to a question that does not apply to the recipe."""

    __slots__ = ()


def doctor(path: Path, as_json: bool) -> None:
    """Ask every question and print the findings; exits 1 if one is bad.

    Raises:
        ConfigError: the recipe itself can't be read.
    """
    with open_context(path) as context:
        findings = [_ask(question, check, context) for question, check in QUESTIONS.items()]
    if as_json:
        print_json([finding._asdict() for finding in findings])
    else:
        _show(findings)
    if any(finding.ok is False for finding in findings):
        raise SystemExit(EXIT_UNWELL)


def _ask(question: str, check: Callable[[BuildContext], str], context: BuildContext) -> Finding:
    try:
        answer = check(context)
        return Finding(question, None if isinstance(answer, NothingToTry) else True, str(answer))
    except SluiceError as error:
        return Finding(question, False, str(error))


def _logs_listed(context: BuildContext) -> str:
    first = next(context.source.objects(context.recipe.window), None)
    return f"yes, from {first.partition}" if first else "yes, but none of the window is there yet"


def _logs_read(context: BuildContext) -> str:
    first = next(context.source.objects(context.recipe.window), None)
    return (
        f"yes, {len(context.source.store.read(first.entry)):,} bytes"
        if first
        else "nothing to read"
    )


def _lake_written(context: BuildContext) -> str:
    is_new = context.lake.put_new(PROBE_KEY, PROBE)
    return f"yes, {context.lake.uri}/{PROBE_KEY} was {'written' if is_new else 'there already'}"


def _languages_told(context: BuildContext) -> str:
    languages = context.recipe.quality.languages
    check_languages(languages)
    return f"yes, {', '.join(languages)}" if languages else NothingToTry("none named")


def _labels_read(context: BuildContext) -> str:
    tables = [*context.labels, *context.feedback]
    items = context.evaluation.items.height
    told = [f"{sum(len(t.rows) for t in tables):,} labels"] if tables else []
    told += [f"{items:,} evaluation items"] if items else []
    return f"yes, {' and '.join(told)}" if told else NothingToTry("none named")


def _filter_native(context: BuildContext) -> str:
    metadata = context.recipe.select.metadata
    if not metadata:
        return NothingToTry("no filter")
    why = why_not_native(metadata)
    return f"no: {why}; Sluice filters all the same" if why else "yes, word for word"


def _grader_read(context: BuildContext) -> str:
    grader = context.recipe.grader
    if grader is None or grader.python is None:
        return NothingToTry("no local one named")
    path, function = LocalGrader(grader.python, context.base).place()
    return f"yes, {path}:{function}"


def _job_taken(context: BuildContext) -> str:
    """Whether Bedrock's own service model finds no fault with the request of a job."""
    recipe = context.recipe
    if recipe.train is None:
        return NothingToTry("there is no [train]")
    digest = release_digest(recipe.digest(), {})
    draft = {
        "name": recipe.name,
        "id": f"{DRAFT_DATE}-{digest[:ID_DIGITS]}",
        "digest": digest,
        "files": {},
    }
    release = Release(context.lake, draft, manifest_sha256="")
    job_request(release, recipe, lines_uri(release, recipe.train))
    return "yes, by Bedrock's own service model"


def _lines_within_limit(context: BuildContext) -> str:
    """Whether the job's maxPromptLength leaves enough of the newest release's lines."""
    if context.recipe.train is None:
        return NothingToTry("there is no [train]")
    release = newest_release(context.lake, context.recipe.name)
    if release is None:
        return NothingToTry("there is no release yet")
    return f"{check_lengths(release, context.recipe.train)} ({release.id})"


QUESTIONS: dict[str, Callable[[BuildContext], str]] = {
    "can the logs be listed?": _logs_listed,
    "can a log object be read?": _logs_read,
    "can the lake be written?": _lake_written,
    "can the languages be told apart?": _languages_told,
    "can the labels be read?": _labels_read,
    "can the grader be read?": _grader_read,
    "would Bedrock take the training job's request?": _job_taken,
    "would the job take the lines of the newest release?": _lines_within_limit,
    "could Bedrock filter like this itself?": _filter_native,
}


def _show(findings: list[Finding]) -> None:
    for finding in findings:
        mark = {True: "[green]✓[/]", False: "[red]✗[/]", None: "–"}[finding.ok]
        people.print(f"{mark} {finding.question} ", end="")
        people.print(finding.answer, markup=False)
