"""The order of a build, written once; the CLI and Prefect flows differ in their `StageRunner`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from bedrock_sluice.flows.context import BuildContext
from bedrock_sluice.flows.runner import StageRunner, run_directly
from bedrock_sluice.flows.stages.answer import answer
from bedrock_sluice.flows.stages.curate import curate
from bedrock_sluice.flows.stages.empty_result import check_selected
from bedrock_sluice.flows.stages.gate import gate
from bedrock_sluice.flows.stages.lineage import EARLIER_RELEASES, TRAINED_BEFORE, split_history
from bedrock_sluice.flows.stages.normalise import normalise
from bedrock_sluice.flows.stages.publish import Outcome, publish
from bedrock_sluice.flows.stages.pull import pull
from bedrock_sluice.flows.stages.render import render
from bedrock_sluice.flows.stages.select import select, tag_coverage
from bedrock_sluice.flows.stages.split import keep_apart, split
from bedrock_sluice.flows.stages.trial import drop_flat, try_grader
from bedrock_sluice.lake.releases.releases import Release
from bedrock_sluice.lake.releases.split_history import SPLIT_RULES
from bedrock_sluice.rewards.readiness_report import facts as readiness_facts
from bedrock_sluice.transforms.fates import (
    UNREADABLE,
    Ledger,
    conserve,
    partition,
)


@dataclass(frozen=True)
class Prepared:
    """What a build has made when its lines are written: all that is judged and published."""

    judged: pl.DataFrame
    lines: pl.DataFrame
    candidate_responses: pl.DataFrame
    ledger: Ledger
    facts: dict[str, Any]
    tags: Mapping[str | None, int]
    matched_without_key: int


def prepare(context: BuildContext, run_stage: StageRunner = run_directly) -> Prepared:
    """Pull what is new, and turn the records of the window into lines.

    Raises:
        ConfigError, OutsideError, IntegrityError: there is nothing to make lines of.
    """
    ledger = Ledger()
    run_stage("find", lambda _: context.find_all_named())
    run_stage(
        "pull",
        lambda report_progress: pull(
            context.source, context.lake, context.recipe.window, report_progress
        ),
    )
    later = run_stage("later", lambda _: context.source.count_later(context.recipe.window))
    judged = run_stage("select", lambda _: select(context))
    check_selected(context, judged)
    tags = run_stage("tags", lambda _: tag_coverage(context))
    readable = ledger.enter("pull", judged.height, partition(judged, UNREADABLE))
    selected = ledger.enter("select", readable.height, partition(readable))
    read = run_stage(
        "normalise", lambda report_progress: normalise(context, selected, report_progress)
    )
    exchanges = ledger.enter("normalise", selected.height, read)
    curated = run_stage("curate", lambda _: curate(context, exchanges))
    prompts = ledger.enter("curate", exchanges.height, curated.sifted)
    told = run_stage(
        "answer",
        lambda _: answer(
            context, prompts, exchanges, curated.candidate_responses, judged["request_id"]
        ),
    )
    answered = ledger.enter("answer", prompts.height, told.sifted)
    trained = {TRAINED_BEFORE: curated.facts[TRAINED_BEFORE]}
    earlier = run_stage("history", lambda _: split_history(context, trained))
    sided = run_stage("split", lambda _: split(context, answered, earlier))
    divided = ledger.enter("split", answered.height, sided)
    rendered = run_stage("render", lambda _: keep_apart(context, render(context, divided), earlier))
    lines = ledger.enter("render", divided.height, rendered)
    facts = curated.facts | told.facts | {"instructed": int(lines["is_instructed"].sum())}
    facts |= {EARLIER_RELEASES: earlier.releases, SPLIT_RULES: context.recipe.split_rules()}
    facts["delivered_later"] = later
    without_key = int(selected["lacks_negated_key"].sum())
    return Prepared(judged, lines, curated.candidate_responses, ledger, facts, tags, without_key)


def build(context: BuildContext, run_stage: StageRunner = run_directly) -> Release:
    """Make a release: prepare the lines, try the grader on them, let the gate judge, publish.

    Raises:
        ConfigError, OutsideError, IntegrityError: nothing was published.
    """
    made = prepare(context, run_stage)
    lines, ledger, facts, tried = made.lines, made.ledger, made.facts, None
    if context.recipe.grader and context.recipe.grader.is_in_gate:
        tried = run_stage(
            "grade",
            lambda report_progress: try_grader(
                context, lines, made.candidate_responses, report_progress
            ),
        )
        lines = ledger.enter("grade", lines.height, drop_flat(context, lines, tried))
    gated = run_stage("gate", lambda _: gate(context, lines, ledger.count, tried, facts))
    fates = ledger.close(lines)
    conserve("release", made.judged.height, lines.height, fates.height - lines.height)
    readiness = readiness_facts(tried.readiness) if tried else None
    facts = facts | {"readiness": readiness} | gated.facts
    outcome = Outcome(
        lines, fates, gated.checks, ledger.stages, made.matched_without_key, made.tags, facts
    )
    return run_stage("release", lambda _: publish(context, outcome))
