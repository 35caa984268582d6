"""`sluice approve`: a person's consent to train on a release."""

from typing import Annotated

import typer

from bedrock_sluice.cli.options import AsJson, ReleaseUri, epilog

EPILOG = epilog(
    'sluice approve lake/releases/tutor/2026-11-01-527776e00615 --by "R. Viewer"',
    rejected="the gate rejected the release, or its files were changed",
)


def approve(
    release: ReleaseUri,
    by: Annotated[str, typer.Option(help="Your name, as the approval records it.")],
    as_json: AsJson = False,
) -> None:
    """Approve every byte of a release for training. Each approver has a record of their own."""
    from datetime import UTC, datetime

    from msgspec import to_builtins

    from bedrock_sluice.cli.console import people, print_json
    from bedrock_sluice.flows.review.history import write_index
    from bedrock_sluice.flows.training.approval import approve as approve_release
    from bedrock_sluice.flows.training.approval import find_approvals
    from bedrock_sluice.lake.releases.release import open_release

    source = open_release(release)
    approval = approve_release(source, by, datetime.now(UTC))
    write_index(source.lake, source.name)
    if as_json:
        print_json(to_builtins(approval))
        return
    for each in find_approvals(source):
        people.print(f"approved by {each.by}, {each.at.isoformat()}", markup=False)
