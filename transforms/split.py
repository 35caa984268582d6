"""Train or validation, by a keyed hash of the group: stable whatever else is in the data.

Each record has an elementary group, its `root`, told by the record alone; the root's side is a
keyed hash of its name, so it never moves. What is found between records (turns of a conversation,
near duplicates) ties roots together. Such a link may come late and join a root of train to one of
validation. Then validation wins: the lines of train are left out, and none changes its side.
"""

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
import polars as pl
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from bedrock_sluice.transforms.fates import Sifted
from bedrock_sluice.transforms.reasons import Reason

TRAIN, VALIDATION = "train", "validation"
LINKS = pl.Schema({"left": pl.String, "right": pl.String})
"""One row per two roots that belong together; which one stands left does not matter."""

_HALF_BITS = 64


def assign_groups(exchanges: pl.DataFrame, keys: Sequence[str]) -> pl.DataFrame:
    """Replace `root` by the values of the metadata `keys`, where none of them lacks.

    `exchanges` has `root`, told by the conversation itself, and `request_metadata` (a map).
    """
    if not keys:
        return exchanges
    values = [pl.col("request_metadata").map.get(key).alias(key) for key in dict.fromkeys(keys)]
    has_all = pl.all_horizontal(value.is_not_null() for value in values)
    named = pl.struct(values).struct.json_encode()
    return exchanges.with_columns(root=pl.when(has_all).then(named).otherwise("root"))


def root_of() -> pl.Expr:
    """The elementary group of an exchange: the digest of what its user said first."""
    return pl.coalesce(pl.col("path").list.first().cast(pl.String), "prompt_digest")


def is_held_out(roots: pl.Series, *, validation: float, salt: str) -> pl.Series:
    """Whether the side of each root is that of validation."""
    sides = {name: _two_numbers(salt, name)[0] < validation for name in roots.unique()}
    return pl.Series([sides[name] for name in roots], dtype=pl.Boolean)


def tie(records: pl.DataFrame, by: str | pl.Expr) -> pl.DataFrame:
    """The links (`LINKS`) between the roots of those `records` that have the same value of `by`.

    A null ties nothing. Each root is tied to the lowest of its value: as many links as roots.
    """
    valued = records.select("root", by=by).drop_nulls().unique()
    tied = valued.select(left=pl.col("root").min().over("by"), right="root")
    return tied.filter(pl.col("left") != pl.col("right")).unique().sort("left", "right")


def split(prompts: pl.DataFrame, links: pl.DataFrame, *, validation: float, salt: str) -> Sifted:
    """Add `split`, and `group`: the lowest of all roots that are tied to the row's, or itself.

    `prompts` has `root`, `prompt_digest` and `request_id`; `links` has the schema `LINKS`, and may
    name roots that no prompt has (any more): rows of train that are tied to a root on the side of
    validation are rejected even then, lest what an older release held out be trained on. Rejected
    rows name the lowest row of validation in their group as `survivor`, where there is one.

    Kept rows are shuffled, and stable: their order depends on `salt` and each prompt alone.
    """
    is_held = pl.col("split") == VALIDATION
    judged = (
        in_stable_order(prompts, salt)
        .join(_sides(prompts["root"], links, validation, salt), on="root", how="left")
        .with_columns(survivor=pl.col("request_id").filter(is_held).min().over("group"))
        .sort("order", "request_id")
    )
    is_evicted = ~is_held & pl.col("is_joined")
    scratch = ["order", "is_joined"]
    return Sifted(
        kept=judged.filter(~is_evicted).drop(*scratch, "survivor"),
        rejected=judged.filter(is_evicted)
        .drop(scratch)
        .with_columns(reason=pl.lit(Reason.SPLIT_JOINED_VALIDATION.value)),
    )


def evict(prompts: pl.DataFrame, is_evicted: pl.Series) -> Sifted:
    """Leave out rows of train that belong with what validation holds, or held."""
    return Sifted(
        kept=prompts.filter(~is_evicted),
        rejected=prompts.filter(is_evicted).with_columns(
            reason=pl.lit(Reason.SPLIT_JOINED_VALIDATION.value)
        ),
    )


def _sides(roots: pl.Series, links: pl.DataFrame, validation: float, salt: str) -> pl.DataFrame:
    """Of each root: its `group`, its `split`, and whether its group has a root of validation."""
    names = pl.concat([roots, links["left"], links["right"]]).unique().sort()
    is_held = is_held_out(names, validation=validation, salt=salt).alias("is_held")
    return pl.DataFrame([names.alias("root"), _components(names, links), is_held]).select(
        "root",
        group=pl.col("root").min().over("component"),
        split=pl.when("is_held").then(pl.lit(VALIDATION)).otherwise(pl.lit(TRAIN)),
        is_joined=pl.col("is_held").any().over("component"),
    )


def _components(names: pl.Series, links: pl.DataFrame) -> pl.Series:
    """The number of the component that each of `names` (sorted) belongs to."""
    ends = [names.search_sorted(links[end]).to_numpy() for end in LINKS.names()]
    graph = coo_array((np.ones(links.height), ends), shape=(names.len(), names.len()))
    return pl.Series("component", connected_components(graph, directed=False)[1])


def in_stable_order(prompts: pl.DataFrame, salt: str, purpose: str = "") -> pl.DataFrame:
    """Sort by a keyed hash of `prompt_digest`, added as `order`; then by `request_id`.

    What is first stays first, whatever is added. Choices for different purposes are independent:
    a prompt that one of them left in has no better a chance with the next.
    """
    digests = prompts["prompt_digest"].unique()
    start = f"{purpose}\0" if purpose else ""
    numbers = [_two_numbers(salt, f"{start}{digest}")[1] for digest in digests]
    order = pl.Series(numbers, dtype=pl.Float64)
    ordered = pl.col("prompt_digest").replace_strict(digests, order, return_dtype=pl.Float64)
    return prompts.with_columns(order=ordered).sort("order", "request_id")


def _two_numbers(salt: str, text: str) -> tuple[float, float]:
    """Two independent numbers in [0, 1), the same on every machine."""
    digest = blake2b(text.encode(), key=salt.encode(), digest_size=2 * _HALF_BITS // 8).digest()
    half = len(digest) // 2
    return (
        int.from_bytes(digest[:half]) / 2**_HALF_BITS,
        int.from_bytes(digest[half:]) / 2**_HALF_BITS,
    )
