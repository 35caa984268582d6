"""The last step of a build: write the files of a release, and publish them whole."""

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
from msgspec.structs import replace

from bedrock_sluice.expectations.checks import FAILURES, encode_checks, encode_failures, is_passed
from bedrock_sluice.expectations.pages.charts import use_renderer
from bedrock_sluice.flows.context import BuildContext
from bedrock_sluice.flows.recipe import Recipe
from bedrock_sluice.flows.review.history import write_index
from bedrock_sluice.flows.review.report import report_of_draft
from bedrock_sluice.flows.running.suite_process import render_chart
from bedrock_sluice.flows.stages.gate import GateResult
from bedrock_sluice.flows.stages.lineage import inputs_of
from bedrock_sluice.lake.logs.source import partition_of
from bedrock_sluice.lake.releases.decisions import decisions_head, read_decisions
from bedrock_sluice.lake.releases.manifest import Manifest
from bedrock_sluice.lake.releases.manifest_file import decode_manifest, encode_manifest
from bedrock_sluice.lake.releases.release import (
    MANIFEST,
    REPORT,
    SCORES,
    SLICES,
    Release,
    draft_manifest,
    file_digests,
    file_facts,
    list_manifests,
    newest_release,
    release_uri,
)
from bedrock_sluice.lake.releases.release import publish as publish_files
from bedrock_sluice.lake.stores.store import Store
from bedrock_sluice.transforms.facts.readiness_facts import ReadinessFacts
from bedrock_sluice.transforms.facts.release_facts import (
    AnswerFacts,
    CurationFacts,
    MetadataFacts,
    StageCounts,
)
from bedrock_sluice.transforms.facts.rights_facts import RightsFacts
from bedrock_sluice.transforms.privacy.detection import mask_personal_data
from bedrock_sluice.transforms.release_content import (
    count_fates,
    encode_lines,
    provenance_of,
    scores_of,
    unknown_shapes,
)
from bedrock_sluice.transforms.review.slices import mask_slices
from bedrock_sluice.transforms.split import TRAIN, VALIDATION

