"""The order of a build, written once. The CLI and the Prefect flows differ only in their `Step`."""

from dataclasses import dataclass, field

import polars as pl

from bedrock_sluice.flows import steps
from bedrock_sluice.flows.curation import curate
from bedrock_sluice.flows.plan import Plan
from bedrock_sluice.flows.publish import Outcome, publish
from bedrock_sluice.flows.pull import pull
from bedrock_sluice.flows.step import Step, direct
from bedrock_sluice.lake.releases import Release
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


def build(plan: Plan, step: Step = direct) -> Release:
    """Make a release: pull what is new, and turn the records of the window into lines.

    Raises:
        ConfigError, OutsideError, IntegrityError: nothing was published.
    """
    ledger = Ledger()
    step("pull", lambda tick: pull(plan.source, plan.lake, plan.recipe.window, tick))
    judged = step("select", lambda _: steps.select(plan))
    tags = step("tags", lambda _: steps.tag_coverage(plan))
    readable = ledger.enter("pull", judged.height, divide(judged, UNREADABLE))
    selected = ledger.enter("select", readable.height, divide(readable))
    read = step("normalise", lambda tick: steps.normalise(plan, selected, tick))
    exchanges = ledger.enter("normalise", selected.height, read)
    curated = step("curate", lambda _: curate(plan, exchanges))
    prompts = ledger.enter("curate", exchanges.height, curated.sifted)
    answered = ledger.enter(
        "answer", prompts.height, step("answer", lambda _: steps.answer(plan, prompts))
    )
    divided = ledger.enter(
        "split",
        answered.height,
        step("split", lambda _: steps.split(plan, answered, curated.links)),
    )
    lines = step("render", lambda _: steps.render(plan, divided))
    evicted = ledger.count(Reason.SPLIT_JOINED_VALIDATION)
    gated = step("gate", lambda _: steps.gate(plan, lines, evicted))
    fates = ledger.close(lines)
    conserve("release", judged.height, lines.height, fates.height - lines.height)
    without_key = int(selected["lacks_negated_key"].sum())
    facts = curated.facts | {"certificate": gated.certificate}
    outcome = Outcome(lines, fates, gated.checks, ledger.stages, without_key, tags, facts)
    return step("release", lambda _: publish(plan, outcome))
