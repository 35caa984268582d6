"""Train or validation, by a keyed hash of the group: stable whatever else is in the data.

Each record has a `root`: the digest of what its user asked first, whatever the system message; or
of the session or the metadata values that the recipe names. What must not stand on both sides ties
roots together: the turns of a conversation, and prompts that ask the same or nearly the same. Roots
that are tied are one group, and a group has one side, however many prompts are in it. So the sides
share the groups, and a question that is asked in many words weighs no more than another.

What is tied changes as data come and go, and so may the hash of a group. Therefore sides are kept:
a root that had a line in an earlier release keeps its side, and gives it to the new roots that are
tied to it. Where new data tie a root of train to one of validation, the new roots go to validation,
and the tie to the root of train is cut: none changes its side. What the two say alike is left out
of train, line by line (see `leaking`).
"""

from collections.abc import Iterable, Sequence
from functools import partial
from hashlib import blake2b

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bedrock_sluice.transforms.components import label_components
from bedrock_sluice.transforms.fates import FilterResult
from bedrock_sluice.transforms.reasons import Reason

TRAIN, VALIDATION = "train", "validation"
LINKS = pl.Schema({"left": pl.String, "right": pl.String})
"""One row per two roots that belong together; which one stands left does not matter."""

SIDES = pl.Schema({"root": pl.String, "split": pl.String})
"""One row per root that had a line in an earlier release, and the side of that line."""

ROOT_BYTES = 16
_DIGEST_BYTES = 16  # of two numbers


def name_roots(
    exchanges: pl.DataFrame, *, group_by: Sequence[str], session: pl.Expr | None, salt: str
) -> pl.DataFrame:
    """Add `root`: the keyed hash (hex) of what keeps a record with others, told by it alone.

    That is the values of the metadata keys `group_by`, where none lacks; else the `session` (a
    name), where there is one; else what the user said first (`path`), or the whole prompt
    (`prompt_digest`) of a record without messages. `exchanges` has `request_metadata` (a map) too.
    """
    first_question = pl.coalesce(pl.col("path").list.first().cast(pl.String), "prompt_digest")
    names = [] if session is None else [session]
    if group_by:
        keys = dict.fromkeys(group_by)  # a struct cannot hold a field twice
        values = [pl.col("request_metadata").map.get(key).alias(key) for key in keys]
        has_all = pl.all_horizontal(value.is_not_null() for value in values)
        names.insert(0, pl.when(has_all).then(pl.struct(values).struct.json_encode()))
    root_names = exchanges.select(name=pl.coalesce(*names, first_question))["name"]
    unique = root_names.unique()  # each name is hashed once, however many records share it
    digests = [
        blake2b(name.encode(), key=salt.encode(), digest_size=ROOT_BYTES).hexdigest()
        for name in unique
    ]
    roots = pl.Series(digests, dtype=pl.String)
    hashes = root_names.replace_strict(unique, roots, return_dtype=pl.String)
    return exchanges.with_columns(root=hashes)


def link_groups(records: pl.DataFrame, by: str | pl.Expr) -> pl.DataFrame:
    """The links (`LINKS`) between the roots of those `records` that have the same value of `by`.

    A null ties nothing. Each root is tied to the lowest of its value: as many links as roots.
    """
    values = records.select("root", by=by).drop_nulls().unique()
    return link_pairs(values.select(left=pl.col("root").min().over("by"), right="root"))


def link_beginnings(records: pl.DataFrame) -> pl.DataFrame:
    """The links (`LINKS`) between records one of which is the beginning, or the whole, of another.

    `records` has `root` and `path`: what was said counts, whatever the system message.
    """
    beginnings = records.select("root", tip="path").explode("tip").drop_nulls().unique()
    whole = records.select(left="root", tip=pl.col("path").list.last()).drop_nulls().unique()
    return link_pairs(whole.join(beginnings.select("tip", right="root"), on="tip"))


def link_pairs(pairs: pl.DataFrame) -> pl.DataFrame:
    """The links (`LINKS`) that pairs of roots (`left`, `right`) make: each once, sorted."""
    links = pairs.select(LINKS.names()).filter(pl.col("left") != pl.col("right"))
    return links.unique().sort("left", "right")


