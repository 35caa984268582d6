"""The step `curate`: which exchanges deserve to be a prompt. Each sieve is of the pure core."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bedrock_sluice.flows.context import BuildContext
from bedrock_sluice.flows.stages.features import FeatureOptions, Inspected, inspect
from bedrock_sluice.flows.stages.labels import with_labels
from bedrock_sluice.flows.stages.lineage import TRAINED_BEFORE, excluded_prompts
from bedrock_sluice.lake.labels import LABELLED_AT
from bedrock_sluice.transforms.answers.choice import trusted
from bedrock_sluice.transforms.answers.sources import labelled_requests
from bedrock_sluice.transforms.curate.caps import (
    caller,
    cap_identities,
    cap_systems,
    drop_bursts,
    shares,
)
from bedrock_sluice.transforms.curate.conversations import (
    choose_turns,
    group_conversations,
    session_name,
)
from bedrock_sluice.transforms.curate.rules import (
    drop_evaluated,
    drop_exact_duplicates,
    drop_near_duplicates,
    drop_private,
    drop_unteachable,
    in_survival_order,
    with_response_flags,
)
from bedrock_sluice.transforms.curate.trained_before import drop_trained, registry_facts
from bedrock_sluice.transforms.dedup.contamination import SIMILARITY
from bedrock_sluice.transforms.dedup.leakage import scopes
from bedrock_sluice.transforms.dedup.near_duplicates import (
    NO_LABEL,
    group_sizes,
    have_different_labels,
    pick_survivors,
    similar_pairs,
)
from bedrock_sluice.transforms.fates import FilterResult, apply_rules
from bedrock_sluice.transforms.features.quality import quality_rules
from bedrock_sluice.transforms.privacy.detection import KINDS
from bedrock_sluice.transforms.sampling import stratum
from bedrock_sluice.transforms.split import name_roots

ALIKE = "alike_with_other_labels"  # facts: prompts that look alike, but are labelled differently
_REJECTED = ["object", "line", "request_id", "reason", "survivor", "detail"]


@dataclass
class Sieves:
    """What the sieves kept of the exchanges so far, and what each of them rejected."""

    kept: pl.DataFrame
    rejected: list[pl.DataFrame] = field(default_factory=list)

    def pass_on(self, sifted: FilterResult) -> None:
        """Go on with what a sieve kept."""
        missing = [c for c in ("survivor", "detail") if c not in sifted.rejected.columns]
        nulls = (pl.lit(None, pl.String).alias(name) for name in missing)
        self.rejected.append(sifted.rejected.with_columns(nulls).select(_REJECTED))
        self.kept = sifted.kept


@dataclass(frozen=True)
class Curated:
    """The prompts, what was rejected, and facts for the report.

    `voters` are the exchanges whose responses may be an answer, or be graded: those of the prompts,
    and of what says the same.
    """

    sifted: FilterResult
    candidate_responses: pl.DataFrame
    facts: dict[str, Any]


def curate(context: BuildContext, exchanges: pl.DataFrame) -> Curated:
    """Drop what cannot teach, what says the same again, and what must not be trained on."""
    asked = context.recipe.curate
    labelled = with_labels(context, with_response_flags(exchanges))
    sieves = Sieves(_grouped(context, labelled))
    sieves.pass_on(
        drop_unteachable(
            sieves.kept,
            max_prompt_tokens=asked.max_prompt_tokens,
            takes_history=context.recipe.template.history,
        )
    )
    salt, trained = context.recipe.split.salt, excluded_prompts(context)
    sieves.pass_on(drop_trained(sieves.kept, trained, keep_share=asked.trained_share, salt=salt))
    if most := asked.max_burst:
        judged, minutes = _judged_requests(context, exchanges), asked.burst_minutes
        sieves.pass_on(drop_bursts(sieves.kept, judged, max_burst=most, burst_minutes=minutes))
    candidate_responses = sieves.kept.filter(
        "has_good_response"
    )  # of a burst, its first record alone
    sieves.pass_on(drop_exact_duplicates(sieves.kept))
    inspected = inspect(context, sieves.kept, _asked(context))
    is_clean = pl.all_horizontal(pl.col(kind) == 0 for kind in KINDS)
    sieves.kept = inspected.prompts.with_columns(is_clean=is_clean)
    facts = _facts(inspected.prompts) | {TRAINED_BEFORE: registry_facts(trained)}
    if context.recipe.quality.drop_refusals:
        refusing = sieves.kept.filter("is_refusal").select("exchange")
        candidate_responses = candidate_responses.join(
            refusing, on="exchange", how="anti", maintain_order="left"
        )
    sieves.pass_on(apply_rules(sieves.kept, quality_rules(context.recipe.quality.limits())))
    sieves.pass_on(drop_private(sieves.kept, context.recipe.privacy.kinds_to("drop")))
    sieves.pass_on(drop_evaluated(sieves.kept))
    sieves.pass_on(choose_turns(sieves.kept, asked.conversations, asked.max_per_conversation))
    if asked.near_duplicates:
        near, sizes = _near(context, sieves.kept, inspected, asked.near_duplicates)
        sieves.pass_on(drop_near_duplicates(sieves.kept, near))
        facts |= {ALIKE: {"prompts": int(sizes.sum()), "largest": int(sizes.max(initial=0))}}
    _cap(context, sieves)
    sifted = FilterResult(sieves.kept, pl.concat(sieves.rejected))
    return Curated(sifted, candidate_responses, facts)


def _judged_requests(context: BuildContext, exchanges: pl.DataFrame) -> pl.Series:
    """The requests that have a label which counts; labels that don't must decide nothing."""
    asked = context.recipe.answer
    is_asked = "labels" in trusted(asked.sources, asked.minimum_trust)
    before = asked.labelled_before
    rows = [
        row
        for table in (context.labels if is_asked else ())
        for row in table.rows
        if before is None or ((at := row.get(LABELLED_AT)) and at < before)
    ]
    return labelled_requests(exchanges, rows, asked.label_key)


