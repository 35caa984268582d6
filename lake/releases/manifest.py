"""The manifest of a release: what it was built from, what happened to the records, and its files.

`manifest.json` is a public file, and `docs/release.md` describes every field. A field is added,
renamed or removed only together with `SCHEMA_VERSION`. No clock is read for it, so that the same
build writes the same bytes.
"""

from typing import Annotated, Any, Final, Literal

import msgspec

from bedrock_sluice.transforms.facts.readiness_facts import ReadinessFacts
from bedrock_sluice.transforms.facts.release_facts import (
    AnswerFacts,
    Counts,
    CurationFacts,
    LeakageCertificate,
    MetadataFacts,
    StageCounts,
    UnknownShape,
)
from bedrock_sluice.transforms.facts.rights_facts import RightsFacts

SCHEMA_VERSION: Final = 3

Digest = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
FileName = Annotated[str, msgspec.Meta(pattern=r"^[a-z]+\.[a-z]+$")]
Verdict = Literal["passed", "rejected"]
RecipeDump = dict[str, Any]
"""A recipe with all defaults, as JSON values; `flows.recipe.Recipe` reads it."""


class FileFacts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The SHA-256 and the size in bytes of one file of a release."""

    sha256: Digest
    bytes: Annotated[int, msgspec.Meta(ge=0)]


class InputObject(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A log object that was read: its key relative to the source, its size in bytes, its content.

    `etag` is that of S3; it is None for a file, whose time of change a copy does not keep.
    """

    object: str
    size: int
    etag: str | None
    sha256: str


class Inputs(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The files that a build reads besides its recipe; equal inputs give equal lines.

    Label and feedback tables are in the order of the recipe, evaluation sets by their path or URI
    in it. `grader_sha256` is the digest of the file of a local grader, None without one.
    Exclusion lists are in the order of the recipe. `forgotten_sha256` is the digest of the places
    (log object and line) of forgotten records of the window, None without any.
    `reviews_sha256` are the digests of the reviews in the lake, in ascending order.
    `suites_sha256` are those of the recipe's own suites of checks, in its order.
    """

    objects: list[InputObject] = []
    labels_sha256: list[str] = []
    feedback_sha256: list[str] = []
    evaluation_sha256: dict[str, str] = {}
    grader_sha256: str | None = None
    exclusions_sha256: list[str] = []
    forgotten_sha256: str | None = None
    reviews_sha256: list[str] = []
    suites_sha256: list[str] = []


class DecisionsHead(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many decisions there were about releases of a name, and the SHA-256 of the last record.

    A record that is changed or removed later is noticed by it.
    """

    count: Annotated[int, msgspec.Meta(ge=1)]
    sha256: Digest


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The content of `manifest.json`.

    `id` is `<until-date>-<first 12 digits of the digest>`, and `digest` covers `recipe_digest` and
    all files that hold data. `recipe_digest` covers the part of the recipe that decides the lines.
    `parent` is the id of the newest earlier release with the same name and `split_rules`, the
    digest of the rules of the split. `delivered_later` counts log objects that came too late to be
    read. `earlier_releases` are the ids of those whose split was continued, `trained_before` of
    those whose prompts were dropped because jobs of the lineage were trained on them.
    `drift_baseline` is the id of the approved release that drift was measured from. `readiness`
    is None if the build did not run the grader, `rights` if the recipe has no such section,
    `decisions` if there were none before the build. `versions` are those of Python, Sluice and the
    libraries that decide bytes. Version 3 has fields in addition to version 2, which are absent
    there.
    """

    schema_version: Literal[2, 3] = SCHEMA_VERSION
    name: str
    id: str
    digest: Digest
    parent: str | None = None
    verdict: Verdict
    recipe: RecipeDump
    recipe_digest: Digest
    split_rules: str = ""
    inputs: Inputs = Inputs()
    delivered_later: int = 0
    earlier_releases: list[str] = []
    trained_before: list[str] = []
    drift_baseline: str | None = None
    counts: Counts = Counts()
    stages: list[StageCounts] = []
    metadata: MetadataFacts = MetadataFacts()
    unknown_shapes: list[UnknownShape] = []
    curation: CurationFacts = CurationFacts()
    answers: AnswerFacts = AnswerFacts()
    leakage: LeakageCertificate = LeakageCertificate()
    readiness: ReadinessFacts | None = None
    rights: RightsFacts | None = None
    decisions: DecisionsHead | None = None
    files: dict[FileName, FileFacts]
    versions: dict[str, str] = {}
