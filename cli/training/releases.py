"""`sluice releases`: the releases of a recipe or a lake, from the lake alone."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bedrock_sluice.cli.options import AsJson, LakeOrRecipe, epilog

if TYPE_CHECKING:
    from bedrock_sluice.expectations.pages.review_pages import ReleaseState
    from bedrock_sluice.flows.recipe import Recipe
    from bedrock_sluice.lake.stores.store import Store

    States = Mapping[str, Sequence[ReleaseState]]

EPILOG = epilog("sluice releases tutor.toml", "sluice releases s3://acme-sluice/lake --json")


def releases(target: LakeOrRecipe, as_json: AsJson = False) -> None:
    """List the releases of a recipe, or of a whole lake, without asking a service.

    Each has its verdict, lines, decisions and jobs. Other commands take a release as NAME@latest,
    NAME@approved or NAME@ID.
    """
    from bedrock_sluice.cli.console import print_json
    from bedrock_sluice.flows.recipe.places import open_target

    place = open_target(target)
    states = read_states(place.lake, place.recipe)
    if as_json:
        print_json({"releases": release_rows(place.lake, states)})
    else:
        show_releases(states)


def read_states(lake: "Store", recipe: "Recipe | None") -> "States":
    """Return the releases of a recipe, or of all that the lake has, by name."""
    from bedrock_sluice.flows.review.history import read_history

    names = [recipe.name] if recipe else lake.folders("releases/")
    return {name: read_history(lake, name) for name in names}


def release_rows(lake: "Store", states: "States") -> list[dict[str, Any]]:
    """Return an object per release, for JSON."""
    from msgspec import to_builtins

    return [
        {"name": name, "uri": f"{lake.uri}/releases/{name}/{each.id}", **to_builtins(each)}
        for name, releases in states.items()
        for each in releases
    ]


def show_releases(states: "States") -> None:
    """Print a table per name."""
    from bedrock_sluice.cli.console import people

    for name, each in states.items():
        _show_table(name, each)
    if not any(states.values()):
        people.print("there is no release yet; run `sluice build RECIPE` first")


def _show_table(name: str, releases: "Sequence[ReleaseState]") -> None:
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
