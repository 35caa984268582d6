"""The recipe that a release was built from, as its manifest holds it."""

from pydantic import ValidationError

from bedrock_sluice.flows.recipe import Recipe, recipe_digest
from bedrock_sluice.lake.releases.release import Release, release_digest
from bedrock_sluice.transforms.errors import ConfigError, IntegrityError


def recipe_of(release: Release) -> Recipe:
    """The recipe that a release was built from, as its digest vouches for it.

    Raises:
        IntegrityError: recipe and files of the manifest are not those of its digest.
    """
    manifest, where = release.manifest, f"{release.uri}/manifest.json"
    try:
        recipe = Recipe.model_validate(manifest.recipe)
        manifest_digests = manifest.recipe_digest, manifest.digest
        actual_digests = (
            recipe_digest(manifest.recipe),
            release_digest(manifest.recipe_digest, manifest.files),
        )
    except (KeyError, TypeError, ValidationError):
        raise IntegrityError(f"{where} has no recipe of this version; build again") from None
    if manifest_digests != actual_digests:
        raise IntegrityError(
            f"{where} does not fit its digest: it was changed after it was written; build again"
        )
    return recipe


def job_recipe(release: Release, current: Recipe | None = None) -> Recipe:
    """The recipe that a release was built from, with the job settings of the `current` one.

    Of `[approval]`, it asks for everything that either of them asks for.

    Raises:
        ConfigError: `current` is another dataset's recipe.
        IntegrityError: the manifest does not fit its digest.
    """
    recipe_of_build = recipe_of(release)
    if current is None:
        return recipe_of_build
    if current.name != recipe_of_build.name:
        raise ConfigError(
            f"{release.uri} is a release of the recipe {recipe_of_build.name}, "
            f"not of {current.name}; "
            "name that recipe"
        )
    approval = recipe_of_build.approval.combine(current.approval)
    settings = {"train": current.train, "grader": current.grader, "approval": approval}
    return recipe_of_build.model_copy(update=settings)