def _cap(context: BuildContext, sieves: Sieves) -> None:
    asked, salt = context.recipe.curate, context.recipe.split.salt
    if most := asked.max_per_identity:
        sieves.pass_on(cap_identities(sieves.kept, max_per_identity=most, salt=salt))
    if most := asked.max_per_system:
        sieves.pass_on(cap_systems(sieves.kept, max_per_system=most, salt=salt))


def _grouped(context: BuildContext, exchanges: pl.DataFrame) -> pl.DataFrame:
    """The exchanges with their conversation, and the root that decides their side."""
    key, asked = context.recipe.curate.conversation_key, context.recipe.split
    session = session_name(key) if key else None
    grouped = group_conversations(exchanges, key)
    return name_roots(grouped, group_by=asked.group_by, session=session, salt=asked.salt)


def _asked(context: BuildContext) -> FeatureOptions:
    asked = context.recipe.curate
    path = None
    if asked.against:
        path = context.work / "evaluation.parquet"
        context.evaluation.items.write_parquet(path)
    return FeatureOptions(
        scope=asked.near_scope if asked.near_duplicates else None,
        similarity=asked.near_duplicates or SIMILARITY,
        evaluation=path,
        has_languages=bool(context.recipe.quality.languages),
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


def _near(
    context: BuildContext, prompts: pl.DataFrame, inspected: Inspected, similarity: float
) -> tuple[pl.DataFrame, NDArray[np.int64]]:
    """The near duplicates among the prompts (`SURVIVORS`), by the numbers of their rows.

    And the sizes of the groups of prompts that look alike but have different labels.
    """
    numbered = prompts.with_row_index("row")
    rank = np.empty(prompts.height, np.int64)
    rank[in_survival_order(numbered)["row"].to_numpy()] = np.arange(prompts.height)
    seats = prompts["sketch_row"].to_numpy().astype(np.int64)
    pairs, shares = similar_pairs(
        inspected.sketches[seats],
        lambda rows: inspected.texts.fetch(seats[rows]),
        rank,
        similarity,
        scopes(prompts["system_digest"]) if context.recipe.curate.within_system else None,
    )
    labels = prompts["label"].rank("dense").cast(pl.Int64).fill_null(NO_LABEL).to_numpy()
    differ = have_different_labels(pairs, labels)
    survivors = pick_survivors(pairs[~differ], shares[~differ], rank)
    return survivors, group_sizes(pairs[differ])
