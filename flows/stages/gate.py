"""The stage `gate`: the suites of checks, run over the rendered lines."""

from collections.abc import Callable
from dataclasses import dataclass

import polars as pl

from bedrock_sluice.expectations.checks import Check
from bedrock_sluice.expectations.limits import gate_limits
from bedrock_sluice.expectations.measures import (
    LineRequirements,
    decode_lines,
    measure_leakage,
    measure_lines,
    measure_readiness,
    measure_regions,
    measure_sources,
    measure_split,
)
from bedrock_sluice.flows.context import BuildContext
from bedrock_sluice.flows.rights.records import regions_of
from bedrock_sluice.flows.running.suite_process import SuiteRun, evaluate_suites
from bedrock_sluice.flows.stages.grade import GradeResult
from bedrock_sluice.flows.stages.split import split_similarity
from bedrock_sluice.rewards.conformance.line_rules import LineRules
from bedrock_sluice.transforms.dedup.contamination import index_evaluation
from bedrock_sluice.transforms.facts.release_facts import (
    AnswerFacts,
    CountByName,
    LeakageCertificate,
)
from bedrock_sluice.transforms.reasons import Reason


@dataclass(frozen=True)
class GateResult:
    """The checks with their results, and counts for the manifest and the report."""

    checks: list[Check]
    leakage: LeakageCertificate
    lines_by_source: CountByName


def gate(
    context: BuildContext,
    lines: pl.DataFrame,
    count: Callable[[Reason], int],
    grading: GradeResult | None,
    answers: AnswerFacts,
) -> GateResult:
    """Run the suites over the lines as they were rendered.

    `count` gives the number of records that were dropped for a reason; `grading` are the results of
    the grader, if it was run; `answers` are the facts of the stage `answer`.
    """
    recipe, template = context.recipe, context.template
    evicted_count, unfit = count(Reason.SPLIT_JOINED_VALIDATION), count(Reason.RENDER_UNFIT)
    private = recipe.privacy.kinds_to("mask") + recipe.privacy.kinds_to("drop")
    rules = LineRules(context.profiles)
    requirements = LineRequirements(
        accepts=template.accepts,
        conforms=lambda line: rules.first_error(line) is None,
        marker=template.marker,
        private=frozenset(private),
    )
    decoded_lines = decode_lines(lines["json"])
    measures = measure_lines(decoded_lines, requirements)
    limits = gate_limits(
        lines,
        evictions=evicted_count,
        validation=recipe.split.validation,
        max_prompt_tokens=recipe.curate.max_prompt_tokens,
    )
    halves = measure_split(lines, recipe.split.validation, evicted_count, unfit)
    sets = context.evaluation.items["text"]
    index = index_evaluation(sets) if len(sets) else None
    similarity = split_similarity(context)
    leaks = measure_leakage(lines, decoded_lines, similarity, index, context.marks)
    runs = [
        SuiteRun("lines", measures, limits, lines["request_id"]),
        SuiteRun("split", halves, limits),
        SuiteRun("leakage", leaks, {}, lines["request_id"]),
    ]
    if grading:
        findings = [finding.name for finding in grading.readiness.findings]
        runs.append(SuiteRun("readiness", measure_readiness(findings), {}))
    if answers.sources:
        names = pl.Series(list(answers.sources))
        runs.append(SuiteRun("answers", measure_sources(answers), limits, names))
    if recipe.rights and recipe.rights.fails_other_regions:
        regions = measure_regions(regions_of(context, lines), recipe.rights.regions)
        runs.append(SuiteRun("rights", regions, {}, lines["request_id"]))
    certificate = LeakageCertificate(
        exact=int(leaks["exact"].sum()),
        prefix=int(leaks["prefix"].sum()),
        near=int(leaks["near"].sum()),
        group=lines.filter(leaks["group"])["group"].n_unique(),
        evaluation=int(leaks["evaluated"].sum()),
    )
    by_source = lines["reference_source"].value_counts().sort("reference_source")
    return GateResult(evaluate_suites(runs), certificate, dict(by_source.iter_rows()))
