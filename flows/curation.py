"""The step `curate`: which exchanges deserve to be a prompt. Each sieve is of the pure core."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from bedrock_sluice.flows.inputs import TRAINED_BEFORE, heeded
from bedrock_sluice.flows.inspection import Asked, Inspected, inspect
from bedrock_sluice.flows.plan import Plan
from bedrock_sluice.lake.labels import LABELLED_AT
from bedrock_sluice.transforms.answer_sources import labelled_requests
from bedrock_sluice.transforms.answers import trusted
from bedrock_sluice.transforms.budget import stratum
from bedrock_sluice.transforms.concentration import (
    caller,
    cap_identities,
    cap_systems,
    drop_bursts,
    shares,
)
from bedrock_sluice.transforms.contamination import SIMILARITY
from bedrock_sluice.transforms.conversations import choose_turns, group_conversations
from bedrock_sluice.transforms.curate import (
    drop_evaluated,
    drop_exact_duplicates,
    drop_near_duplicates,
    drop_private,
    drop_unteachable,
    in_survival_order,
)
from bedrock_sluice.transforms.fates import Sifted, sift
from bedrock_sluice.transforms.leakage import scopes
from bedrock_sluice.transforms.near_duplicates import find_near_duplicates, like_marked
from bedrock_sluice.transforms.personal_data import KINDS
from bedrock_sluice.transforms.quality import quality_rules
from bedrock_sluice.transforms.split import assign_groups, is_held_out, root_of, tie
from bedrock_sluice.transforms.trained_before import drop_trained, registry_facts

_REJECTED = ["object", "line", "request_id", "reason", "survivor", "detail"]


@dataclass
class Sieves:
    """What the sieves kept of the exchanges so far, and what each of them rejected."""

    kept: pl.DataFrame
    rejected: list[pl.DataFrame] = field(default_factory=list)

    def pass_on(self, sifted: Sifted) -> None:
        """Go on with what a sieve kept."""
        missing = [c for c in ("survivor", "detail") if c not in sifted.rejected.columns]
        nulls = (pl.lit(None, pl.String).alias(name) for name in missing)
        self.rejected.append(sifted.rejected.with_columns(nulls).select(_REJECTED))
        self.kept = sifted.kept


@dataclass(frozen=True)
class Curated:
    """The prompts, what was rejected, which roots belong together, and facts for the report.

    `voters` are the exchanges that can teach: the prompts, and what says the same.
    """

    sifted: Sifted
    voters: pl.DataFrame
    links: pl.DataFrame
    facts: dict[str, Any]


def curate(plan: Plan, exchanges: pl.DataFrame) -> Curated:
    """Drop what cannot teach, what says the same again, and what must not be trained on."""
    asked = plan.recipe.curate
    labelled = _labelled(plan, exchanges)
    grouped = _grouped(plan, exchanges)
    sieves = Sieves(grouped)
    sieves.pass_on(
        drop_unteachable(
            grouped,
            max_prompt_tokens=asked.max_prompt_tokens,
            takes_history=plan.recipe.template.history,
        )
    )
    voters, salt = sieves.kept, plan.recipe.split.salt
    trained = heeded(plan)
    sieves.pass_on(drop_trained(sieves.kept, trained, keep_share=asked.trained_share, salt=salt))
    if most := asked.max_burst:
        minutes = asked.burst_minutes
        sieves.pass_on(drop_bursts(sieves.kept, labelled, max_burst=most, burst_minutes=minutes))
    sieves.pass_on(drop_exact_duplicates(sieves.kept, labelled))
    inspected = inspect(plan, sieves.kept, _asked(plan))
    is_clean = pl.all_horizontal(pl.col(kind) == 0 for kind in KINDS)
    sieves.kept = inspected.prompts.with_columns(is_clean=is_clean)
    facts = _facts(inspected.prompts) | {TRAINED_BEFORE: registry_facts(trained)}
    sieves.pass_on(sift(sieves.kept, quality_rules(plan.recipe.quality.limits())))
    sieves.pass_on(drop_private(sieves.kept, plan.recipe.privacy.kinds_to("drop")))
    sieves.pass_on(drop_evaluated(sieves.kept))
    if asked.near_duplicates:
        sieves.kept = _contested(plan, sieves.kept, inspected, asked.near_duplicates)
    sieves.pass_on(choose_turns(sieves.kept, asked.conversations, asked.max_per_conversation))
    if asked.near_duplicates:
        near = _near(plan, sieves.kept, inspected, labelled, asked.near_duplicates)
        sieves.pass_on(drop_near_duplicates(sieves.kept, near))
    _cap(plan, sieves)
    sifted = Sifted(sieves.kept, pl.concat(sieves.rejected))
    return Curated(sifted, voters, tie(grouped, "conversation"), facts)


def _cap(plan: Plan, sieves: Sieves) -> None:
    asked, salt = plan.recipe.curate, plan.recipe.split.salt
    if most := asked.max_per_identity:
        sieves.pass_on(cap_identities(sieves.kept, max_per_identity=most, salt=salt))
    if most := asked.max_per_system:
        sieves.pass_on(cap_systems(sieves.kept, max_per_system=most, salt=salt))


def _labelled(plan: Plan, exchanges: pl.DataFrame) -> pl.Series:
    """The requests that have a label which counts; labels that don't must decide nothing."""
    asked = plan.recipe.answer
    is_asked = "labels" in trusted(asked.sources, asked.minimum_trust)
    before = asked.labelled_before
    rows = [
        row
        for table in (plan.labels if is_asked else ())
        for row in table.rows
        if before is None or ((at := row.get(LABELLED_AT)) and at < before)
    ]
    return labelled_requests(exchanges, rows, asked.label_key)


