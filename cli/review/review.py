"""`sluice review`: judge single lines of a release, and use the verdicts in the next build."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bedrock_sluice.cli.options import AsJson, JobRecipe, ReleaseLake, ReleaseUri, epilog

if TYPE_CHECKING:
    from bedrock_sluice.flows.review.reviews import ApplyResult
    from bedrock_sluice.transforms.review.figures import ReviewFigures

MAX_LINES = 20_000  # as a review file may judge
MAX_SEED = 2**53

SHEET_EPILOG = epilog(
    "sluice review sheet tutor.toml@latest",
    "sluice review sheet lake/releases/tutor/2026-11-01-527776e00615 --lines 0 --sample 200",
)
APPLY_EPILOG = epilog(
    "sluice review apply review-2026-11-01-527776e00615-r-viewer.json --recipe tutor.toml",
)


def sheet(  # noqa: PLR0913, PLR0917 - options of the command line
    release: ReleaseUri,
    lines: Annotated[
        int, typer.Option(min=0, max=MAX_LINES, help="Lines that are most worth a look.")
    ] = 50,
    sample: Annotated[
        int, typer.Option(min=0, max=MAX_LINES, help="Random lines, to estimate the error rate.")
    ] = 100,
    seed: Annotated[int, typer.Option(min=0, max=MAX_SEED, help="Seed of the random choice.")] = 0,
    out: Annotated[
        Path | None,
        typer.Option(help="File to write; default: review-<name>-<id>.html in this folder."),
    ] = None,
    lake: ReleaseLake = None,
    as_json: AsJson = False,
) -> None:
    """Write a page on which a reviewer judges single lines of a release, offline."""
    from bedrock_sluice.cli.console import print_json
    from bedrock_sluice.flows.review.release_names import resolve_release
    from bedrock_sluice.flows.review.sheet import SheetSize, write_sheet
    from bedrock_sluice.lake.files import replaced_file

    source = resolve_release(release, lake)
    path = out or Path(f"review-{source.name}-{source.id}.html")
    page = write_sheet(source, SheetSize(lines, sample, seed))
    with replaced_file(path) as file:
        file.write(page.encode())
    if as_json:
        print_json({"release": source.uri, "sheet": str(path)})
    else:
        typer.echo(path)


def apply(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="Files that reviewers saved.")
    ],
    recipe: JobRecipe = None,
    lake: Annotated[
        str | None, typer.Option(help="The lake of the releases, instead of the recipe's.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Put reviews into the lake, so that the next build uses them, and print their figures."""
    if (recipe is None) == (lake is None):
        raise typer.BadParameter("give either --recipe or --lake")
    from datetime import UTC, datetime

    from msgspec import to_builtins

    from bedrock_sluice.cli.console import print_json
    from bedrock_sluice.flows.decisions.figures import review_figures
    from bedrock_sluice.flows.recipe.places import open_target
    from bedrock_sluice.flows.review.reviews import apply_reviews
    from bedrock_sluice.lake.releases.release import open_release

    target = open_target(str(recipe or lake))
    store, name = target.lake, target.recipe.name if target.recipe else None
    results = apply_reviews(store, files, datetime.now(UTC), name)
    keys = {(each.record.release.name, each.record.release.id) for each in results}
    uris = [f"{store.uri}/releases/{release_name}/{key}" for release_name, key in sorted(keys)]
    figures = [review_figures(store, open_release(uri)) for uri in uris]
    if as_json:
        reviews = [_summary(each) for each in results]
        print_json({"reviews": reviews, "releases": to_builtins(figures)})
        return
    for result in results:
        _show_file(result)
    for each in filter(None, figures):
        show_figures(each)


def _summary(result: "ApplyResult") -> dict[str, object]:
    return {
        "file": str(result.path),
        "reviewer": result.record.reviewer,
        "release": result.record.release.id,
        "is_new": result.is_new,
        "lines": sum(line.verdict is not None for line in result.record.lines),
        "unreadable_corrections": result.unreadable,
    }


def _show_file(result: "ApplyResult") -> None:
    from bedrock_sluice.cli.console import people
    from bedrock_sluice.transforms.printable import printable

    verdicts = [line.verdict for line in result.record.lines if line.verdict]
    state = "applied" if result.is_new else "was applied before"
    text = f"{result.path}: {state}; {len(verdicts):,} lines judged by {result.record.reviewer}"
    people.print(printable(text), markup=False)
    if result.unreadable:
        ids = ", ".join(result.unreadable[:5])
        text = f"{len(result.unreadable):,} corrections have no answer that the template reads"
        people.print(printable(f"  {text}, and drop their lines: {ids}"), markup=False)


def show_figures(figures: "ReviewFigures") -> None:
    """Print the figures of the reviews of a release."""
    from rich.markup import escape
    from rich.table import Table

    from bedrock_sluice.cli.console import people
    from bedrock_sluice.transforms.printable import printable
    from bedrock_sluice.transforms.review.figures import describe_agreement, describe_errors

    table = Table(title=escape(f"Reviews of {figures.release}"))
    table.add_column("reviewer")
    for heading in ("right", "wrong", "unsure", "corrections"):
        table.add_column(heading, justify="right")
    for each in figures.reviewers:
        counts = (each.right, each.wrong, each.unsure, each.corrections)
        table.add_row(escape(printable(each.name)), *(f"{number:,}" for number in counts))
    people.print(table)
    people.print(describe_errors(figures.error), markup=False)
    for agreement in figures.agreement:
        people.print(printable(describe_agreement(agreement)), markup=False)
    if figures.disputed_lines:
        ids = printable(", ".join(figures.disputed_ids[:5]))
        text = f"{figures.disputed_lines:,} lines are both right and wrong: {ids}"
        people.print(text, markup=False)
