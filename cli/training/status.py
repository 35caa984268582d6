"""`sluice status`: the releases of a recipe, and how its training jobs ended."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from bedrock_sluice.cli.options import AsJson, RecipePath, epilog

if TYPE_CHECKING:
    from bedrock_sluice.expectations.pages.review_pages import ReleaseState

EPILOG = epilog("sluice status tutor.toml --json")


def status(
    recipe: RecipePath,
    never_started: Annotated[
        list[str] | None,
        typer.Option(help="A release whose job is known never to have started; repeatable."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show the releases of a recipe, and query how the jobs of its lineage ended.

    Which prompts the jobs were trained on is recorded in the lake.
    """
    from msgspec import to_builtins

    from bedrock_sluice.cli.console import people, print_json
    from bedrock_sluice.flows.recipe import load_recipe
    from bedrock_sluice.flows.review.history import read_history, write_index
    from bedrock_sluice.flows.training.job import settle
    from bedrock_sluice.lake.stores.opening import open_store

    settings = load_recipe(recipe)
    lake = open_store(settings.lake, recipe.absolute().parent)
    jobs = settle(lake, settings.lineage, never_started=never_started or ())
    releases = read_history(lake, settings.name)
    write_index(lake, settings.name)
    if as_json:
        print_json({"releases": to_builtins(releases), "jobs": [job._asdict() for job in jobs]})
        return
    _show_releases(releases)
    if not jobs:
        people.print(f"no job of {settings.lineage} has been requested yet")
    for job in jobs:
        message = f"{job.release}  job {job.job or '-'}: {job.status}; its prompts are {job.state}"
        people.print(message, markup=False)


def _show_releases(releases: "Sequence[ReleaseState]") -> None:
    from rich.markup import escape
    from rich.table import Table

    from bedrock_sluice.cli.console import people
    from bedrock_sluice.transforms.printable import printable

    table = Table()
    table.add_column("release", no_wrap=True)
    table.add_column("verdict")
    for heading in ("train", "validation"):
        table.add_column(heading, justify="right")
    for heading in ("decisions", "jobs"):
        table.add_column(heading)
    for each in releases:
        color = {"passed": "green"}.get(each.verdict, "red")
        sizes = [
            "–" if number is None else f"{number:,}" for number in (each.train, each.validation)
        ]
        sentences = [
            escape(printable("\n".join(lines))) or "–" for lines in (each.decisions, each.jobs)
        ]
        table.add_row(escape(printable(each.id)), f"[{color}]{each.verdict}[/]", *sizes, *sentences)
    people.print(table if releases else "there is no release yet; run `sluice build RECIPE` first")
