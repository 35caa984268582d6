"""The step `curate`: which exchanges deserve to be a prompt. Each sieve is of the pure core."""

from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import numpy as np
import polars as pl

from bedrock_sluice.flows.context import BuildContext
from bedrock_sluice.flows.stages.features import FeatureOptions, add_features
from bedrock_sluice.flows.stages.labels import with_labels
from bedrock_sluice.flows.stages.lineage import TRAINED_BEFORE, excluded_prompts
from bedrock_sluice.transforms.answers.choice import select_trusted_sources
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
    survival_ranks,
    with_response_flags,
)
from bedrock_sluice.transforms.curate.trained_before import drop_trained, registry_facts
from bedrock_sluice.transforms.dedup.contamination import SIMILARITY
from bedrock_sluice.transforms.dedup.leakage import scopes
from bedrock_sluice.transforms.dedup.near_duplicates import choose_survivors, similar_pairs
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
        labelled_ids, minutes = _labelled_requests(context, exchanges), asked.burst_minutes
        sieves.pass_on(
            drop_bursts(sieves.kept, labelled_ids, max_burst=most, burst_minutes=minutes)
        )
    candidate_responses = sieves.kept.filter(
        "has_good_response"
    )  # of a burst, its first record alone
    sieves.pass_on(drop_exact_duplicates(sieves.kept))
    features = add_features(context, sieves.kept, _asked(context))
    is_clean = pl.all_horizontal(pl.col(kind) == 0 for kind in KINDS)
    sieves.kept = features.prompts.with_columns(is_clean=is_clean)
    facts = _facts(features.prompts) | {TRAINED_BEFORE: registry_facts(trained)}
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
        sketch_rows = sieves.kept["sketch_row"].to_numpy().astype(np.int64)
        ranks = survival_ranks(sieves.kept)
        similar = similar_pairs(
            features.sketches[sketch_rows],
            lambda rows: features.texts.fetch(sketch_rows[rows]),
            ranks,
            asked.near_duplicates,
            scopes(sieves.kept["system_digest"]) if asked.within_system else None,
        )
        survivors, sizes = choose_survivors(similar, ranks, sieves.kept["label"])
        sieves.pass_on(drop_near_duplicates(sieves.kept, survivors))
        facts |= {ALIKE: {"prompts": int(sizes.sum()), "largest": int(sizes.max(initial=0))}}
    _cap(context, sieves)
    sifted = FilterResult(sieves.kept, pl.concat(sieves.rejected))
    return Curated(sifted, candidate_responses, facts)


def _labelled_requests(context: BuildContext, exchanges: pl.DataFrame) -> pl.Series:
    """The requests that have a label which counts; labels that don't must decide nothing."""
    options = context.recipe.answer
    if "labels" not in select_trusted_sources(options.sources, options.minimum_trust):
        return pl.Series([], dtype=pl.String)
    rows = chain.from_iterable(table.rows for table in context.labels)
    return labelled_requests(exchanges, rows, options.label_key, options.labelled_before)


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
