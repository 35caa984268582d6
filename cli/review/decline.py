"""`sluice decline`: a person's objection to training on a release."""

from bedrock_sluice.cli.options import AsJson, ReleaseLake, ReleaseUri, epilog
from bedrock_sluice.cli.review.decision_options import By, Note, Role, show_decision

EPILOG = epilog(
    "sluice decline tutor.toml@2026-11-01-527776e00615 --by Kim --role legal "
    '--note "contract of tenant 7"',
    rejected="the files of the release, or decisions about it, were changed",
)


def decline(  # noqa: PLR0913, PLR0917 - options of the command line
    release: ReleaseUri,
    by: By,
    role: Role = None,
    note: Note = None,
    lake: ReleaseLake = None,
    as_json: AsJson = False,
) -> None:
    """Stop training on a release, until you approve it in the same role."""
    from datetime import UTC, datetime

    from bedrock_sluice.flows.decisions.decisions import decide
    from bedrock_sluice.flows.review.release_names import resolve_release

    source = resolve_release(release, lake)
    decision = decide(source, "declined", by=by, role=role, note=note, at=datetime.now(UTC))
    show_decision(source, decision, as_json)
