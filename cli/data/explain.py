"""`sluice explain`: what happened to a record, and why."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bedrock_sluice.cli.options import AsJson, Page, RecipePath, epilog
from bedrock_sluice.transforms.printable import printable

if TYPE_CHECKING:
    from bedrock_sluice.lake.releases.release import Release

EPILOG = epilog(
    "sluice explain tutor.toml 414c343c-0000-4000-8000-7ed41e2feb89",
    "sluice explain tutor.toml --reason curate_near_duplicate -n 5",
    "sluice explain tutor.toml 414c343c-0000-4000-8000-7ed41e2feb89 --history --page record.html",
    rejected="no such record",
)


def explain(  # noqa: PLR0913, PLR0917 - options of the command line
    recipe: RecipePath,
    request_id: Annotated[
        str | None, typer.Argument(metavar="REQUEST_ID", help="The record to explain.")
    ] = None,
    reason: Annotated[
        str | None, typer.Option(help="Show the first records with this reason.")
    ] = None,
    number: Annotated[
        int, typer.Option("-n", min=1, help="Number of records to show with --reason.")
    ] = 5,
    release: Annotated[
        str | None,
        typer.Option(
            help="Id, NAME@… or URI of a release; default: the newest that this recipe built."
        ),
    ] = None,
    history: Annotated[
        bool,
        typer.Option(
            "--history", help="Show the record in all releases of the lake, the newest first."
        ),
    ] = False,
    page: Page = None,
    as_json: AsJson = False,
) -> None:
    """Show what happened to a record, or to those with a reason. Exits 1 if there are none."""
    if (request_id is None) == (reason is None):
        raise typer.BadParameter("give either REQUEST_ID or --reason")
    if history or page:
        if request_id is None or release is not None:
            raise typer.BadParameter("--history and --page need REQUEST_ID, and no --release")
        _explain_history(recipe, request_id, page, as_json=as_json)
        return
    from bedrock_sluice.cli.console import people, print_json
    from bedrock_sluice.flows.review.explanation import (
        find_fates,
        find_reason,
        find_release,
        find_tombstone,
    )
    from bedrock_sluice.transforms.errors import ExitCode

    if request_id is not None and (at := find_tombstone(recipe, request_id)):
        if as_json:
            print_json({"request_id": request_id, "forgotten_at": at, "fates": []})
        people.print(f"forgotten on {at:%Y-%m-%d}: no later build uses this record", markup=False)
        return
    source = find_release(recipe, release)
    if reason is not None:
        total, fates = find_reason(source, reason, number)
        facts: dict[str, Any] = {"reason": reason, "records": total}
        message = f"{len(fates):,} of {total:,} records with the reason {reason}"
    else:
        fates = find_fates(source, request_id or "")
        facts = {"request_id": request_id}
        records = source.manifest.counts.records
        message = f"no record of that id among the {records:,} of release {source.id}"
    if as_json:
        print_json({"release": source.uri, **facts, "fates": fates})
    else:
        _show(source, fates)
    if reason is not None or not fates:
        people.print(message, markup=False)
    if not fates:
        raise SystemExit(ExitCode.CHECK_FAILED)


def _explain_history(recipe: Path, request_id: str, page: Path | None, *, as_json: bool) -> None:
    """Show the record in all releases of the recipe's lake, and write the page."""
    from msgspec import to_builtins

    from bedrock_sluice.cli.console import people, print_json, write_page
    from bedrock_sluice.expectations.pages.review_pages import render_record
    from bedrock_sluice.flows.recipe.places import open_target
    from bedrock_sluice.flows.review.history import find_record
    from bedrock_sluice.transforms.errors import ExitCode

    lake = open_target(str(recipe)).lake
    states = find_record(lake, request_id)
    with_record = [each for each in states if each.fates]
    if as_json:
        print_json({"request_id": request_id, "releases": to_builtins(with_record)})
    for state in [] if as_json else with_record:
        release = state.release
        people.print(f"[bold]{state.recipe}/{release.id}[/], {release.verdict} by the gate")
        _show_fates(state.fates)
        for line in (*release.decisions, *release.jobs):
            people.print(f"  {printable(line)}", markup=False)
    message = f"{len(with_record):,} of {len(states):,} releases have read this record"
    people.print(message, markup=False)
    if page:
        write_page(page, render_record(request_id, states))
    if not with_record:
        raise SystemExit(ExitCode.CHECK_FAILED)


def _show(release: "Release", fates: list[dict[str, Any]]) -> None:
    from bedrock_sluice.cli.console import people

    _show_fates(fates)
    people.print(f"in release {release.uri}", markup=False)


def _show_fates(fates: list[dict[str, Any]]) -> None:
    from bedrock_sluice.cli.console import people

    for fate in fates:
        fields = {k: v for k, v in fate.items() if v is not None and k not in ("message", "fate")}
        people.print(f"{fate['fate']}: {printable(fate['message'])}", markup=False)
        for name, value in fields.items():
            people.print(f"  {name:<16} {printable(str(value))}", markup=False)
