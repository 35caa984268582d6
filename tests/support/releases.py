"""Releases made by hand, as a build would publish them."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from bedrock_sluice.flows.decisions.decisions import decide
from bedrock_sluice.flows.recipe import Recipe
from bedrock_sluice.lake.releases.decisions import Decision
from bedrock_sluice.lake.releases.manifest import Verdict
from bedrock_sluice.lake.releases.release import (
    Release,
    draft_manifest,
    file_digests,
    open_release,
    publish,
)
from bedrock_sluice.lake.stores.opening import open_store

NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)


def approve(release: Release, by: str, at: datetime = NOON) -> Decision:
    """Approve a release as a person without a role."""
    return decide(release, "approved", by=by, at=at)


def publish_files(
    recipe: Recipe, files: Mapping[str, Path], verdict: Verdict = "passed"
) -> Release:
    """Publish these files as a release of the recipe, and open it."""
    manifest = draft_manifest(
        name=recipe.name,
        until="2026-11-01",
        recipe=recipe.dump(),
        recipe_digest=recipe.digest(),
        files=file_digests(files),
        verdict=verdict,
    )
    publish(open_store(recipe.lake), manifest, dict(files))
    return open_release(f"{recipe.lake}/releases/{recipe.name}/{manifest.id}")
