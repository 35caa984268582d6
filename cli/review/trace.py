"""`sluice trace`: from a model back to the records that it was trained on."""

from typing import TYPE_CHECKING, Annotated

import typer

from bedrock_sluice.cli.options import AsJson, epilog

if TYPE_CHECKING:
    from bedrock_sluice.flows.review.trace import Trace

EPILOG = epilog(
    "sluice trace arn:aws:bedrock:us-east-1:111122223333:custom-model/amazon.nova-2/ba9876543210 "
    "--lake s3://acme-sluice/lake",
    "sluice trace lake/releases/tutor/2026-11-01-527776e00615 "
    "--request-id 414c343c-0000-4000-8000-7ed41e2feb89",
    rejected="a link is broken, or a request id or an ARN is unknown",
)


def trace(
    target: Annotated[
        str,
        typer.Argument(
            metavar="TARGET",
            help="The ARN of a model or a job, or a release: RECIPE@…, NAME@…, a path or URI.",
        ),
    ],
    lake: Annotated[
        str | None,
        typer.Option(
            metavar="LAKE|RECIPE",
            help="The lake that recorded the job, or in which to look for NAME@…",
        ),
    ] = None,
    request_id: Annotated[
        list[str] | None, typer.Option(help="Show what became of this record; repeatable.")
    ] = None,
    records: Annotated[
        bool, typer.Option("--records", help="List the record of every line.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Trace a model back to its job, release, approvals, log objects and records."""
    from bedrock_sluice.cli.console import print_json
    from bedrock_sluice.flows.recipe.places import open_target
    from bedrock_sluice.flows.review.trace import trace as trace_target
    from bedrock_sluice.transforms.errors import ExitCode

    result = trace_target(
        target,
        open_target(lake).lake if lake else None,
        request_ids=request_id or (),
        has_records=records,
    )
    if as_json:
        print_json(result)
    else:
        _show(result)
    if not result.is_whole:
        raise SystemExit(ExitCode.CHECK_FAILED)


def _show(result: "Trace") -> None:
    from bedrock_sluice.cli.console import people, print_result
    from bedrock_sluice.transforms.printable import printable

    facts = {
        "model": result.model or "none recorded",
        "job": result.job or "none recorded",
        "release": f"{result.release} ({result.verdict})",
        "digest": result.digest,
        "recipe": result.recipe_digest,
    }
    for name, value in facts.items():
        people.print(f"{name:<10} {printable(value)}", markup=False)
    for link in result.links:
        state = "verified" if link.ok else "BROKEN"
        people.print(f"{link.name:<10} {state}: {printable(link.message)}", markup=False)
    for record in result.records:
        reason = f" ({record.reason})" if record.reason else ""
        survivor = f"; {record.survivor} stands for it" if record.survivor else ""
        place = f"{record.object}:{record.line}"
        print_result(printable(f"{record.request_id}  {record.fate}{reason}{survivor}  {place}"))
    for each in result.missing:
        people.print(f"{printable(each)}: no record of the release has this id", markup=False)
