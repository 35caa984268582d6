"""`sluice approve`: a person's consent to train on a release."""

from typing import Annotated

import typer

from bedrock_sluice.cli.options import AsJson, ReleaseLake, ReleaseUri, epilog
from bedrock_sluice.cli.review.decision_options import By, Note, Role, show_decision

EPILOG = epilog(
    'sluice approve tutor.toml@2026-11-01-527776e00615 --by "R. Viewer" --role domain',
    rejected="the gate rejected the release, or its files were changed",
)


def approve(  # noqa: PLR0913, PLR0917 - options of the command line
    release: ReleaseUri,
    by: By,
    role: Role = None,
    note: Note = None,
    override: Annotated[
        str | None,
        typer.Option(
            metavar="REASON", help="Approve a release that the gate rejected, for this reason."
        ),
    ] = None,
    lake: ReleaseLake = None,
    as_json: AsJson = False,
) -> None:
    """Approve every byte of a release for training. Decisions are recorded and never change."""
    from datetime import UTC, datetime

    from bedrock_sluice.flows.decisions.decisions import decide
    from bedrock_sluice.flows.recipe.build_recipe import recipe_of
    from bedrock_sluice.flows.review.release_names import resolve_release
    from bedrock_sluice.flows.training.request import check_model

    source = resolve_release(release, lake)
    if train := recipe_of(source).train:
        check_model(train)
    decision = decide(
        source, "approved", by=by, role=role, note=note, override=override, at=datetime.now(UTC)
    )
    show_decision(source, decision, as_json)
