"""More prompts than a job takes: which of them become lines, so that a new day changes few.

Whatever is shared out, each row has its place in the stable order of its stratum, and rows are
taken by their places. So a row that is added takes the place of another, and no more than that.
"""

from collections.abc import Sequence

import polars as pl

from bedrock_sluice.transforms.derived_metadata import model_name
from bedrock_sluice.transforms.fates import FilterResult
from bedrock_sluice.transforms.reasons import Reason
from bedrock_sluice.transforms.settings import Share
from bedrock_sluice.transforms.split import in_stable_order

LENGTH_BANDS = (("short", 256), ("medium", 1_024), ("long", 4_096), ("huge", None))
"""Bands of the estimated tokens of a prompt: their names, and what each stays under."""

STRATUM_COLUMNS = ("model_id", "prompt_tokens", "request_metadata")
"""What the values of strata are told from."""


def stratum(name: str) -> pl.Expr:
    """The value of each prompt for `name`: `model_id` (without what an ARN has before it), `length`
    (its band) or a metadata key."""
    if name == "model_id":
        return model_name(pl.col("model_id"))
    if name == "length":
        tokens = pl.col("prompt_tokens")
        bands = [
            pl.when(tokens.is_not_null() if limit is None else tokens < limit).then(pl.lit(band))
            for band, limit in LENGTH_BANDS
        ]
        return pl.coalesce(bands).alias(name)
    return pl.col("request_metadata").map.get(name).alias(name)


def apply_line_quota(
    prompts: pl.DataFrame,
    *,
    max_lines: int,
    salt: str,
    strata: Sequence[str] = (),
    share: Share = "even",
) -> FilterResult:
    """Keep at most `max_lines` of the prompts, the sides of the split in proportion.

    `prompts` is what `split` kept. Inside a side, the values of the first of `strata` (see
    `stratum`) share the lines: evenly, so that small ones are kept whole and the rest are cut to
    the same height, or in proportion to their sizes. Inside each value the next of `strata` share
    what it got, and so on; then the stable order decides. Prompts that lack a value are one
    stratum. Where callers choose the values, a flood of new values takes from all others when the
    share is even.

    Kept rows stand in the stable order: shuffled, as `split` gives them.
    """
    in_order = in_stable_order(prompts, salt).with_row_index("place")
    names = [f"stratum_{n}" for n in range(len(strata))]
    with_strata = in_order.with_columns(
        stratum(s).alias(n) for s, n in zip(strata, names, strict=True)
    )
    with_ranks = with_strata
    for depth in reversed(range(len(names))):
        with_ranks = _take_turns(with_ranks, ["split", *names[:depth]], names[depth], share)
    with_ranks = _take_turns(with_ranks, [], "split", "proportional")
    is_over = pl.int_range(pl.len()) >= max_lines
    with_limits = with_ranks.with_columns(is_over=is_over).sort("place")
    scratch = ["order", "place", "turn", "is_over", *names]
    return FilterResult(
        kept=with_limits.filter(~pl.col("is_over")).drop(scratch),
        rejected=with_limits.filter("is_over")
        .drop(scratch)
        .with_columns(reason=pl.lit(Reason.SPLIT_OVER_MAX_LINES.value)),
    )


def _take_turns(in_order: pl.DataFrame, within: list[str], name: str, share: Share) -> pl.DataFrame:
    """Merge the rows of each value of `name` (inside of `within`), which stand in their order.

    Evenly: the first of each value, then the second of each, while there are any. In proportion:
    each value is spread over the whole, from its first row on.
    """
    nth = pl.int_range(pl.len()).over(*within, name)
    turn = nth if share == "even" else nth / pl.len().over(*within, name)
    return in_order.with_columns(turn=turn.cast(pl.Float64)).sort(
        *within, "turn", name, nulls_last=True, maintain_order=True
    )
