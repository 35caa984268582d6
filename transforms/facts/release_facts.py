"""What a build counts about its records, prompts and lines: parts of the manifest and the report.

`manifest.json` is a public file, and `docs/release.md` describes each of these fields. A field is
added, renamed or removed only together with the manifest's `SCHEMA_VERSION`.
"""

import msgspec

CountByName = dict[str, int]


class Counts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the records went: `records` is the sum of all other numbers.

    `train` and `validation` are lines; `dropped` and `quarantined` are records by reason.
    """

    records: int = 0
    train: int = 0
    validation: int = 0
    dropped: CountByName = {}
    quarantined: CountByName = {}


class StageCounts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The records or prompts of one stage: `input` is the sum of `kept` and of all `rejected`.

    `rejected` has the numbers of dropped and of quarantined records, by reason.
    """

    stage: str
    input: int
    kept: int
    rejected: CountByName


class UnknownShape(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The shape of bodies that no reader recognises: `request → response`, keys without content."""

    shape: str
    records: int


class MetadataFacts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which request metadata the records of the window have.

    `without_keys` are records that have none at all; `matched_without_key` are selected records
    that matched `notEquals` or `not` only because they do not have the key.
    """

    records_by_key: CountByName = {}
    without_keys: int = 0
    matched_without_key: int = 0


class LabelConflicts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Prompts that are near duplicates but have different labels, and the largest cluster."""

    prompts: int
    largest_cluster: int


class CurationFacts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was found in the texts of prompts, before masking.

    `prompts` are those that were measured, after exact duplicates were dropped. `personal_data`
    are prompts by the kind of personal data or secret. `hidden_characters` and `bidi_characters`
    are prompts that have such characters. `label_conflicts` is None if the recipe does not look for
    near duplicates.
    """

    prompts: int = 0
    personal_data: CountByName = {}
    hidden_characters: int = 0
    bidi_characters: int = 0
    label_conflicts: LabelConflicts | None = None


class TableRows(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the rows of labels or feedback were used: each of `rows` is in one other number.

    Rows `with_effect` gave an answer, or rejected the logged one; those `without_effect` contradict
    another row, or an earlier source had the answer. `not_selected` rows are for records of the
    logs that need no answer, `unknown` rows for none of the logs. `unreadable` rows have no answer
    that the template reads. `late` rows were given after `labelled_before`; with it, rows
    `without_time` do not count either.
    """

    rows: int
    with_effect: int
    without_effect: int
    not_selected: int
    unknown: int
    unreadable: int
    late: int
    without_time: int


class SourceUsage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many prompts have an answer in a source, and how its rows were used if it is a table."""

    prompts: int
    table: TableRows | None = None


class AnswerFacts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the reference answers come from.

    `prompts` needed an answer. `sources` are the sources that people maintain (labels, feedback,
    metadata). `lines_by_source` are lines of the release by the source of their answer, and
    `lines_with_instruction` those whose prompt asks for the form of the answer because of
    `[template] instruct`.
    """

    prompts: int = 0
    sources: dict[str, SourceUsage] = {}
    lines_by_source: CountByName = {}
    lines_with_instruction: int = 0


class LeakageCertificate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Overlap of train with validation, counted from the lines; the gate passes only zeros.

    `exact`: lines of train that ask what a line of validation asks; `prefix`: lines that begin a
    line of the other side; `near`: lines of train that are near duplicates of a line of validation;
    `group`: groups on both sides; `evaluation`: lines of either side that overlap an evaluation
    set.
    """

    exact: int = 0
    prefix: int = 0
    near: int = 0
    group: int = 0
    evaluation: int = 0