ROW_GROUP_ROWS = 1 << 20  # of files of a release
OPEN_DATE = "0000-00-00"  # of logs that do not lie in folders by the hour
LIBRARIES = (
    *("duckdb", "great-expectations", "jinja2", "jmespath", "jsonschema", "msgspec", "numpy"),
    *("polars", "pyarrow", "python-stdnum", "scipy"),
)
LANGUAGE_LIBRARY = "py3langid"  # of the extra `language`


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildFacts:
    """What the stages before the gate state about a build: see the fields of `Manifest`."""

    delivered_later: int
    earlier_releases: list[str]
    trained_before: list[str]
    metadata: MetadataFacts
    curation: CurationFacts
    answers: AnswerFacts
    rights: RightsFacts | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The result of a build: its lines, the fate of every record, the checks, and the facts.

    `slices` is for reviewers (`slices.SLICES`); `scores` are `readiness.GRADER_RESULTS`, if a
    grader was tried; `drift_baseline` is the id of the release that drift was measured from.
    """

    lines: pl.DataFrame
    fates: pl.DataFrame
    stages: Sequence[StageCounts]
    facts: BuildFacts
    slices: pl.DataFrame
    gate_result: GateResult
    readiness: ReadinessFacts | None
    scores: pl.DataFrame | None
    drift_baseline: str | None


@dataclass(frozen=True, slots=True)
class Draft:
    """A release that is about to be published in a lake: its files lie in a folder."""

    lake: Store
    manifest: Manifest
    folder: Path

    @property
    def uri(self) -> str:
        """Where it will be published."""
        return release_uri(self.lake, self.manifest)

    @property
    def is_passed(self) -> bool:
        """Whether the gate let it through."""
        return self.manifest.verdict == "passed"

    @property
    def is_published(self) -> bool:
        """Whether the same release was published before."""
        manifests = list_manifests(self.lake, self.manifest.name)
        return any(f"/{self.manifest.id}/" in entry.key for entry in manifests)

    def file(self, name: str) -> Path:
        """Return one of its files."""
        return self.folder / name


def draft(context: BuildContext, outcome: Outcome) -> Draft:
    """Write the files of an outcome into the work folder, all but its report."""
    files = _write(context, outcome)
    manifest = _manifest(context, outcome, files)
    # As it is read back, with its keys in order: so the page is the same whenever it is made.
    as_published = decode_manifest(encode_manifest(manifest), MANIFEST)
    return Draft(context.lake, as_published, context.work)


def publish(context: BuildContext, outcome: Outcome) -> Release:
    """Write an outcome as a release; the same outcome publishes the same one."""
    release_draft = draft(context, outcome)
    manifest = release_draft.manifest
    report = release_draft.file(REPORT)
    with use_renderer(render_chart):
        report.write_text(report_of_draft(release_draft), encoding="utf-8")
        all_facts = {**manifest.files, REPORT: file_facts(report)}
        files = {name: release_draft.file(name) for name in all_facts}
        release = publish_files(context.lake, replace(manifest, files=all_facts), files)
        write_index(context.lake, release.name)
    return release


def _manifest(context: BuildContext, outcome: Outcome, files: Mapping[str, Path]) -> Manifest:
    """Return the manifest of all files but the report, which is made from it."""
    facts, gate_result = outcome.facts, outcome.gate_result
    draft = draft_manifest(
        name=context.recipe.name,
        until=_until(context),
        recipe=context.recipe.dump(),
        recipe_digest=context.recipe.digest(),
        files=file_digests(files),
        verdict="passed" if is_passed(gate_result.checks) else "rejected",
    )
    return replace(
        draft,
        parent=_parent(context, draft.id),
        split_rules=context.recipe.split_rules(),
        inputs=inputs_of(context),
        delivered_later=facts.delivered_later,
        earlier_releases=facts.earlier_releases,
        trained_before=facts.trained_before,
        drift_baseline=outcome.drift_baseline,
        counts=count_fates(outcome.fates),
        stages=list(outcome.stages),
        metadata=facts.metadata,
        unknown_shapes=unknown_shapes(outcome.fates),
        curation=facts.curation,
        answers=replace(facts.answers, lines_by_source=gate_result.lines_by_source),
        leakage=gate_result.leakage,
        readiness=outcome.readiness,
        rights=facts.rights,
        decisions=decisions_head(read_decisions(context.lake, context.recipe.name)),
        versions=_versions(context),
    )


def _write(context: BuildContext, outcome: Outcome) -> dict[str, Path]:
    """The files of the release in the work folder, by name: all but its report."""
    lines = outcome.lines
    texts = {
        "train.jsonl": encode_lines(lines, TRAIN),
        "validation.jsonl": encode_lines(lines, VALIDATION),
        "checks.json": encode_checks(outcome.gate_result.checks),
    }
    if failing_ids := outcome.gate_result.failing_ids:
        texts[FAILURES] = encode_failures(failing_ids)
    for name, content in texts.items():
        (context.work / name).write_bytes(content)
    salt = context.recipe.split.salt
    tables = {
        "fates.parquet": outcome.fates,
        "provenance.parquet": provenance_of(lines, salt),
        SLICES: _slices(context.recipe, outcome.slices),
    }
    if outcome.scores is not None:
        tables[SCORES] = scores_of(outcome.scores, lines)
    for name, frame in tables.items():
        _write_parquet(frame, context.work / name)
    return {name: context.work / name for name in (*texts, *tables)}


def _write_parquet(frame: pl.DataFrame, path: Path) -> None:
    """Write a frame, a row group at a time: in Arrow, it takes several times the memory."""
    schema = frame.clear().to_arrow().schema
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for start in range(0, max(1, frame.height), ROW_GROUP_ROWS):
            writer.write_table(frame.slice(start, ROW_GROUP_ROWS).to_arrow())


def _slices(recipe: Recipe, slices: pl.DataFrame) -> pl.DataFrame:
    """Return the slices as the recipe shows them: a later page cannot show more than that."""
    if recipe.report.content == "full":
        return slices
    return mask_slices(slices, partial(mask_personal_data, key=recipe.split.salt))


def _until(context: BuildContext) -> str:
    """The date in a release's id: the end of the window, or the day of the last delivery."""
    if context.recipe.window.until:
        return f"{context.recipe.window.until:%Y-%m-%d}"
    hours = [
        partition_of(landed_object.key).split("/")[2:5]
        for landed_object in context.landed.objects()
    ]
    return "-".join(max(hours)) or OPEN_DATE


def _versions(context: BuildContext) -> dict[str, str]:
    names = ["bedrock-sluice", *LIBRARIES]
    if context.recipe.quality.languages:
        names.append(LANGUAGE_LIBRARY)
    library_versions = {name: version(name) for name in names}
    return {"python": platform.python_version(), **library_versions}


def _parent(context: BuildContext, release_id: str) -> str | None:
    """Return the newest release of the same dataset: of this name, and split by the same rules."""
    rules = context.recipe.split_rules()
    parent = newest_release(
        context.lake, context.recipe.name, lambda manifest: manifest.split_rules == rules
    )
    return parent.id if parent and parent.id != release_id else None
