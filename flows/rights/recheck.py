"""Rights, checked again before a job starts: what was withdrawn since the release was approved."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from bedrock_sluice.flows.recipe import Recipe
from bedrock_sluice.flows.recipe.rights_section import RightsSection
from bedrock_sluice.lake.exclusions import read_exclusions
from bedrock_sluice.lake.logs.erasure import SCAN_COLUMNS, find_rows
from bedrock_sluice.lake.releases.registry import PROVENANCE_FILE
from bedrock_sluice.lake.releases.release import Release
from bedrock_sluice.lake.tombstones import read_digests
from bedrock_sluice.transforms.derived_metadata import (
    Derivation,
    columns_needed,
    derive_tags,
)
from bedrock_sluice.transforms.errors import RefusedError
from bedrock_sluice.transforms.rights.exclusions import find_excluded, tabulate
from bedrock_sluice.transforms.rights.rules import subjects_of
from bedrock_sluice.transforms.rights.settings import SUBJECTS, Exclusion
from bedrock_sluice.transforms.rights.tombstones import find_forgotten

_S3 = "s3://"
_COLUMNS: dict[str, pl.DataType] = {
    "request_id": pl.String(),
    "timestamp": pl.Datetime("us", "UTC"),
    **dict.fromkeys(SUBJECTS, pl.String()),
}
_SUBJECTS = pl.Schema(_COLUMNS)


def check_rights(
    release: Release, recipe_of_build: Recipe, current: Recipe | None, base: Path | None
) -> None:
    """See that every line of a release may still be used.

    `current` is the recipe as it is now, and `base` its folder; None stands for that of the build.

    Raises:
        RefusedError: records were forgotten or excluded since, `[rights]` asks for something else
            than in the build, or the rights of a line can't be checked.
        ConfigError: an exclusion list is broken.
    """
    ids = _line_ids(release)
    digests = read_digests(release.lake)
    if digests and (number := sum(find_forgotten(ids, digests))):
        raise RefusedError(
            f"{release.uri} has lines of records that were forgotten since it was built "
            f"({number:,}); build again, and approve the new release"
        )
    rights = (current or recipe_of_build).rights
    if current and _rules(current.rights) != _rules(recipe_of_build.rights):
        raise RefusedError(
            f"{release.uri} was built with another [rights] than the recipe has now; build again, "
            "and approve the new release"
        )
    if rights is None:
        return
    exclusions = _read_all(release, rights, base)
    recipe = current or recipe_of_build
    if exclusions and (number := _count_excluded(release, recipe, ids, exclusions)):
        raise RefusedError(
            f"{release.uri} has lines of records that are excluded by now ({number:,}); build "
            "again, and approve the new release"
        )


def check_region(rights: RightsSection | None, region: str) -> None:
    """See that a job may run in a Region.

    Raises:
        RefusedError: `[rights]` does not list it.
    """
    if rights and rights.regions and region not in rights.regions:
        raise RefusedError(
            f"the job would run in {region}, but regions of [rights] has only "
            f"{', '.join(rights.regions)}; set region in [train]"
        )


def _rules(rights: RightsSection | None) -> RightsSection | None:
    """Return what is asked of each record besides the exclusions, which are compared by line."""
    return rights and rights.model_copy(update={"exclude": (), "exclude_files": ()})


def _line_ids(release: Release) -> pl.Series:
    if PROVENANCE_FILE not in release.manifest.files:  # of an older version, refused elsewhere
        return pl.Series("request_id", [], pl.String)
    rows = pl.read_parquet(release.file(PROVENANCE_FILE), columns=["request_id"])
    return rows["request_id"]


def _read_all(release: Release, rights: RightsSection, base: Path | None) -> list[Exclusion]:
    files = rights.exclude_files
    if base is None and any(not uri.startswith((_S3, "/")) for uri in files):
        raise RefusedError(
            f"the exclusion lists of {release.uri} have paths relative to its recipe; name the "
            "recipe with --recipe, so that they are read as they are now"
        )
    lists = [read_exclusions(uri, base or Path.cwd(), rights.subjects()) for uri in files]
    return [*rights.exclusions(), *(each for table in lists for each in table.exclusions)]


def _count_excluded(
    release: Release, recipe: Recipe, ids: pl.Series, exclusions: Sequence[Exclusion]
) -> int:
    """Count the lines that an entry excludes, by the landed rows of their records."""
    assert recipe.rights is not None
    derivations = [Derivation(**rule.model_dump()) for rule in recipe.derive]
    matches = find_rows(
        release.lake,
        lambda frame: frame["request_id"].is_in(ids.implode()),
        {*SCAN_COLUMNS, *columns_needed(derivations)},
    )
    columns = ["request_id", *subjects_of(recipe.rights.rules())]
    rows = [derive_tags(match.rows, derivations).select(columns) for match in matches]
    frame = pl.concat([pl.DataFrame(schema=_SUBJECTS), *rows])
    if missing := ids.n_unique() - frame["request_id"].n_unique():
        raise RefusedError(
            f"{release.uri} has lines whose records are not landed any more ({missing:,}), so "
            "their exclusions cannot be checked; pull them again, or build again"
        )
    is_excluded = find_excluded(frame, tabulate(exclusions)).is_not_null()
    return frame.filter(is_excluded)["request_id"].n_unique()
