"""Exchanges to prompts: drop what cannot teach, and all but one of what says the same."""

from collections.abc import Collection

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bedrock_sluice.transforms.chat.messages import BROKEN_OFF, GOOD_STOP_REASONS
from bedrock_sluice.transforms.fates import FilterResult, apply_rules
from bedrock_sluice.transforms.privacy.kinds import PERSONAL, SECRETS
from bedrock_sluice.transforms.readers.guardrail import OUTPUT, OUTPUT_MASKED
from bedrock_sluice.transforms.reasons import Reason

_BLOCKED = ("guardrail_intervened", "content_filtered")
_OUTPUT_BLOCKED = (OUTPUT, OUTPUT_MASKED)
_MALFORMED = ("malformed_model_output", "malformed_tool_use")
_CUT_OFF = ("max_tokens", "model_context_window_exceeded", BROKEN_OFF)

_IS_GOOD_STOP = pl.col("stop_reason").is_in(GOOD_STOP_REASONS).fill_null(value=False)

PROMPT_RULES = (
    (Reason.CURATE_MEDIA, pl.col("has_media")),
    (Reason.CURATE_GUARDRAIL, pl.col("stop_reason").is_in(_BLOCKED)),
    (Reason.CURATE_GUARDRAIL_INPUT, pl.col("stop_reason") == "guardrail_input"),
    (Reason.CURATE_EMPTY_PROMPT, ~pl.col("has_prompt")),
    (Reason.CURATE_BLANK_TURN, pl.col("has_blank_turn")),
    (Reason.CURATE_DANGLING_TOOL_CALL, pl.col("has_dangling_call")),
    (Reason.CURATE_LAST_NOT_USER, ~pl.col("is_user_last")),
)
"""What makes an exchange useless whatever the recipe says."""

RESPONSE_RULES = (
    (Reason.CURATE_GUARDRAIL_OUTPUT, pl.col("stop_reason").is_in(_OUTPUT_BLOCKED)),
    (Reason.CURATE_REFUSAL, pl.col("stop_reason") == "refusal"),
    (Reason.CURATE_MALFORMED, pl.col("stop_reason").is_in(_MALFORMED)),
    (Reason.CURATE_CUT_OFF, pl.col("stop_reason").is_in(_CUT_OFF)),
    (Reason.CURATE_UNFINISHED, ~_IS_GOOD_STOP),
    (Reason.CURATE_EMPTY_RESPONSE, ~pl.col("has_response")),
)
"""What is wrong with a response, however good its prompt."""


def with_response_flags(exchanges: pl.DataFrame) -> pl.DataFrame:
    """Add `has_good_response`: whether the response may be an answer, a vote, or be graded."""
    is_bad = pl.any_horizontal(is_broken.fill_null(value=False) for _, is_broken in RESPONSE_RULES)
    return exchanges.with_columns(has_good_response=~is_bad)


def drop_unteachable(
    exchanges: pl.DataFrame, *, max_prompt_tokens: int, takes_history: bool
) -> FilterResult:
    """Drop exchanges that no reward function can learn from, or that the template can't hold.

    `exchanges` has the columns of `tables.EXCHANGES`, with or without the text, and `label` (null:
    none). What is wrong with a response drops none that has a label: its answer is the label.
    """
    is_labelled = pl.col("label").is_not_null()
    rules = [
        *PROMPT_RULES,
        (Reason.CURATE_MULTI_TURN, ~pl.col("is_single_turn") & ~pl.lit(takes_history)),
        (Reason.CURATE_TOO_LONG, pl.col("prompt_tokens") > max_prompt_tokens),
        *((reason, is_broken & ~is_labelled) for reason, is_broken in RESPONSE_RULES),
    ]
    return apply_rules(exchanges, rules)


def drop_private(prompts: pl.DataFrame, kinds: Collection[str]) -> FilterResult:
    """Drop prompts that hold any of the `kinds` of personal data or secrets.

    `prompts` has a column for each kind: how many of it there are.
    """
    rules = [
        (reason, pl.any_horizontal(pl.col(kind) > 0 for kind in group_kinds))
        for reason, group in (
            (Reason.CURATE_SECRET, SECRETS),
            (Reason.CURATE_PERSONAL_DATA, PERSONAL),
        )
        if (group_kinds := [kind for kind in group if kind in kinds])
    ]
    return apply_rules(prompts, rules)


