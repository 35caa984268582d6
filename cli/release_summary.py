"""What people see of a release: the funnel, the answers, the failed checks, the verdict."""

from collections.abc import Iterable

from rich.table import Table

from bedrock_sluice.cli.console import people, print_json, print_result
from bedrock_sluice.cli.log import logger, writes_json
from bedrock_sluice.flows.hints import rows_in_words
from bedrock_sluice.flows.review.comparison import compare_with_parent
from bedrock_sluice.flows.stages.publish import Draft
from bedrock_sluice.flows.summary import failed_checks, summary
from bedrock_sluice.lake.releases.manifest import Manifest
from bedrock_sluice.lake.releases.release import Release, ReleaseView
from bedrock_sluice.transforms.errors import ExitCode
from bedrock_sluice.transforms.facts.release_facts import AnswerFacts
from bedrock_sluice.transforms.printable import printable


def show_outcome(release: Release, as_json: bool, open_next: Iterable[str] = ()) -> None:
    """Print a release, and the names of files to open next.

    Raises:
        SystemExit: the gate rejected the release.
    """
    if as_json:
        print_json(summary(release))
    else:
        show_release(release)
        for name in open_next:
            people.print(f"open {release.uri}/{name}", markup=False)
        print_result(release.uri)
    if writes_json():  # instead of the text for people
        counts = release.manifest.counts
        facts = {
            "release": release.uri,
            "verdict": release.manifest.verdict,
            "train": counts.train,
            "validation": counts.validation,
        }
        logger.info("release %s", release.id, extra={"facts": facts})
    if not release.is_passed:
        raise SystemExit(ExitCode.CHECK_FAILED)


def show_draft(draft: Draft, as_json: bool) -> None:
    """Print what a build would publish.

    Raises:
        SystemExit: the gate would reject it.
    """
    if as_json:
        print_json({**summary(draft), "dry_run": True, "is_published": draft.is_published})
    else:
        show_release(draft)
        people.print(
            "this release exists already: a build changes nothing"
            if draft.is_published
            else "dry run: nothing was published. Run again without --dry-run to publish it"
        )
    if not draft.is_passed:
        raise SystemExit(ExitCode.CHECK_FAILED)


def show_release(release: ReleaseView) -> None:
    """Print the funnel, where the answers came from, the failed checks, and the verdict."""
    manifest = release.manifest
    people.print(_funnel(manifest))
    if number := manifest.metadata.matched_without_key:
        people.print(
            f"{number:,} records matched `notEquals` only because they do not have the key"
        )
    for line in answers_in_words(manifest.answers):
        people.print(line, markup=False)
    if comparison := compare_with_parent(release):
        counts = [
            f"{change.lines:,} {name.replace('_', ' ')}"
            for name, change in comparison.changes.items()
            if change.lines
        ]
        people.print(f"lines since {manifest.parent}: {', '.join(counts) or 'no change'}")
    elif manifest.parent:
        people.print(f"the release before, {manifest.parent}, can't be read to compare with it")
    for check in failed_checks(release):
        color = "red" if check.severity == "fail" else "yellow"
        people.print(f"[{color}]{check.result}[/] {check.name}: ", end="")
        people.print(check.message, markup=False)
        # Examples and measurements may quote what callers wrote, control characters and all.
        examples = [f"for example: {', '.join(check.examples)}"] if check.examples else []
        for line in (check.measurement, *examples, f"to fix: {check.hint}"):
            people.print(f"  {printable(line)}", markup=False)
    verdict = "[green]passed[/]" if release.is_passed else "[red]rejected[/]"
    people.print(f"release {verdict}: ", end="")
    people.print(release.uri, markup=False)


def _funnel(manifest: Manifest) -> Table:
    table = Table(title=f"{manifest.name}: from records to lines", title_justify="left")
    table.add_column("stage")
    for heading in ("input", "dropped", "kept"):
        table.add_column(heading, justify="right")
    for stage in manifest.stages:
        counts = (stage.input, stage.input - stage.kept, stage.kept)
        table.add_row(stage.stage, *(f"{number:,}" for number in counts))
        for reason, number in stage.rejected.items():
            table.add_row(f"[dim]  {reason}[/]", "", f"[dim]{number:,}[/]", "")
    table.add_section()
    table.add_row("train", "", "", f"{manifest.counts.train:,}")
    table.add_row("validation", "", "", f"{manifest.counts.validation:,}")
    return table


def answers_in_words(answers: AnswerFacts) -> list[str]:
    """Return where the answers of the lines come from, and how each table of answers was used."""
    by_source = [f"{n:,} from {name}" for name, n in answers.lines_by_source.items()]
    lines = [f"answers: {', '.join(by_source)}"] if by_source else []
    for name, usage in answers.sources.items():
        words = f"{rows_in_words(usage.table)}; " if usage.table else ""
        prompts = f"{usage.prompts:,} of {answers.prompts:,} prompts have one"
        lines.append(f"{name}: {words}{prompts}")
    return lines