def _grouped(plan: Plan, exchanges: pl.DataFrame) -> pl.DataFrame:
    """The exchanges with their conversation, and the group that decides their side."""
    split = plan.recipe.split
    grouped = group_conversations(exchanges, plan.recipe.curate.conversation_key)
    named = assign_groups(grouped.with_columns(root=root_of()), split.group_by)
    held = is_held_out(named["root"], validation=split.validation, salt=split.salt)
    return named.with_columns(is_held_out=held)


def _asked(plan: Plan) -> Asked:
    asked = plan.recipe.curate
    path = None
    if asked.against:
        path = plan.work / "evaluation.parquet"
        plan.evaluation.items.write_parquet(path)
    return Asked(
        scope=asked.near_scope if asked.near_duplicates else None,
        similarity=asked.near_duplicates or SIMILARITY,
        evaluation=path,
        has_languages=bool(plan.recipe.quality.languages),
    )


def _facts(prompts: pl.DataFrame) -> dict[str, Any]:
    """How many prompts hold what kind of personal data, and whose they are."""
    counts = prompts.select((pl.col(kind) > 0).sum() for kind in KINDS).row(0, named=True)
    slices = shares(prompts, [stratum("model_id"), caller(), "system_digest", stratum("length")])
    return {
        "inspected": prompts.height,
        "personal_data": {kind: number for kind, number in counts.items() if number},
        "hidden_characters": int((prompts["hidden_characters"] > 0).sum()),
        "bidi_characters": int((prompts["bidi_characters"] > 0).sum()),
        "slices": slices.to_dicts(),
    }


def _contested(
    plan: Plan, prompts: pl.DataFrame, inspected: Inspected, similarity: float
) -> pl.DataFrame:
    """Mark as `is_contested` also what is like a prompt that is held out, or took its place.

    It may be left out here, and stand for nothing; but an older release may have held it out.
    """
    is_held = prompts["is_held_out"] | prompts["is_contested"]
    seats = prompts["seat"].to_numpy().astype(np.int64)
    is_like = like_marked(
        inspected.sketches[seats],
        lambda rows: inspected.texts.fetch(seats[rows]),
        is_held.to_numpy(),
        similarity,
        scopes(prompts["system_digest"]) if plan.recipe.curate.within_system else None,
    )
    return prompts.with_columns(is_contested=pl.col("is_contested") | pl.Series(is_like))


def _near(
    plan: Plan, prompts: pl.DataFrame, inspected: Inspected, labelled: pl.Series, similarity: float
) -> pl.DataFrame:
    """Which of the prompts are near duplicates: `SURVIVORS`, by the numbers of their rows."""
    numbered = prompts.with_row_index("row")
    rank = np.empty(prompts.height, np.int64)
    rank[in_survival_order(numbered, labelled)["row"].to_numpy()] = np.arange(prompts.height)
    seats = prompts["seat"].to_numpy().astype(np.int64)
    return find_near_duplicates(
        inspected.sketches[seats],
        lambda rows: inspected.texts.fetch(seats[rows]),
        rank,
        similarity,
        scopes(prompts["system_digest"]) if plan.recipe.curate.within_system else None,
    )
