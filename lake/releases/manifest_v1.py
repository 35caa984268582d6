"""Manifests of version 1, which have `"format": 1` instead of a `schema_version`.

A release never changes, so that its manifest keeps the version in which it was written.
"""

from typing import Literal

import msgspec

from bedrock_sluice.lake.releases.manifest import (
    Digest,
    FileFacts,
    FileName,
    InputObject,
    Inputs,
    Manifest,
    RecipeDump,
    Verdict,
)
from bedrock_sluice.transforms.facts.readiness_facts import ReadinessFacts
from bedrock_sluice.transforms.facts.release_facts import (
    AnswerFacts,
    CountByName,
    Counts,
    CurationFacts,
    LabelConflicts,
    LeakageCertificate,
    MetadataFacts,
    SourceUsage,
    StageCounts,
    TableRows,
    UnknownShape,
)


class StageCountsV1(msgspec.Struct, frozen=True):
    """`StageCounts` of version 1."""

    stage: str
    taken: int
    kept: int
    rejected: CountByName


class LabelConflictsV1(msgspec.Struct, frozen=True):
    """`LabelConflicts` of version 1."""

    prompts: int
    largest: int


class SourceUsageV1(msgspec.Struct, frozen=True):
    """`SourceUsage` of version 1; a source that is not a table has `prompts` alone."""

    prompts: int
    rows: int | None = None
    used: int = 0
    unused: int = 0
    not_selected: int = 0
    unknown: int = 0
    unreadable: int = 0
    late: int = 0
    undated: int = 0

    def upgrade(self) -> SourceUsage:
        """Return it in the current schema."""
        if self.rows is None:
            return SourceUsage(self.prompts)
        rows = TableRows(
            rows=self.rows,
            with_effect=self.used,
            without_effect=self.unused,
            not_selected=self.not_selected,
            unknown=self.unknown,
            unreadable=self.unreadable,
            late=self.late,
            without_time=self.undated,
        )
        return SourceUsage(self.prompts, rows)


class LeakageCertificateV1(msgspec.Struct, frozen=True, kw_only=True):
    """`LeakageCertificate` of version 1."""

    exact: int = 0
    prefix: int = 0
    near: int = 0
    group: int = 0
    evaluated: int = 0


class ManifestV1(msgspec.Struct, frozen=True, kw_only=True):
    """The content of a `manifest.json` of version 1.

    Fields that came late in the life of version 1 have the values by which they are absent.
    """

    name: str
    id: str
    digest: Digest
    parent: str | None = None
    verdict: Verdict
    recipe: RecipeDump
    recipe_digest: Digest
    split_rules: str = ""
    inputs: list[InputObject] = []
    labels_sha256: list[str] = []
    feedback_sha256: list[str] = []
    evaluation_sha256: dict[str, str] = {}
    grader_sha256: str | None = None
    delivered_later: int = 0
    earlier_releases: list[str] = []
    trained_before: list[str] = []
    counts: Counts = Counts()
    stages: list[StageCountsV1] = []
    tags: CountByName = {}
    untagged: int = 0
    matched_without_key: int = 0
    unknown_shapes: list[UnknownShape] = []
    inspected: int = 0
    personal_data: CountByName = {}
    hidden_characters: int = 0
    bidi_characters: int = 0
    alike_with_other_labels: LabelConflictsV1 | None = None
    answerable: int = 0
    answer_sources: dict[str, SourceUsageV1] = {}
    answers_by_source: CountByName = {}
    instructed: int = 0
    certificate: LeakageCertificateV1 = LeakageCertificateV1()
    readiness: ReadinessFacts | None = None
    files: dict[FileName, FileFacts]
    format: Literal[1]
    versions: dict[str, str] = {}

    def upgrade(self) -> Manifest:
        """Return it in the current schema."""
        alike, leaks = self.alike_with_other_labels, self.certificate
        conflicts = LabelConflicts(alike.prompts, alike.largest) if alike else None
        return Manifest(
            name=self.name,
            id=self.id,
            digest=self.digest,
            parent=self.parent,
            verdict=self.verdict,
            recipe=self.recipe,
            recipe_digest=self.recipe_digest,
            split_rules=self.split_rules,
            inputs=Inputs(
                objects=self.inputs,
                labels_sha256=self.labels_sha256,
                feedback_sha256=self.feedback_sha256,
                evaluation_sha256=self.evaluation_sha256,
                grader_sha256=self.grader_sha256,
            ),
            delivered_later=self.delivered_later,
            earlier_releases=self.earlier_releases,
            trained_before=self.trained_before,
            counts=self.counts,
            stages=[
                StageCounts(
                    stage=each.stage, input=each.taken, kept=each.kept, rejected=each.rejected
                )
                for each in self.stages
            ],
            metadata=MetadataFacts(
                records_by_key=self.tags,
                without_keys=self.untagged,
                matched_without_key=self.matched_without_key,
            ),
            unknown_shapes=self.unknown_shapes,
            curation=CurationFacts(
                prompts=self.inspected,
                personal_data=self.personal_data,
                hidden_characters=self.hidden_characters,
                bidi_characters=self.bidi_characters,
                label_conflicts=conflicts,
            ),
            answers=AnswerFacts(
                prompts=self.answerable,
                sources={name: usage.upgrade() for name, usage in self.answer_sources.items()},
                lines_by_source=self.answers_by_source,
                lines_with_instruction=self.instructed,
            ),
            leakage=LeakageCertificate(
                exact=leaks.exact,
                prefix=leaks.prefix,
                near=leaks.near,
                group=leaks.group,
                evaluation=leaks.evaluated,
            ),
            readiness=self.readiness,
            files=self.files,
            versions=self.versions,
        )
