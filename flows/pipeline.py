"""The order of a build, written once. The CLI and the Prefect flows differ only in their `Step`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from bedrock_sluice.flows import steps
from bedrock_sluice.flows.answering import answer
from bedrock_sluice.flows.curation import curate
from bedrock_sluice.flows.inputs import EARLIER_RELEASES, TRAINED_BEFORE, split_history
from bedrock_sluice.flows.no_lines import check_selected
from bedrock_sluice.flows.plan import Plan
from bedrock_sluice.flows.publish import Outcome, publish
from bedrock_sluice.flows.pull import pull
from bedrock_sluice.flows.splitting import keep_apart, split
from bedrock_sluice.flows.step import Step, direct
from bedrock_sluice.flows.trial import drop_flat, try_grader
from bedrock_sluice.lake.releases import Release
from bedrock_sluice.lake.split_history import SPLIT_RULES
from bedrock_sluice.rewards.readiness_report import facts as readiness_facts
from bedrock_sluice.transforms.fates import (
    UNREADABLE,
    Sifted,
    conserve,
    divide,
    kept_fates,
    rejected_fates,
)
from bedrock_sluice.transforms.reasons import Reason


@dataclass
class Ledger:
    """Every record's fate, and what each stage took, kept and rejected."""

    fates: list[pl.DataFrame] = field(default_factory=list)
    stages: list[dict[str, object]] = field(default_factory=list)

    def enter(self, stage: str, before: int, sifted: Sifted) -> pl.DataFrame:
        """Book what a stage did with `before` records; returns what it kept.

        Raises:
            IntegrityError: the stage lost or invented a record.
        """
        conserve(stage, before, sifted.kept.height, sifted.rejected.height)
        self.fates.append(rejected_fates(sifted.rejected))
        reasons = sifted.rejected["reason"].value_counts().sort("reason")
        self.stages.append(
            {
                "stage": stage,
                "taken": before,
                "kept": sifted.kept.height,
                "rejected": dict(reasons.iter_rows()),
            }
        )
        return sifted.kept

    def count(self, reason: Reason) -> int:
        """How many records were rejected for this reason."""
        return sum(int((fates["reason"] == reason.value).sum()) for fates in self.fates)

    def close(self, lines: pl.DataFrame) -> pl.DataFrame:
        """All fates, by object and line, once the lines are known."""
        return pl.concat([*self.fates, kept_fates(lines)]).sort("object", "line")


@dataclass(frozen=True)
class Prepared:
    """What a build has made when its lines are written: all that is judged and published."""

    judged: pl.DataFrame
    lines: pl.DataFrame
    voters: pl.DataFrame
    ledger: Ledger
    facts: dict[str, Any]
    tags: Mapping[str | None, int]
    matched_without_key: int


def prepare(plan: Plan, step: Step = direct) -> Prepared:
    """Pull what is new, and turn the records of the window into lines.

    Raises:
        ConfigError, OutsideError, IntegrityError: there is nothing to make lines of.
    """
    ledger = Ledger()
    step("find", lambda _: plan.find_all_named())
    step("pull", lambda tick: pull(plan.source, plan.lake, plan.recipe.window, tick))
    later = step("later", lambda _: plan.source.count_later(plan.recipe.window))
    judged = step("select", lambda _: steps.select(plan))
    check_selected(plan, judged)
    tags = step("tags", lambda _: steps.tag_coverage(plan))
    readable = ledger.enter("pull", judged.height, divide(judged, UNREADABLE))
    selected = ledger.enter("select", readable.height, divide(readable))
    read = step("normalise", lambda tick: steps.normalise(plan, selected, tick))
    exchanges = ledger.enter("normalise", selected.height, read)
    curated = step("curate", lambda _: curate(plan, exchanges))
    prompts = ledger.enter("curate", exchanges.height, curated.sifted)
    told = step(
        "answer",
        lambda _: answer(plan, prompts, exchanges, curated.voters, judged["request_id"]),
    )
    answered = ledger.enter("answer", prompts.height, told.sifted)
    trained = {TRAINED_BEFORE: curated.facts[TRAINED_BEFORE]}
    earlier = step("history", lambda _: split_history(plan, trained))
    sided = step("split", lambda _: split(plan, answered, earlier))
    divided = ledger.enter("split", answered.height, sided)
    rendered = step("render", lambda _: keep_apart(plan, steps.render(plan, divided), earlier))
    lines = ledger.enter("render", divided.height, rendered)
    facts = curated.facts | told.facts | {"instructed": int(lines["is_instructed"].sum())}
    facts |= {EARLIER_RELEASES: earlier.releases, SPLIT_RULES: plan.recipe.split_rules()}
    facts["delivered_later"] = later
    without_key = int(selected["lacks_negated_key"].sum())
    return Prepared(judged, lines, curated.voters, ledger, facts, tags, without_key)


def build(plan: Plan, step: Step = direct) -> Release:
    """Make a release: prepare the lines, try the grader on them, let the gate judge, publish.

    Raises:
        ConfigError, OutsideError, IntegrityError: nothing was published.
    """
    made = prepare(plan, step)
    lines, ledger, facts, tried = made.lines, made.ledger, made.facts, None
    if plan.recipe.grader and plan.recipe.grader.is_in_gate:
        tried = step("grade", lambda tick: try_grader(plan, lines, made.voters, tick))
        lines = ledger.enter("grade", lines.height, drop_flat(plan, lines, tried))
    gated = step("gate", lambda _: steps.gate(plan, lines, ledger.count, tried, facts))
    fates = ledger.close(lines)
    conserve("release", made.judged.height, lines.height, fates.height - lines.height)
    readiness = readiness_facts(tried.readiness) if tried else None
    facts = facts | {"readiness": readiness} | gated.facts
    outcome = Outcome(
        lines, fates, gated.checks, ledger.stages, made.matched_without_key, made.tags, facts
    )
    return step("release", lambda _: publish(plan, outcome))
