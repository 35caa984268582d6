"""The facts that papers state: from the files of a release, its recipe and its training jobs."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import polars as pl

from bedrock_sluice.flows.papers.field_shapes import FieldShape, read_shapes
from bedrock_sluice.flows.recipe import Recipe
from bedrock_sluice.flows.recipe.build_recipe import recipe_of
from bedrock_sluice.flows.recipe.papers_section import PapersSection
from bedrock_sluice.lake.releases.jobs import JobRecord, read_jobs
from bedrock_sluice.lake.releases.manifest import FileFacts, Manifest
from bedrock_sluice.lake.releases.release import Release
from bedrock_sluice.transforms.chat.tokens import BYTES_PER_TOKEN
from bedrock_sluice.transforms.derived_metadata import model_name
from bedrock_sluice.transforms.errors import ConfigError
from bedrock_sluice.transforms.split import TRAIN, VALIDATION

SIDES = (TRAIN, VALIDATION)
PROVENANCE = "provenance.parquet"


@dataclass(frozen=True, slots=True, kw_only=True)
class PaperFacts:
    """What papers are made of.

    `data_files` are those of the dataset that have lines, by side. `models` are those that the
    lines were logged with, without account ids, and their numbers of lines. `first` and `last` are
    the times of the first and the last record that became a line. `train_tokens` is an estimate.
    """

    manifest: Manifest
    manifest_sha256: str
    recipe: Recipe
    settings: PapersSection
    data_files: Mapping[str, FileFacts]
    fields: Mapping[str, FieldShape]
    models: list[tuple[str, int]]
    first: datetime | None
    last: datetime | None
    train_tokens: int
    jobs: list[JobRecord]

    @property
    def title(self) -> str:
        """The title that the recipe gives, or its name."""
        return self.settings.title or self.manifest.name

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages that the recipe states, or those that it selects."""
        return self.settings.languages or self.recipe.quality.languages

    @property
    def lines(self) -> int:
        """The number of lines of both sides."""
        return self.manifest.counts.train + self.manifest.counts.validation


def find_facts(release: Release, current: Recipe | None = None) -> PaperFacts:
    """Read the facts of a release; `[papers]` is that of the `current` recipe, or of the build.

    Raises:
        ConfigError: `current` is the recipe of another dataset.
        IntegrityError: A file of the release is missing, or is not what was written.
    """
    recipe = recipe_of(release)
    if current and current.name != recipe.name:
        raise ConfigError(
            f"{release.uri} is a release of the recipe {recipe.name}, not of {current.name}",
            hint="name the recipe that the release was built from",
        )
    settings = (current or recipe).papers or PapersSection()
    files = release.verify()
    paths = {side: files[f"{side}.jsonl"] for side in SIDES if f"{side}.jsonl" in files}
    models, first, last = _read_provenance(files.get(PROVENANCE))
    return PaperFacts(
        manifest=release.manifest,
        manifest_sha256=release.manifest_sha256,
        recipe=recipe,
        settings=settings,
        data_files={
            side: facts
            for side in paths
            if (facts := release.manifest.files[f"{side}.jsonl"]).bytes
        },
        fields=read_shapes(paths.values()),
        models=models,
        first=first,
        last=last,
        train_tokens=paths[TRAIN].stat().st_size // BYTES_PER_TOKEN if TRAIN in paths else 0,
        jobs=read_jobs(release.lake, release.manifest.digest),
    )


def _read_provenance(
    path: Path | None,
) -> tuple[list[tuple[str, int]], datetime | None, datetime | None]:
    """Return the models with their numbers of lines, and the times of the first and last record."""
    columns = pl.read_parquet_schema(path) if path else {}
    if path is None or not {"model_id", "timestamp"} <= columns.keys():  # of an older version
        return [], None, None
    rows = pl.read_parquet(path, columns=["model_id", "timestamp"], glob=False)
    models = rows.group_by(model_name(pl.col("model_id"))).len()
    counts = models.sort("len", "model_id", descending=[True, False])
    first, last = rows.select(first=pl.min("timestamp"), last=pl.max("timestamp")).row(0)
    return counts.rows(), first, last