def split(
    prompts: pl.DataFrame,
    links: pl.DataFrame,
    earlier: pl.DataFrame,
    *,
    validation: float,
    salt: str,
) -> pl.DataFrame:
    """Add `split`, and `group`: the lowest of all roots that are tied to the row's, or itself.

    `prompts` has `root`, `prompt_digest` and `request_id`; `links` has the schema `LINKS`, and
    `earlier` that of `SIDES`; both may name roots that no prompt has (any more). A root that had a
    side keeps it; where it had both, validation. A root that had none takes the side of the roots
    that it is tied to, validation first; where they had none either, by a keyed hash of the group.

    Rows are shuffled, and stable: their order depends on `salt` and each prompt alone.
    """
    sides = _sides(prompts["root"], links, earlier, validation, salt)
    return in_stable_order(prompts.join(sides, on="root", how="left"), salt).drop("order")


def evict(prompts: pl.DataFrame, is_evicted: pl.Series) -> FilterResult:
    """Leave out rows of train that say what a line of validation says, or said earlier."""
    return FilterResult(
        kept=prompts.filter(~is_evicted),
        rejected=prompts.filter(is_evicted).with_columns(
            reason=pl.lit(Reason.SPLIT_JOINED_VALIDATION.value)
        ),
    )


def _sides(
    roots: pl.Series, links: pl.DataFrame, earlier: pl.DataFrame, validation: float, salt: str
) -> pl.DataFrame:
    """Of each root: its `group` and its `split`."""
    names = pl.concat([roots, links["left"], links["right"]]).unique().sort()
    was_held = names.is_in(earlier.filter(split=VALIDATION)["root"].implode()).to_numpy()
    was_trained = names.is_in(earlier["root"].implode()).to_numpy() & ~was_held
    ends = np.stack([names.search_sorted(links[end]).to_numpy() for end in LINKS.names()])
    # What is tied to a held-out root, but by way of one that was trained on, is held out too.
    reach = label_components(len(names), *ends[:, ~was_trained[ends].any(axis=0)])
    is_held = np.isin(reach, reach[was_held])
    is_cut = is_held[ends].any(axis=0) & was_trained[ends].any(axis=0)
    component = pl.Series("component", label_components(len(names), *ends[:, ~is_cut]))
    flags = pl.DataFrame({"is_held": is_held, "was_trained": was_trained})
    with_groups = flags.with_columns(names.alias("root"), component).with_columns(
        pl.col("is_held", "was_trained").any().over("component"),
        group=pl.col("root").min().over("component"),
    )
    groups = with_groups["group"].unique()
    is_drawn = _two_numbers(salt, groups)[:, 0] < validation
    by_hash = pl.DataFrame({"group": groups, "is_drawn": is_drawn})
    is_validation = pl.col("is_held") | (~pl.col("was_trained") & pl.col("is_drawn"))
    side = pl.when(is_validation).then(pl.lit(VALIDATION)).otherwise(pl.lit(TRAIN))
    return with_groups.join(by_hash, on="group").select("root", "group", split=side)


def in_stable_order(prompts: pl.DataFrame, salt: str, purpose: str = "") -> pl.DataFrame:
    """Sort by a keyed hash of `prompt_digest`, added as `order`; then by `request_id`.

    What is first stays first, whatever is added. Choices for different purposes are independent:
    a prompt that one of them left in has no better a chance with the next.
    """
    digests = prompts["prompt_digest"].unique()
    start = f"{purpose}\0" if purpose else ""
    order = pl.Series(_two_numbers(salt, (f"{start}{digest}" for digest in digests))[:, 1])
    position = pl.col("prompt_digest").replace_strict(digests, order, return_dtype=pl.Float64)
    return prompts.with_columns(order=position).sort("order", "request_id")


def _two_numbers(salt: str, texts: Iterable[str]) -> NDArray[np.float64]:
    """Two independent numbers in [0, 1) for each text, the same on every machine."""
    hash_text = partial(blake2b, key=salt.encode(), digest_size=_DIGEST_BYTES)
    digests = b"".join([hash_text(text.encode()).digest() for text in texts])
    return np.frombuffer(digests, ">u8").reshape(-1, 2) / 2.0**64
