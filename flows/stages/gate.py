"""The stage `gate`: the suites of checks, run over the logs, the exchanges and the lines."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import polars as pl

from bedrock_sluice.expectations.build_measures import (
    LogFacts,
    measure_drift,
    measure_drops,
    measure_exchanges,
    measure_landed,
)
from bedrock_sluice.expectations.checks import Check
from bedrock_sluice.expectations.limits import gate_limits
from bedrock_sluice.expectations.measures import (
    DecodedLines,
    LineRequirements,
    decode_lines,
    measure_leakage,
    measure_lines,
    measure_readiness,
    measure_regions,
    measure_sources,
    measure_split,
)
from bedrock_sluice.expectations.suite import CheckSettings, load_suite
from bedrock_sluice.expectations.user_suite import PROVENANCE_COLUMNS
from bedrock_sluice.flows.context import BuildContext
from bedrock_sluice.flows.review.baseline import baseline_lines
from bedrock_sluice.flows.rights.records import regions_of
from bedrock_sluice.flows.running.suite_process import SuiteRun, evaluate_suites
from bedrock_sluice.flows.stages.grade import GradeResult
from bedrock_sluice.flows.stages.split import split_similarity
from bedrock_sluice.lake.logs.source import hour_of
from bedrock_sluice.lake.releases.release import Release
from bedrock_sluice.rewards.conformance.line_rules import LineRules
from bedrock_sluice.transforms.dedup.contamination import index_evaluation
from bedrock_sluice.transforms.facts.release_facts import (
    AnswerFacts,
    CountByName,
    LeakageCertificate,
    StageCounts,
)
from bedrock_sluice.transforms.reasons import Reason
from bedrock_sluice.transforms.review.drift import drift_lines


@dataclass(frozen=True, slots=True, kw_only=True)
class GateInput:
    """What the gate judges: the `lines` as they were rendered, and what led to them.

    `grading` are the results of the grader, if it was run; `answers` are the facts of the stage
    `answer`; `baseline` is the approved release that drift is measured against, if there is one.
    """

    lines: pl.DataFrame
    stages: Sequence[StageCounts]
    grading: GradeResult | None
    answers: AnswerFacts
    records_without_metadata: int
    baseline: Release | None


@dataclass(frozen=True)
class GateResult:
    """The checks with their results, and counts for the manifest and the report.

    `failing_ids` are the ids of all that breaks a check, by its name.
    """

    checks: list[Check]
    failing_ids: Mapping[str, Sequence[str]]
    leakage: LeakageCertificate
    lines_by_source: CountByName


class _Rows(NamedTuple):
    """The rows of a table, and their ids if they have any."""

    measures: pl.DataFrame
    ids: pl.Series | None = None


def gate(context: BuildContext, subject: GateInput) -> GateResult:
    """Run the suites over the lines as they were rendered, and over what led to them."""
    lines, recipe = subject.lines, context.recipe
    decoded_lines = decode_lines(lines["json"])
    leaks = _measure_leakage(context, lines, decoded_lines)
    ids = lines["request_id"]
    tables = {
        **_log_tables(context, subject),
        "lines": _Rows(measure_lines(decoded_lines, _requirements(context)), ids),
        "split": _Rows(_measure_split(context, subject)),
        "leakage": _Rows(leaks, ids),
        **_optional_tables(context, subject),
    }
    limits = gate_limits(
        lines,
        evictions=_count(subject, Reason.SPLIT_JOINED_VALIDATION),
        validation=recipe.split.validation,
        max_prompt_tokens=recipe.curate.max_prompt_tokens,
    )
    settings = recipe.checks.settings() if recipe.checks else CheckSettings()
    runs = [
        SuiteRun(settings.apply(load_suite(name)), rows.measures, limits, rows.ids)
        for name, rows in tables.items()
    ]
    tables["lines"] = _with_provenance(tables["lines"], lines)
    runs += _user_runs(context, tables)
    results = evaluate_suites(runs)
    certificate = LeakageCertificate(
        exact=int(leaks["exact"].sum()),
        prefix=int(leaks["prefix"].sum()),
        near=int(leaks["near"].sum()),
        group=lines.filter(leaks["group"])["group"].n_unique(),
        evaluation=int(leaks["evaluated"].sum()),
    )
    by_source = lines["reference_source"].value_counts().sort("reference_source")
    return GateResult(
        checks=[result.check for result in results],
        failing_ids={each.check.name: each.failing_ids for each in results if each.failing_ids},
        leakage=certificate,
        lines_by_source=dict(by_source.iter_rows()),
    )


def _requirements(context: BuildContext) -> LineRequirements:
    privacy, template = context.recipe.privacy, context.template
    rules = LineRules(context.profiles)
    return LineRequirements(
        accepts=template.accepts,
        conforms=lambda line: rules.first_error(line) is None,
        marker=template.marker,
        private=frozenset(privacy.kinds_to("mask") + privacy.kinds_to("drop")),
    )


def _measure_leakage(
    context: BuildContext, lines: pl.DataFrame, decoded_lines: DecodedLines
) -> pl.DataFrame:
    sets = context.evaluation.items["text"]
    index = index_evaluation(sets) if len(sets) else None
    return measure_leakage(lines, decoded_lines, split_similarity(context), index, context.marks)


def _measure_split(context: BuildContext, subject: GateInput) -> pl.DataFrame:
    evictions = _count(subject, Reason.SPLIT_JOINED_VALIDATION)
    unfit = _count(subject, Reason.RENDER_UNFIT)
    return measure_split(subject.lines, context.recipe.split.validation, evictions, unfit)


def _log_tables(context: BuildContext, subject: GateInput) -> dict[str, _Rows]:
    hours = [hour_of(each.key) for each in context.landed.objects()]
    logs = LogFacts(
        hours=[hour for hour in hours if hour],
        records_without_metadata=subject.records_without_metadata,
    )
    tables = {
        "landed": _Rows(measure_landed(subject.stages, logs)),
        "exchanges": _Rows(measure_exchanges(subject.stages)),
    }
    drops, reasons = measure_drops(subject.stages)
    return {**tables, "drops": _Rows(drops, reasons)} if drops.height else tables


def _optional_tables(context: BuildContext, subject: GateInput) -> dict[str, _Rows]:
    """Return the tables that not all builds have."""
    lines, rights = subject.lines, context.recipe.rights
    tables = dict[str, _Rows]()
    if subject.grading:
        findings = [finding.name for finding in subject.grading.readiness.findings]
        tables["readiness"] = _Rows(measure_readiness(findings))
    if subject.answers.sources:
        names = pl.Series(list(subject.answers.sources))
        tables["answers"] = _Rows(measure_sources(subject.answers), names)
    if rights and rights.fails_other_regions:
        regions = measure_regions(regions_of(context, lines), rights.regions)
        tables["rights"] = _Rows(regions, lines["request_id"])
    if subject.baseline:
        before = baseline_lines(subject.baseline)
        tables["drift"] = _Rows(measure_drift(before, drift_lines(lines["json"], lines)))
    return tables


def _with_provenance(rows: _Rows, lines: pl.DataFrame) -> _Rows:
    columns = [lines[name].cast(kind) for name, kind in PROVENANCE_COLUMNS.items()]
    return _Rows(rows.measures.hstack(columns), rows.ids)


def _user_runs(context: BuildContext, tables: Mapping[str, _Rows]) -> Iterator[SuiteRun]:
    for file in context.suites:
        rows = tables[file.suite.meta["table"]]
        yield SuiteRun(file.suite, rows.measures, {}, rows.ids)


def _count(subject: GateInput, reason: Reason) -> int:
    """Return the number of records that were dropped for a reason."""
    return sum(stage.rejected.get(reason, 0) for stage in subject.stages)
