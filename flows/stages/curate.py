"""The stage `curate`: which exchanges become prompts. Each filter is a function of the core."""

from dataclasses import dataclass, field
from itertools import chain

import polars as pl

from bedrock_sluice.flows.context import BuildContext
from bedrock_sluice.flows.rights.references import mark_unlisted_responses
from bedrock_sluice.flows.stages.answer import with_labels
from bedrock_sluice.flows.stages.features import add_features, compare_texts
from bedrock_sluice.flows.stages.lineage import excluded_prompts
from bedrock_sluice.transforms.answers.sources import labelled_requests
from bedrock_sluice.transforms.curate.caps import (
    cap_identities,
    cap_systems,
    drop_bursts,
)
from bedrock_sluice.transforms.curate.conversations import (
    choose_turns,
    group_conversations,
    session_name,
)
from bedrock_sluice.transforms.curate.prompt_features import FEATURES
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
from bedrock_sluice.transforms.dedup.leakage import scopes
from bedrock_sluice.transforms.dedup.near_duplicates import choose_survivors, similar_pairs
from bedrock_sluice.transforms.facts.release_facts import CurationFacts, LabelConflicts
from bedrock_sluice.transforms.fates import FilterResult, apply_rules
from bedrock_sluice.transforms.features.quality import quality_rules
from bedrock_sluice.transforms.privacy.kinds import KINDS
from bedrock_sluice.transforms.settings import select_trusted_sources
from bedrock_sluice.transforms.split import name_roots

_LATER = ("model_id", "request_metadata")
"""What no filter looks at, and costs memory in each: it is added again in the end."""

_CANDIDATE_COLUMNS = ("exchange", "request_id", "timestamp", "prompt_digest", *_LATER)
_RESPONSE_FLAGS = ("has_good_response", "is_unlisted_response")
_REJECTED = ["object", "line", "request_id", "reason", "survivor", "detail"]


@dataclass
class Filters:
    """The exchanges that the filters kept so far, and what each filter rejected."""

    kept: pl.DataFrame
    rejected: list[pl.DataFrame] = field(default_factory=list)

    def pass_on(self, result: FilterResult) -> None:
        """Book the result of a filter, and go on with what it kept."""
        missing = [c for c in ("survivor", "detail") if c not in result.rejected.columns]
        nulls = (pl.lit(None, pl.String).alias(name) for name in missing)
        self.rejected.append(result.rejected.with_columns(nulls).select(_REJECTED))
        self.kept = result.kept


@dataclass(frozen=True)
class Curated:
    """The prompts, what was rejected, and facts for the manifest and the report.

    `candidate_responses` are the exchanges whose responses may be an answer, or be graded: those of
    the prompts, and of their duplicates. `trained_before` are the ids of releases whose prompts
    were dropped.
    """

    result: FilterResult
    candidate_responses: pl.DataFrame
    facts: CurationFacts
    trained_before: list[str]


