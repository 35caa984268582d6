"""The order of a build, written once; the CLI and Prefect flows differ in their `StageRunner`."""

from dataclasses import dataclass
from functools import partial

import polars as pl
from msgspec.structs import replace

from bedrock_sluice.flows.context import BuildContext
from bedrock_sluice.flows.hints import check_selected
from bedrock_sluice.flows.rights.records import check_records
from bedrock_sluice.flows.running.runner import StageRunner, run_directly
from bedrock_sluice.flows.running.stage_log import LoggedLedger
from bedrock_sluice.flows.running.suite_process import start_suites
from bedrock_sluice.flows.stages.answer import answer, drop_rejected
from bedrock_sluice.flows.stages.curate import curate
from bedrock_sluice.flows.stages.gate import GateInput, gate
from bedrock_sluice.flows.stages.grade import drop_zero_variance, try_grader
from bedrock_sluice.flows.stages.lineage import EarlierReleases, earlier_releases, keep_marks
from bedrock_sluice.flows.stages.normalise import normalise
from bedrock_sluice.flows.stages.publish import BuildFacts, Draft, Outcome, draft, publish
from bedrock_sluice.flows.stages.pull import pull
from bedrock_sluice.flows.stages.render import render
from bedrock_sluice.flows.stages.select import select
from bedrock_sluice.flows.stages.split import keep_apart, split
from bedrock_sluice.lake.releases.release import Release
from bedrock_sluice.lake.releases.split_history import SplitHistory
from bedrock_sluice.rewards.readiness_report import facts as readiness_facts
from bedrock_sluice.transforms.facts.release_facts import MetadataFacts
from bedrock_sluice.transforms.fates import UNREADABLE, Ledger, conserve, partition
from bedrock_sluice.transforms.review.slices import count_slices


@dataclass(frozen=True)
class Prepared:
    """The lines of a build before the gate, and what its release has to state about them."""

    record_count: int
    exchanges: pl.DataFrame
    lines: pl.DataFrame
    candidate_responses: pl.DataFrame
    ledger: Ledger
    facts: BuildFacts
    earlier: EarlierReleases


def prepare(context: BuildContext, run_stage: StageRunner = run_directly) -> Prepared:
    """Pull what is new, and turn the records of the window into lines.

    Raises:
        ConfigError, OutsideError, IntegrityError: there is nothing to make lines of.
    """
    ledger, window = LoggedLedger(), context.recipe.window
    run_stage("find", lambda _: context.open_all())
    run_stage("pull", partial(pull, context.source, context.lake, window))
    later = run_stage("later", lambda _: context.source.count_later(window))
    ledger.finish("pull")

    records, records_by_key, without_keys = run_stage("select", lambda _: select(context))
    check_selected(context, records)
    # One statement finds unreadable records and those not selected; they are booked apart.
    readable = ledger.enter("pull", records.height, partition(records, UNREADABLE))
    selection = ledger.enter("select", readable.height, partition(readable))
    record_ids = records["request_id"]
    del records, readable  # the most rows of a build, and the ledger has their fates

    rights = None
    if section := context.recipe.rights:
        check = partial(check_records, context, section, selection)
        rights = run_stage("rights", lambda _: check())
        selection = ledger.enter("rights", selection.height, rights.result)

    result = run_stage("normalise", partial(normalise, context, selection))
    exchanges = ledger.enter("normalise", selection.height, result)
    if context.reviews:
        result = run_stage("review", lambda _: drop_rejected(context, exchanges))
        exchanges = ledger.enter("review", exchanges.height, result)

    curation = run_stage("curate", lambda _: curate(context, exchanges))
    prompts = ledger.enter("curate", exchanges.height, curation.result)
    candidates = curation.candidate_responses

    answers = run_stage(
        "answer", lambda _: answer(context, prompts, exchanges, candidates, record_ids)
    )
    with_answers = ledger.enter("answer", prompts.height, answers.result)

    earlier = run_stage("history", lambda _: earlier_releases(context, curation.trained_before))
    history = earlier.history
    result = run_stage("split", lambda _: split(context, with_answers, history))
    with_sides = ledger.enter("split", with_answers.height, result)

    result = run_stage(
        "render", lambda _: keep_apart(context, render(context, with_sides), history)
    )
    lines = ledger.enter("render", with_sides.height, result)

    facts = BuildFacts(
        delivered_later=later,
        earlier_releases=history.releases,
        trained_before=curation.trained_before,
        metadata=MetadataFacts(
            records_by_key=records_by_key,
            without_keys=without_keys,
            matched_without_key=int(selection["lacks_negated_key"].sum()),
        ),
        curation=curation.facts,
        answers=replace(answers.facts, lines_with_instruction=int(lines["is_instructed"].sum())),
        rights=rights.facts_of(lines) if rights else None,
    )
    return Prepared(len(record_ids), exchanges, lines, candidates, ledger, facts, earlier)


def build(context: BuildContext, run_stage: StageRunner = run_directly) -> Release:
    """Make a release: prepare the lines, run the grader on them, check them, publish.

    Raises:
        ConfigError, OutsideError, IntegrityError: nothing was published.
    """
    outcome, history = _check(context, run_stage)
    release = run_stage("release", lambda _: publish(context, outcome))
    run_stage("marks", lambda _: keep_marks(context, release, outcome.lines, history))
    return release


def rehearse(context: BuildContext, run_stage: StageRunner = run_directly) -> Draft:
    """Do all that `build` does, but publish nothing: the files stay in the work folder.

    What was landed and derived on the way stays in the lake, and the next build uses it.

    Raises:
        ConfigError, OutsideError, IntegrityError: as `build` does.
    """
    outcome, _ = _check(context, run_stage)
    return run_stage("release", lambda _: draft(context, outcome))


def _check(context: BuildContext, run_stage: StageRunner) -> tuple[Outcome, SplitHistory]:
    """Prepare the lines, run the grader on them, and check them."""
    start_suites()
    preparation = prepare(context, run_stage)
    lines, ledger, facts = preparation.lines, preparation.ledger, preparation.facts

    grading = None
    if context.recipe.grader and context.recipe.grader.is_in_gate:
        candidates = preparation.candidate_responses
        grading = run_stage("grade", partial(try_grader, context, lines, candidates))
        result = drop_zero_variance(context, lines, grading)
        lines = ledger.enter("grade", lines.height, result)

    subject = GateInput(
        lines=lines,
        stages=ledger.stages,
        grading=grading,
        answers=facts.answers,
        records_without_metadata=facts.metadata.without_keys,
        baseline=preparation.earlier.baseline,
    )
    gate_result = run_stage("gate", lambda _: gate(context, subject))

    fates = ledger.close(lines)
    conserve("release", preparation.record_count, lines.height, fates.height - lines.height)
    outcome = Outcome(
        lines=lines,
        fates=fates,
        stages=ledger.stages,
        facts=facts,
        slices=count_slices(preparation.exchanges, lines),
        gate_result=gate_result,
        readiness=readiness_facts(grading.readiness) if grading else None,
        scores=grading.results if grading else None,
        drift_baseline=subject.baseline.id if subject.baseline else None,
    )
    return outcome, preparation.earlier.history
