"""`sluice status`: the releases of a recipe or a lake, and how their training jobs ended."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from bedrock_sluice.cli.options import AsJson, LakeOrRecipe, epilog

if TYPE_CHECKING:
    from bedrock_sluice.expectations.pages.review_pages import ReleaseState

EPILOG = epilog("sluice status tutor.toml --json", "sluice status s3://acme-sluice/lake")


def status(
    target: LakeOrRecipe,
    never_started: Annotated[
        list[str] | None,
        typer.Option(
            help="A release of the recipe whose job is known never to have started; repeatable."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the releases of a recipe, or of a whole lake, and query how their jobs ended.

    Each release has its verdict, lines, decisions and jobs. Which prompts the jobs were trained on
    is recorded in the lake.
    """
    from msgspec import to_builtins

    from bedrock_sluice.cli.console import people, print_json
    from bedrock_sluice.cli.training.job_view import show_status
    from bedrock_sluice.flows.recipe.places import open_target
    from bedrock_sluice.flows.review.history import read_history, write_index
    from bedrock_sluice.flows.training.job import settle

    place = open_target(target)
    lake, recipe = place.lake, place.recipe
    if never_started and recipe is None:
        raise typer.BadParameter("--never-started needs a recipe, which names the lineage")
    names = [recipe.name] if recipe else lake.folders("releases/")
    lineages = [recipe.lineage] if recipe else lake.folders("registry/")
    jobs = [
        job for each in lineages for job in settle(lake, each, never_started=never_started or ())
    ]
    releases = {name: read_history(lake, name) for name in names}
    for name in names:
        write_index(lake, name)
    if as_json:
        rows = [
            {"name": name, "uri": f"{lake.uri}/releases/{name}/{each.id}", **to_builtins(each)}
            for name, states in releases.items()
            for each in states
        ]
        job_rows = [job._asdict() | {"advice": job.advice} for job in jobs]
        print_json({"releases": rows, "jobs": job_rows})
        return
    for name, states in releases.items():
        _show_releases(name, states)
    if not any(releases.values()):
        people.print("there is no release yet; run `sluice build RECIPE` first")
    if not jobs:
        people.print("no job has been requested yet")
    for job in jobs:
        show_status(job)


def _show_releases(name: str, releases: "Sequence[ReleaseState]") -> None:
    from rich.markup import escape
    from rich.table import Table

    from bedrock_sluice.cli.console import people
    from bedrock_sluice.transforms.printable import printable

    table = Table(title=escape(printable(name)), title_justify="left")
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
    if releases:
        people.print(table)
