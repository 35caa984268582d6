"""`sluice report`: the page from which a reviewer decides about a release."""

import os
from pathlib import Path
from typing import Annotated

import typer

from bedrock_sluice.cli.options import ReleaseLake, epilog
from bedrock_sluice.transforms.settings import Content

EPILOG = epilog(
    "sluice report tutor.toml",
    "sluice report tutor.toml --index",
    "sluice report tutor@approved --lake s3://acme-sluice/lake --out review.html --no-open",
)


def report(  # noqa: PLR0913, PLR0917 - options of the command line
    source: Annotated[
        str,
        typer.Argument(
            metavar="RELEASE|RECIPE",
            help="RECIPE@latest, RECIPE@approved or RECIPE@ID; NAME@… with --lake; "
            "<lake>/releases/<name>/<id>, a path or s3:// URI; or a recipe (*.toml), which "
            "stands for the newest release that it built as it is now.",
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(help="Write the page to this file; default: a temporary file.")
    ] = None,
    content: Annotated[
        Content | None,
        typer.Option(
            help="Text of lines: with personal data and secrets masked, in full, or none; "
            "default: as the recipe says."
        ),
    ] = None,
    lake: ReleaseLake = None,
    index: Annotated[
        bool,
        typer.Option("--index", help="Write the page of all releases of the recipe instead."),
    ] = False,
    no_open: Annotated[
        bool, typer.Option("--no-open", help="Do not open the page in a browser.")
    ] = False,
) -> None:
    """Write the report of a release, with all decisions up to now, and open it in a browser."""
    import webbrowser

    from bedrock_sluice.flows.running.suite_process import chart_process

    with chart_process():  # before all other imports, which take about as long as its start
        name, page = _index(source, lake) if index else _render(source, content, lake)
    from bedrock_sluice.cli.console import print_result
    from bedrock_sluice.lake.files import replaced_file

    path = out or _temporary_file(name)
    with replaced_file(path) as file:
        file.write(page.encode())
    if not no_open:
        webbrowser.open(path.absolute().as_uri())
    print_result(str(path))


def _render(source: str, content: Content | None, lake: str | None) -> tuple[str, str]:
    """Return a name for the report of a release, and the report."""
    from bedrock_sluice.flows.recipe import load_recipe
    from bedrock_sluice.flows.review.explanation import find_release
    from bedrock_sluice.flows.review.release_names import resolve_release
    from bedrock_sluice.flows.review.report import report_of

    if source.endswith(".toml"):
        recipe = Path(source)
        release = find_release(recipe, None)
        content = content or load_recipe(recipe).report.content
    else:
        release = resolve_release(source, lake)
    return f"{release.name}-{release.id}", report_of(release, content)


def _index(source: str, lake: str | None) -> tuple[str, str]:
    """Return a name for the page of all releases of a recipe, and the page."""
    from bedrock_sluice.flows.recipe.places import open_target
    from bedrock_sluice.flows.review.history import index_elsewhere
    from bedrock_sluice.flows.review.release_names import resolve_release

    if source.endswith(".toml"):
        target = open_target(source)
        assert target.recipe is not None
        store, name = target.lake, target.recipe.name
    else:
        release = resolve_release(source, lake)
        store, name = release.lake, release.name
    return f"{name}-releases", index_elsewhere(store, name)


def _temporary_file(name: str) -> Path:
    from tempfile import mkstemp

    number, path = mkstemp(prefix=f"sluice-{name}-", suffix=".html")
    os.close(number)
    return Path(path)