def drop_evaluated(prompts: pl.DataFrame) -> FilterResult:
    """Drop prompts that overlap an evaluation item: those whose `overlap` tells of one."""
    result = apply_rules(prompts, [(Reason.CURATE_EVALUATION, pl.col("overlap").is_not_null())])
    return FilterResult(result.kept, result.rejected.with_columns(detail=pl.col("overlap")))


_SURVIVAL_ORDER = ("has_good_response", "timestamp", "request_id", "object", "line")


def in_survival_order(exchanges: pl.DataFrame) -> pl.DataFrame:
    """Sort by who survives among those that say the same: the first does.

    Those with a `label` (null: none), then those whose response may be an answer
    (`has_good_response`), then the newest, then the lowest id. The side of the split plays no part:
    if it did, the more often a question is asked, the more likely it would be held out.
    """
    return exchanges.sort(
        pl.col("label").is_not_null(),
        *_SURVIVAL_ORDER,
        descending=[True, True, True, False, False, False],
        nulls_last=True,
    )


def survival_ranks(prompts: pl.DataFrame) -> NDArray[np.int64]:
    """Return the place of each prompt in the survival order, from 0 for the first survivor."""
    order = in_survival_order(_survival_keys(prompts))["row"].to_numpy()
    ranks = np.empty(prompts.height, np.int64)
    ranks[order] = np.arange(prompts.height)
    return ranks


def _survival_keys(prompts: pl.DataFrame) -> pl.DataFrame:
    """Return the columns that decide who survives, and the number of each `row`.

    Only these are sorted: all columns of many prompts take hundreds of megabytes.
    """
    row = pl.int_range(pl.len(), dtype=pl.UInt32).alias("row")
    return prompts.select(row, "prompt_digest", "label", *_SURVIVAL_ORDER)


def drop_exact_duplicates(exchanges: pl.DataFrame) -> FilterResult:
    """Keep the first of each `prompt_digest` (see `in_survival_order`), and count the others.

    Rows keep their order. Kept rows gain `duplicates` (u32, itself not counted). Rejected rows name
    their `survivor`.
    """
    ranks = (
        in_survival_order(_survival_keys(exchanges))
        .select(
            "row",
            survivor=pl.col("request_id").first().over("prompt_digest"),
            is_first=pl.int_range(pl.len()).over("prompt_digest") == 0,
            duplicates=(pl.len().over("prompt_digest") - 1).cast(pl.UInt32),
        )
        .sort("row")
    )
    is_first = ranks["is_first"]
    return FilterResult(
        kept=exchanges.with_columns(ranks["duplicates"]).filter(is_first),
        rejected=exchanges.with_columns(ranks["survivor"])
        .filter(~is_first)
        .with_columns(reason=pl.lit(Reason.CURATE_EXACT_DUPLICATE.value)),
    )


def drop_near_duplicates(prompts: pl.DataFrame, near: pl.DataFrame) -> FilterResult:
    """Keep the survivors of near duplicates, and count the others among their `duplicates`.

    Rows keep their order. `near` has the schema `near_duplicates.SURVIVORS`; its numbers are those
    of the rows of `prompts`, which `drop_exact_duplicates` kept. Rejected rows name their
    `survivor`, and in `detail` how similar the two are.
    """
    numbers = prompts.select("request_id", "duplicates").with_row_index("row")
    names = numbers.select(survivor="row", survivor_id="request_id")
    matches = numbers.join(
        near.join(names, on="survivor"), on="row", how="left", maintain_order="left"
    )
    is_other = (pl.col("row") != pl.col("survivor")).fill_null(value=False)
    is_lost = matches.select(is_other).to_series()
    losses = matches.filter(is_lost)
    gains = losses.group_by(row="survivor").agg(gains=(pl.col("duplicates") + 1).sum())
    total = (pl.col("duplicates") + pl.col("gains").fill_null(0)).cast(pl.UInt32)
    totals = matches.join(gains, on="row", how="left", maintain_order="left").select(total)
    # Rounded down: prompts that differ must not be reported as 100 % the same.
    percent = pl.format("{} %", (pl.col("similarity") * 100).floor().cast(pl.Int64))
    details = losses.select(
        reason=pl.lit(Reason.CURATE_NEAR_DUPLICATE.value),
        survivor="survivor_id",
        detail=pl.format("{} of their 5-word shingles are the same", percent),
    )
    return FilterResult(
        kept=prompts.with_columns(totals.to_series()).filter(~is_lost),
        rejected=prompts.filter(is_lost).drop("duplicates").hstack(details),
    )
