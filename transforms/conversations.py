"""Which exchanges grew from each other, and which turns stand for their conversation."""

from typing import Literal

import numpy as np
import polars as pl
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from bedrock_sluice.transforms.fates import Sifted
from bedrock_sluice.transforms.reasons import Reason

MAX_BRANCHES = 8
"""Distinct prompts that may grow from one; what more grow from is a common opening ("Hi")."""

Policy = Literal["last", "each", "first"]

_EMPTY = 0  # the tip of a prompt that has no message
_TIP = pl.col("path").list.last().fill_null(_EMPTY)


def group_conversations(exchanges: pl.DataFrame, key: str | None) -> pl.DataFrame:
    """Add `conversation` (a name), `depth` (u32, messages); rows keep their order.

    `exchanges` has `request_id, timestamp, object, line, request_metadata` (a map) and the marks
    `path, head, tail` (u64). A conversation is the value of the metadata `key`; of records without
    one, it is what grew by prefix, named by the digest of its root.
    """
    session = _session(key) if key else pl.lit(None, pl.String)
    placed = exchanges.with_columns(conversation=session, depth=pl.col("path").list.len(), tip=_TIP)
    loose = placed.filter(pl.col("conversation").is_null())
    grown = _grown(loose.select("tip", "path", "head", "tail"))
    named = placed.join(grown, on="tip", how="left", maintain_order="left").with_columns(
        pl.coalesce("conversation", "root").alias("conversation")
    )
    return named.drop("root", "tip")


def choose_turns(
    exchanges: pl.DataFrame, policy: Policy, max_per_conversation: int | None = None
) -> Sifted:
    """Keep the turns that stand for their conversation, at most `max_per_conversation` of each.

    `last` keeps leaves (of the rows given), deepest first, then newest; `first` the shallowest,
    then oldest; `each` all, shallowest first. Ties go to the lowest request id. Without a limit,
    `last` and `first` keep one. Rejected rows name as `survivor` the first turn kept.
    """
    ends = policy == "last"
    limit = max_per_conversation or (None if policy == "each" else 1)
    ranked = (
        exchanges.with_columns(is_end=_is_leaf(exchanges.with_columns(tip=_TIP)) | (not ends))
        .sort(
            "conversation", "is_end", "depth", "timestamp", "request_id", "object", "line",
            descending=[False, True, ends, ends, False, False, False],
            nulls_last=True,
        )
        .with_columns(
            survivor=pl.col("request_id").first().over("conversation"),
            rank=pl.int_range(pl.len()).over("conversation"),
        )
    )  # fmt: skip
    # Where a turn is asked again later, growth may lead in a circle: it has no end, but a first.
    is_kept = pl.col("is_end") | (pl.col("rank") == 0)
    if limit is not None:
        is_kept &= pl.col("rank") < limit
    scratch = ["is_end", "rank"]
    return Sifted(
        kept=ranked.filter(is_kept).drop(*scratch, "survivor").sort("object", "line"),
        rejected=ranked.filter(~is_kept)
        .drop(*scratch)
        .with_columns(reason=pl.lit(Reason.CURATE_CONVERSATION_TURN.value))
        .sort("object", "line"),
    )


def prefix_overlaps(lines: pl.DataFrame) -> int:
    """How many lines are the beginning, or the whole, of a prompt on another side of the split.

    `lines` has `split` and `path`; a line without messages counts as the beginning of none.
    """
    begun = lines.select("path", other="split").explode("path").unique()
    return (
        lines.with_row_index("number")
        .select("number", "split", tip=pl.col("path").list.last())
        .join(begun, left_on="tip", right_on="path")
        .filter(pl.col("split") != pl.col("other"))["number"]
        .n_unique()
    )


def _session(key: str) -> pl.Expr:
    """The name that the metadata `key` gives; a blank value names nothing."""
    value = pl.col("request_metadata").map.get(key)
    told = pl.when(value.str.strip_chars() != "").then(value)
    return pl.lit(f"{key}=") + told


