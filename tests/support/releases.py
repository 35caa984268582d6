"""Releases made by hand, as a build would publish them."""

from collections.abc import Mapping
from pathlib import Path

from bedrock_sluice.flows.recipe import Recipe
from bedrock_sluice.lake.releases.release import (
    Release,
    file_digests,
    open_release,
    publish,
    release_digest,
)
from bedrock_sluice.lake.stores.opening import open_store


def publish_files(recipe: Recipe, files: Mapping[str, Path], verdict: str = "passed") -> Release:
    """Publish these files as a release of the recipe, and open it."""
    digests = file_digests(files)
    digest = release_digest(recipe.digest(), digests)
    manifest = {
        "name": recipe.name,
        "id": f"2026-11-01-{digest[:12]}",
        "digest": digest,
        "recipe": recipe.dump(),
        "recipe_digest": recipe.digest(),
        "files": digests,
        "verdict": verdict,
    }
    publish(open_store(recipe.lake), manifest, dict(files))
    return open_release(f"{recipe.lake}/releases/{recipe.name}/{manifest['id']}")
