"""The summary of a release, as JSON for machines."""

from typing import Any

from msgspec import to_builtins

from bedrock_sluice.expectations.checks import Check, decode_checks
from bedrock_sluice.flows.review.comparison import compare_with_parent
from bedrock_sluice.lake.releases.release import ReleaseView

CHECKS = "checks.json"


def summary(release: ReleaseView) -> dict[str, Any]:
    """What `build --json` prints; `failed_checks` are those that made the gate say no.

    `checks` are all that did not pass, as they stand in `checks.json`. `changes` counts the lines
    that differ from those of the release before, null if there is none, or it can't be read.
    """
    checks = failed_checks(release)
    manifest, comparison = release.manifest, compare_with_parent(release)
    changes = comparison.changes.items() if comparison else ()
    return {
        "release": release.uri,
        "id": manifest.id,
        "verdict": manifest.verdict,
        "counts": to_builtins(manifest.counts),
        "answers": to_builtins(manifest.answers),
        "parent": manifest.parent,
        "changes": {name: change.lines for name, change in changes} if comparison else None,
        "failed_checks": [check.name for check in checks if check.result == "failed"],
        "checks": [to_builtins(check) for check in checks],
    }


def failed_checks(release: ReleaseView) -> list[Check]:
    """The checks that did not pass, failures before warnings."""
    checks = decode_checks(release.file(CHECKS).read_bytes(), f"{release.uri}/{CHECKS}")
    return sorted((check for check in checks if not check.passed), key=lambda c: c.severity)
