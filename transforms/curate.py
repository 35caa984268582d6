"""Exchanges to prompts: drop what cannot teach, then all but one of each exact duplicate."""

import polars as pl

from bedrock_sluice.transforms.fates import Sifted, sift
from bedrock_sluice.transforms.reasons import Reason

_BLOCKED = ("guardrail_intervened", "content_filtered")
_CUT_OFF = ("max_tokens", "model_context_window_exceeded", "broken_off")


def drop_unteachable(
    exchanges: pl.DataFrame, *, max_prompt_tokens: int, takes_history: bool
) -> Sifted:
    """Drop exchanges that no reward function can learn from, or that the template can't hold.

    `exchanges` has the columns of `tables.EXCHANGES`, with or without the text.
    """
    rules = [
        (Reason.CURATE_MEDIA, pl.col("has_media")),
        (Reason.CURATE_GUARDRAIL, pl.col("stop_reason").is_in(_BLOCKED)),
        (Reason.CURATE_GUARDRAIL_INPUT, pl.col("stop_reason") == "guardrail_input"),
        (Reason.CURATE_GUARDRAIL_OUTPUT, pl.col("stop_reason") == "guardrail_output"),
        (Reason.CURATE_CUT_OFF, pl.col("stop_reason").is_in(_CUT_OFF)),
        (Reason.CURATE_EMPTY_PROMPT, ~pl.col("has_prompt")),
        (Reason.CURATE_BLANK_TURN, pl.col("has_blank_turn")),
        (Reason.CURATE_EMPTY_RESPONSE, ~pl.col("has_response")),
        (Reason.CURATE_LAST_NOT_USER, ~pl.col("is_user_last")),
        (Reason.CURATE_MULTI_TURN, ~pl.col("is_single_turn") & ~pl.lit(takes_history)),
        (Reason.CURATE_TOO_LONG, pl.col("prompt_tokens") > max_prompt_tokens),
    ]
    return sift(exchanges, rules)


def drop_exact_duplicates(exchanges: pl.DataFrame, labelled: pl.Series) -> Sifted:
    """Keep one exchange of each `prompt_digest`, with the count of those it stands for.

    The survivor is labelled rather than not (`labelled` holds request ids), then the newest, then
    the one with the lowest id. Kept rows gain `duplicates` (u32, itself not counted); rejected rows
    name their `survivor`.
    """
    ranked = exchanges.with_columns(
        is_labelled=pl.col("request_id").is_in(labelled.implode())
    ).sort(
        "prompt_digest", "is_labelled", "timestamp", "request_id",
        descending=[False, True, True, False],
        nulls_last=True,
    )  # fmt: skip
    counted = ranked.with_columns(
        survivor=pl.col("request_id").first().over("prompt_digest"),
        rank=pl.int_range(pl.len()).over("prompt_digest"),
        duplicates=(pl.len().over("prompt_digest") - 1).cast(pl.UInt32),
    )
    is_first = pl.col("rank") == 0
    scratch = ["is_labelled", "rank"]
    return Sifted(
        kept=counted.filter(is_first).drop(*scratch, "survivor").sort("object", "line"),
        rejected=counted.filter(~is_first)
        .drop(*scratch, "duplicates")
        .with_columns(reason=pl.lit(Reason.CURATE_EXACT_DUPLICATE.value))
        .sort("object", "line"),
    )