def curate(context: BuildContext, exchanges: pl.DataFrame) -> Curated:
    """Drop what cannot teach, what says the same again, and what must not be trained on."""
    options = context.recipe.curate
    with_flags = mark_unlisted_responses(context, with_response_flags(exchanges))
    with_label = with_labels(context, with_flags)
    filters = Filters(_with_conversations(context, with_label).drop(_LATER))
    filters.pass_on(
        drop_unteachable(
            filters.kept,
            max_prompt_tokens=options.max_prompt_tokens,
            takes_history=context.recipe.template.history,
        )
    )
    salt, trained_prompts = context.recipe.split.salt, excluded_prompts(context)
    filters.pass_on(
        drop_trained(filters.kept, trained_prompts, keep_share=options.trained_share, salt=salt)
    )
    if most := options.max_burst:
        labelled_ids, minutes = _labelled_requests(context, exchanges), options.burst_minutes
        filters.pass_on(
            drop_bursts(filters.kept, labelled_ids, max_burst=most, burst_minutes=minutes)
        )
    # After bursts are dropped: of each burst, only the first record's response counts.
    flags = filters.kept.select("exchange", *_RESPONSE_FLAGS)
    candidate_responses = exchanges.select(_CANDIDATE_COLUMNS).join(
        flags.filter(pl.any_horizontal(_RESPONSE_FLAGS)), on="exchange", maintain_order="left"
    )
    filters.pass_on(drop_exact_duplicates(filters.kept))
    is_clean = pl.all_horizontal(pl.col(kind) == 0 for kind in KINDS)
    filters.kept = add_features(context, filters.kept).with_columns(is_clean=is_clean)
    measures = filters.kept.select(*KINDS, "hidden_characters", "bidi_characters")
    label_conflicts = None
    if context.recipe.quality.drop_refusals:
        refusing = filters.kept.filter("is_refusal").select("exchange")
        candidate_responses = candidate_responses.join(
            refusing, on="exchange", how="anti", maintain_order="left"
        )
    filters.pass_on(apply_rules(filters.kept, quality_rules(context.recipe.quality.limits())))
    filters.pass_on(drop_private(filters.kept, context.recipe.privacy.kinds_to("drop")))
    filters.pass_on(drop_evaluated(filters.kept))
    filters.kept = filters.kept.drop(*FEATURES, "overlap")
    filters.pass_on(choose_turns(filters.kept, options.conversations, options.max_per_conversation))
    if options.near_duplicates:
        # Texts are fetched in ascending order of the rows, which is that of the exchanges.
        filters.kept = filters.kept.sort("exchange")
        sketches, fetch = compare_texts(context, filters.kept["exchange"], options.near_scope)
        ranks = survival_ranks(filters.kept)
        similar = similar_pairs(
            sketches,
            fetch,
            ranks,
            options.near_duplicates,
            scopes(filters.kept["system_digest"]) if options.within_system else None,
        )
        survivors, sizes = choose_survivors(similar, ranks, filters.kept["label"])
        filters.pass_on(drop_near_duplicates(filters.kept, survivors))
        label_conflicts = LabelConflicts(int(sizes.sum()), int(sizes.max(initial=0)))
    _cap(context, filters)
    kept = filters.kept.join(
        exchanges.select("exchange", *_LATER), on="exchange", how="left", maintain_order="left"
    )
    result = FilterResult(kept, pl.concat(filters.rejected))
    facts = _facts(measures, label_conflicts)
    trained_before = registry_facts(trained_prompts)
    return Curated(result, candidate_responses, facts, trained_before)


def _labelled_requests(context: BuildContext, exchanges: pl.DataFrame) -> pl.Series:
    """The requests that have a label which counts; labels that don't must decide nothing."""
    options = context.recipe.answer
    if "labels" not in select_trusted_sources(options.sources, options.minimum_trust):
        return pl.Series([], dtype=pl.String)
    rows = chain.from_iterable(table.rows for table in context.labels)
    return labelled_requests(exchanges, rows, options.label_key, options.labelled_before)


def _cap(context: BuildContext, filters: Filters) -> None:
    options, salt = context.recipe.curate, context.recipe.split.salt
    if most := options.max_per_identity:
        filters.pass_on(cap_identities(filters.kept, max_per_identity=most, salt=salt))
    if most := options.max_per_system:
        filters.pass_on(cap_systems(filters.kept, max_per_system=most, salt=salt))


def _with_conversations(context: BuildContext, exchanges: pl.DataFrame) -> pl.DataFrame:
    """The exchanges with their conversation, and the root that decides their side."""
    key, options = context.recipe.curate.conversation_key, context.recipe.split
    session = session_name(key) if key else None
    exchanges = group_conversations(exchanges, key)
    return name_roots(exchanges, group_by=options.group_by, session=session, salt=options.salt)


def _facts(prompts: pl.DataFrame, label_conflicts: LabelConflicts | None) -> CurationFacts:
    counts = prompts.select((pl.col(kind) > 0).sum() for kind in KINDS).row(0, named=True)
    return CurationFacts(
        prompts=prompts.height,
        personal_data={kind: number for kind, number in counts.items() if number},
        hidden_characters=int((prompts["hidden_characters"] > 0).sum()),
        bidi_characters=int((prompts["bidi_characters"] > 0).sum()),
        label_conflicts=label_conflicts,
    )
