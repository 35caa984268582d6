"""`sluice explain`: what happened to a record, and why."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from bedrock_sluice.cli.options import AsJson, RecipePath, epilog

if TYPE_CHECKING:
    from bedrock_sluice.lake.releases.release import Release

EPILOG = epilog(
    "sluice explain tutor.toml 414c343c-0000-4000-8000-7ed41e2feb89",
    "sluice explain tutor.toml --reason curate_near_duplicate -n 5",
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
        typer.Option(help="Id or URI of a release; default: the newest that this recipe built."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what happened to a record, or to those with a reason. Exits 1 if there are none."""
    if (request_id is None) == (reason is None):
        raise typer.BadParameter("give either REQUEST_ID or --reason")
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


def _show(release: "Release", fates: list[dict[str, Any]]) -> None:
    from bedrock_sluice.cli.console import people
    from bedrock_sluice.transforms.printable import printable

    for fate in fates:
        fields = {k: v for k, v in fate.items() if v is not None and k not in ("message", "fate")}
        people.print(f"{fate['fate']}: {fate['message']}", markup=False)
        for name, value in fields.items():
            people.print(f"  {name:<16} {printable(str(value))}", markup=False)
    people.print(f"in release {release.uri}", markup=False)
