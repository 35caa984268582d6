"""Train or validation, by a keyed hash of the group: stable whatever else is in the data."""

from collections.abc import Sequence
from hashlib import blake2b

import polars as pl

from bedrock_sluice.transforms.fates import Sifted
from bedrock_sluice.transforms.reasons import Reason

TRAIN, VALIDATION = "train", "validation"
_HALF_BITS = 64


def assign_groups(prompts: pl.DataFrame, keys: Sequence[str]) -> pl.DataFrame:
    """Add `group`: the values of the metadata `keys`, or the prompt itself where one lacks.

    `prompts` has `prompt_digest` and `request_metadata` (a map).
    """
    if not keys:
        return prompts.with_columns(group=pl.col("prompt_digest"))
    values = [pl.col("request_metadata").map.get(key).alias(key) for key in dict.fromkeys(keys)]
    has_all = pl.all_horizontal(value.is_not_null() for value in values)
    named = pl.struct(values).struct.json_encode()
    return prompts.with_columns(group=pl.when(has_all).then(named).otherwise("prompt_digest"))


def split(prompts: pl.DataFrame, *, validation: float, max_lines: int, salt: str) -> Sifted:
    """Add `split` by group, and keep at most `max_lines` (both sides together).

    The side of a group depends on `salt` and the group alone, so new data move no old group. Which
    lines are kept over the limit depends on `salt` and each prompt alone, so a new day changes few.
    Kept rows stand in that same order: shuffled, and stable.
    """
    side = [_share(salt, group)[0] for group in prompts["group"]]
    rank = [_share(salt, digest)[1] for digest in prompts["prompt_digest"]]
    placed = prompts.with_columns(
        split=pl.Series([VALIDATION if s < validation else TRAIN for s in side], dtype=pl.String),
        rank=pl.Series(rank, dtype=pl.Float64),
    ).sort("rank", "request_id")
    kept, rejected = placed.head(max_lines).drop("rank"), placed.slice(max_lines).drop("rank")
    return Sifted(
        kept=kept,
        rejected=rejected.with_columns(reason=pl.lit(Reason.SPLIT_OVER_MAX_LINES.value)),
    )


def _share(salt: str, text: str) -> tuple[float, float]:
    """Two independent numbers in [0, 1), the same on every machine."""
    digest = blake2b(text.encode(), key=salt.encode(), digest_size=2 * _HALF_BITS // 8).digest()
    half = len(digest) // 2
    return (
        int.from_bytes(digest[:half]) / 2**_HALF_BITS,
        int.from_bytes(digest[half:]) / 2**_HALF_BITS,
    )
