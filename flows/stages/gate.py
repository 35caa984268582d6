"""The stage `gate`: the suites of checks, run over the rendered lines."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from bedrock_sluice.expectations.checks import Check
from bedrock_sluice.expectations.gate import evaluate
from bedrock_sluice.expectations.measures import (
    LineRequirements,
    count_groups,
    measure_leakage,
    measure_lines,
    measure_readiness,
    measure_sources,
    measure_split,
    share_tolerance,
)
from bedrock_sluice.flows.context import BuildContext
from bedrock_sluice.flows.stages.grade import Graded
from bedrock_sluice.flows.stages.split import split_similarity
from bedrock_sluice.rewards.conformance.check import line_errors
from bedrock_sluice.transforms.dedup.contamination import index_evaluation
from bedrock_sluice.transforms.reasons import Reason
from bedrock_sluice.transforms.sampling import MAX_LINES, MIN_LINES

MAX_EVICTED_PERCENT = 10  # of prompts, without a warning
MAX_UNFIT_PERCENT = 10  # of lines that break a rule of the profiles and are dropped
MAX_UNFIT_PERCENT_UNWARNED = 1
MIN_MATCHED_PERCENT = 10  # of prompts that a named source of answers has one for, likewise


@dataclass(frozen=True)
class Judged:
    """What the gate said, and what it counted for the manifest and the report."""

    checks: list[Check]
    facts: dict[str, Any]


def _limits(context: BuildContext, lines: pl.DataFrame, evicted: int) -> dict[str, float]:
    share = context.recipe.split.validation
    tolerance = share_tolerance(count_groups(lines, evicted), share)
    return {
        "min_lines": MIN_LINES,
        "max_lines": MAX_LINES,
        "max_prompt_tokens": context.recipe.curate.max_prompt_tokens,
        "asked_percent": 100 * share,
        "min_validation_percent": 100 * max(share - tolerance, 0),
        "max_validation_percent": 100 * (share + tolerance),
        "max_evicted_percent": MAX_EVICTED_PERCENT,
        "max_unfit_percent": MAX_UNFIT_PERCENT,
        "max_unfit_percent_unwarned": MAX_UNFIT_PERCENT_UNWARNED,
        "min_matched_percent": MIN_MATCHED_PERCENT,
    }


def gate(
    context: BuildContext,
    lines: pl.DataFrame,
    count: Callable[[Reason], int],
    tried: Graded | None,
    facts: Mapping[str, Any],
) -> Judged:
    """Run the suites over the lines as they were rendered.

    `count` tells how many records were dropped for a reason; `tried` is what the grader gave, where
    it was run; `facts` are those of the step `answer`.
    """
    asked, template = context.recipe, context.template
    evicted, unfit = count(Reason.SPLIT_JOINED_VALIDATION), count(Reason.RENDER_UNFIT)
    private = asked.privacy.kinds_to("mask") + asked.privacy.kinds_to("drop")
    requirements = LineRequirements(
        accepts=template.accepts,
        conforms=lambda line: not line_errors(line, context.profiles),
        marker=template.marker,
        private=frozenset(private),
    )
    measures = measure_lines(lines["json"], requirements)
    limits = _limits(context, lines, evicted)
    halves = measure_split(lines, asked.split.validation, evicted, unfit)
    sets = context.evaluation.items["text"]
    index = index_evaluation(sets) if len(sets) else None
    leaks = measure_leakage(lines, split_similarity(context), index)
    checks = [
        *evaluate("lines", measures, limits, lines["request_id"]),
        *evaluate("split", halves, limits),
        *evaluate("leakage", leaks, {}, lines["request_id"]),
    ]
    if tried:
        findings = [finding.name for finding in tried.readiness.findings]
        checks += evaluate("readiness", measure_readiness(findings), {})
    if sources := facts["answer_sources"]:
        measured = measure_sources(sources, facts["answerable"])
        checks += evaluate("answers", measured, limits, pl.Series(list(sources)))
    certificate = {
        kind: int(leaks[kind].sum()) for kind in ("exact", "prefix", "near", "evaluated")
    }
    certificate["group"] = lines.filter(leaks["group"])["group"].n_unique()
    by_source = lines["reference_source"].value_counts().sort("reference_source")
    counts = {"certificate": certificate, "answers_by_source": dict(by_source.iter_rows())}
    return Judged(checks, counts)
