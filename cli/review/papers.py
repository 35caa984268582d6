"""`sluice papers`: documents about a release for people outside of the project."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bedrock_sluice.cli.options import AsJson, ReleaseLake, ReleaseUri, check_recipe, epilog
from bedrock_sluice.flows.papers.kinds import Paper

if TYPE_CHECKING:
    from bedrock_sluice.flows.papers.papers import WrittenPapers

EPILOG = epilog(
    "sluice papers lake/releases/tutor/2026-11-01-527776e00615 --recipe tutor.toml --data",
    "sluice papers lake/releases/tutor/2026-11-01-527776e00615 --only croissant --out papers",
    rejected="the files of the release are damaged",
)


def papers(  # noqa: PLR0913, PLR0917 - options of the command line
    release: ReleaseUri,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder to write to; default: NAME-ID in the current folder."),
    ] = None,
    only: Annotated[
        list[Paper] | None,
        typer.Option(help="Write only this paper; repeatable."),
    ] = None,
    recipe: Annotated[
        Path | None,
        typer.Option(
            help="Read the papers section from this recipe instead of that of the build.",
            callback=check_recipe,
        ),
    ] = None,
    data: Annotated[
        bool, typer.Option("--data", help="Also copy train.jsonl and validation.jsonl.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Replace files with different content.")
    ] = False,
    lake: ReleaseLake = None,
    as_json: AsJson = False,
) -> None:
    """Write a dataset card, Croissant metadata, a training-data summary and in-toto statements."""
    from bedrock_sluice.cli.console import print_json
    from bedrock_sluice.flows.papers.papers import write_papers
    from bedrock_sluice.flows.recipe import load_recipe
    from bedrock_sluice.flows.review.release_names import resolve_release

    source = resolve_release(release, lake, recipe)
    result = write_papers(
        source,
        out or Path(f"{source.name}-{source.id}"),
        kinds=only or (),
        recipe=load_recipe(recipe) if recipe else None,
        has_data=data,
        force=force,
    )
    if as_json:
        print_json(result)
    else:
        _show(result)


def _show(result: "WrittenPapers") -> None:
    from bedrock_sluice.cli.console import people, print_result

    for name in result.files:
        print_result(str(Path(result.folder, name)))
    for name, number in result.to_complete.items():
        people.print(f"{name}: {number} places marked TO COMPLETE", markup=False)