def _grown(turns: pl.DataFrame) -> pl.DataFrame:
    """Of each `tip`, the name of what grew from one `root`: first by prefix, then by cut links."""
    tips = turns.group_by("tip").agg(pl.col("path", "head").first()).sort("tip")
    tips = tips.with_row_index("node")
    grown = _prefix_links(tips)
    trees = tips.with_columns(tree=_components(tips.height, grown.filter("is_followed")))
    orphans = trees.join(grown, on="node", how="anti")
    ends = turns.select("tip", "tail").join(trees.select("tip", "node", "tree"), on="tip")
    links = pl.concat([grown, _cut_links(orphans, ends)])
    followed = links.filter("is_followed")
    is_grown = pl.col("node").is_in(followed["node"].implode())
    named = trees.with_columns(tree=_components(tips.height, followed))
    roots = named.sort(is_grown, "tip").select("tip", root=pl.col("tip").first().over("tree"))
    return roots.with_columns(root=pl.Series(np.char.mod("%016x", roots["root"].to_numpy())))


def _prefix_links(tips: pl.DataFrame) -> pl.DataFrame:
    """From each prompt (`node`) to its longest beginning that is a whole prompt (`parent`)."""
    known = tips.select("tip", parent="node")
    links = (
        _beginnings(tips.select("node", "tip", "path"))
        .join(known, left_on="path", right_on="tip", maintain_order="left")
        .group_by("node")
        .agg(pl.col("parent").last())
    )
    return links.with_columns(is_followed=pl.len().over("parent") <= MAX_BRANCHES)


def _cut_links(orphans: pl.DataFrame, turns: pl.DataFrame) -> pl.DataFrame:
    """From prompts whose history was cut off in front to the turn that they begin with.

    A pair at the end of more than one tree tells nothing: it is asked and answered again and again.
    """
    ends = (
        turns.filter(pl.col("tail").is_not_null())
        .group_by("tail")
        .agg(pl.col("node").min().alias("parent"), pl.col("tree").min(), trees=pl.n_unique("tree"))
    )
    links = orphans.join(ends, left_on="head", right_on="tail", suffix="_ended")
    is_told = (pl.col("trees") == 1) & (pl.col("tree") != pl.col("tree_ended"))
    is_few = pl.len().over("head") <= MAX_BRANCHES
    return links.select("node", "parent", is_followed=is_told & is_few)


def _beginnings(prompts: pl.DataFrame) -> pl.DataFrame:
    """One row for each proper beginning of each prompt, shortest first: `path` is its digest."""
    return prompts.explode("path").filter(pl.col("path") != pl.col("tip"))


def _components(nodes: int, links: pl.DataFrame) -> pl.Series:
    """Of each node, the number of the component that it belongs to."""
    pairs = (links["node"].to_numpy(), links["parent"].to_numpy())
    graph = coo_array((np.ones(links.height, np.int8), pairs), shape=(nodes, nodes))
    return pl.Series(connected_components(graph, directed=False)[1])


def _is_leaf(turns: pl.DataFrame) -> pl.Series:
    """Whether no other prompt of the same conversation grew from each; `turns` has `tip` too."""
    own = ["conversation", "tip"]
    placed = turns.select(
        pl.col("conversation").rank("dense"), "tip", "path", "head", "tail", "timestamp"
    )
    prompts = placed.select(*own, "path").unique(own)
    growth = _beginnings(prompts).join(
        prompts, left_on=["conversation", "path"], right_on=own, how="semi"
    )
    begun = growth.select("conversation", tip="path").unique().with_columns(is_begun=True)
    # Only time tells which of two turns went on, where pairs of words come back.
    went_on = (
        placed.join(growth, on=own, how="anti")
        .group_by("conversation", tail="head")
        .agg(newest=pl.col("timestamp").max())
    )
    told = placed.join(begun, on=own, how="left", maintain_order="left").join(
        went_on, on=["conversation", "tail"], how="left", maintain_order="left"
    )
    is_grown_from = pl.col("is_begun") | (pl.col("timestamp") < pl.col("newest"))
    return told.select(is_leaf=~is_grown_from.fill_null(value=False))["is_leaf"]
