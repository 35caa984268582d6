"""`sluice forget`: what a lake holds of some requests, and taking it out."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bedrock_sluice.cli.options import AsJson, LakeOrRecipe, epilog

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bedrock_sluice.flows.forgetting.survey import ReleaseHolding, Survey

EPILOG = epilog(
    "sluice forget s3://acme-sluice/lake --request-id 414c343c-0000-4000-8000-7ed41e2feb89",
    "sluice forget tutor.toml --metadata user=u-4711 --delete",
    rejected="an approved release or a training job still holds a record",
)

_Texts = list[str] | None


def forget(  # noqa: PLR0913, PLR0917 - options of the command line
    target: LakeOrRecipe,
    request_id: Annotated[_Texts, typer.Option(help="A request id; repeatable.")] = None,
    conversation: Annotated[
        _Texts, typer.Option(help="A value of the recipe's conversation_key; repeatable.")
    ] = None,
    metadata: Annotated[
        _Texts,
        typer.Option(metavar="KEY=VALUE", help="All records with this metadata; repeatable."),
    ] = None,
    from_file: Annotated[
        Path | None, typer.Option("--from", metavar="FILE", help="Request ids, one per line.")
    ] = None,
    delete: Annotated[
        bool, typer.Option("--delete", help="Forget the records, and remove what holds them.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List what a lake holds of some requests; with --delete, forget them.

    Without a selection, it is about all requests that were forgotten before. Forgotten records are
    dropped from every later build as `rights_forgotten`, even if the logs still have them. Releases
    that hold them are removed, except those that somebody approved or that a job was given.
    """
    from bedrock_sluice.cli.console import print_json
    from bedrock_sluice.flows.forgetting import removal, request
    from bedrock_sluice.flows.forgetting.survey import survey
    from bedrock_sluice.lake.tombstones import read_digests
    from bedrock_sluice.transforms.errors import ExitCode
    from bedrock_sluice.transforms.rights.tombstones import request_digest

    place = request.open_whole_lake(target)
    pairs = request.parse_metadata(metadata or (), conversation or (), place.recipe)
    ids = [*(request_id or ()), *(request.read_ids(from_file) if from_file else ())]
    digests = {*map(request_digest, ids), *request.find_requests(place.lake, pairs)}
    if not (ids or pairs):
        digests |= read_digests(place.lake)
    now = datetime.now(UTC)
    result = removal.forget(place, digests, now) if delete else survey(place, digests)
    if as_json:
        facts = {"lake": place.lake.uri, "deleted": delete, "requests": len(digests)}
        print_json({**facts, **_facts(result)})
    else:
        _show(result, len(digests), delete=delete)
    if result.blocking:
        raise SystemExit(ExitCode.CHECK_FAILED)


def _facts(result: "Survey") -> dict[str, Any]:
    return {
        "landed_requests": result.requests,
        "landed_parts": [match.part.entry.key for match in result.landed],
        "derived_files": [entry.key for entry in result.derived_files],
        "releases": [_release_facts(each) for each in result.releases],
        "reviews": [review.key for review in result.reviews],
        "labels": list(result.labels),
        "log_objects": result.log_objects,
        "bodies": result.bodies,
    }


def _release_facts(release: "ReleaseHolding") -> dict[str, Any]:
    from msgspec import to_builtins

    return {
        "release": release.uri,
        "lines": release.lines,
        "approved_by": list(release.approved_by),
        "jobs": to_builtins(list(release.jobs)),
        "removable": release.is_removable,
    }


def _show(result: "Survey", requests: int, *, delete: bool) -> None:
    from bedrock_sluice.cli.console import people

    def say(text: str) -> None:
        from bedrock_sluice.transforms.printable import printable

        people.print(printable(text), markup=False)

    action = "removed from" if delete else "would be removed from"
    say(f"requests: {requests:,}, of which landed in this lake: {result.requests:,}")
    parts, files = len(result.landed), len(result.derived_files)
    if parts or files:
        say(f"  {action} landed parts: {parts:,}, and derived files: {files:,}")
    if result.reviews:
        say(f"  {action} reviews of lines: {len(result.reviews):,}")
    for release in result.releases:
        if release.is_removable:
            verb = "removed" if delete else "would be removed"
            say(f"  {verb}: release {release.uri} (lines: {release.lines:,})")
    _show_elsewhere("labels that name them; delete these rows", result.labels, say)
    _show_elsewhere("log objects, which are not in the lake", result.log_objects, say)
    _show_elsewhere("bodies stored apart, which are not in the lake", result.bodies, say)
    for release in result.blocking:
        _show_blocking(release, say)
    is_clean = not (result.landed or result.derived_files or result.releases or result.reviews)
    if is_clean:
        say("nothing in this lake holds one of them")
    elif not delete:
        say("nothing was changed: run again with --delete")


def _show_elsewhere(title: str, names: "Sequence[str]", say: Any) -> None:
    most = 20
    if names:
        say(f"  {title}:")
    for name in names[:most]:
        say(f"    {name}")
    if len(names) > most:
        say(f"    and {len(names) - most:,} more; --json lists all")


def _show_blocking(release: "ReleaseHolding", say: Any) -> None:
    approvers = ", ".join(release.approved_by) or "nobody"
    say(f"  still held by {release.uri}: lines: {release.lines:,}, approved by {approvers}")
    for job in release.jobs:
        say(f"    job {job.job_arn or job.name or 'unknown'}: {job.status}")
        if job.model_arn:
            say(f"    model {job.model_arn}: retrain without the records, then delete this model")
    say("    build and approve a release without the records, then delete the folder of this one")
