"""Which exchanges grew from each other, and which turns stand for their conversation."""

from datetime import timedelta

import polars as pl

from bedrock_sluice.transforms.components import label_components
from bedrock_sluice.transforms.fates import FilterResult
from bedrock_sluice.transforms.reasons import Reason
from bedrock_sluice.transforms.settings import Policy

MAX_BRANCHES = 8
"""Distinct prompts that may grow from one; what more grow from is a common opening ("Hi")."""

_EMPTY = 0  # the tip of a prompt that has no message


def group_conversations(exchanges: pl.DataFrame, key: str | None) -> pl.DataFrame:
    """Add `conversation` (a name), `depth` (u32, messages); rows keep their order.

    `exchanges` has `request_id, timestamp, object, line, request_metadata` (a map) and the columns
    of `ConversationMarks`. A conversation is the value of the metadata `key`; of records without
    one, it is what grew by prefix, named by the digest of its root.

    Only a further message makes a conversation grow. Prompts that differ in nothing but the dates
    of their system message are other prompts: what goes on from one of them is the growth of the
    one under the very same system message, else of the last one that was logged before.
    """
    session = session_name(key) if key else pl.lit(None, pl.String)
    nodes_of_turns = _with_nodes(exchanges).with_columns(
        conversation=session, depth=pl.col("path").list.len()
    )
    loose = nodes_of_turns.filter(pl.col("conversation").is_null())
    names = nodes_of_turns.join(_name_roots(loose), on="node", how="left", maintain_order="left")
    return names.with_columns(conversation=pl.coalesce("conversation", "root")).drop("root", *_NODE)


def choose_turns(
    exchanges: pl.DataFrame, policy: Policy, max_per_conversation: int | None = None
) -> FilterResult:
    """Keep the turns that stand for their conversation, at most `max_per_conversation` of each.

    `last` keeps leaves (of the rows given), deepest first, then newest; `first` the shallowest,
    then oldest; `each` all, shallowest first. Ties go to the lowest request id. Without a limit,
    `last` and `first` keep one. Rows with a `label` come before all others, and all stay: depth
    is not a reason to lose an answer that a person gave. Rejected rows name as `survivor` the
    first turn kept. Rows keep their order.
    """
    ends = policy == "last"
    limit = max_per_conversation or (None if policy == "each" else 1)
    is_end = _is_leaf(exchanges) if ends else pl.lit(value=True)
    # Only these are sorted: all columns of many exchanges take hundreds of megabytes.
    ranking = (
        exchanges.select(
            "conversation", "depth", "timestamp", "request_id", "object", "line",
            row=pl.int_range(pl.len()), is_labelled=pl.col("label").is_not_null(), is_end=is_end,
        )
        .sort(
            "conversation", "is_labelled", "is_end", "depth", "timestamp", "request_id", "object",
            "line", descending=[False, True, True, ends, ends, False, False, False],
            nulls_last=True,
        )
        .select(
            "row", "is_labelled", "is_end",
            survivor=pl.col("request_id").first().over("conversation"),
            rank=pl.int_range(pl.len()).over("conversation"),
        )
        .sort("row")
    )  # fmt: skip
    # Where a turn is asked again later, growth may lead in a circle: it has no end, but a first.
    is_kept = pl.col("is_end") | (pl.col("rank") == 0)
    if limit is not None:
        is_kept &= pl.col("rank") < limit
    decisions = ranking.select("survivor", is_kept=is_kept | pl.col("is_labelled"))
    return FilterResult(
        kept=exchanges.filter(decisions["is_kept"]),
        rejected=exchanges.with_columns(
            decisions["survivor"], reason=pl.lit(Reason.CURATE_CONVERSATION_TURN.value)
        ).filter(~decisions["is_kept"]),
    )


def session_name(key: str) -> pl.Expr:
    """The name that the metadata `key` gives a conversation; a blank value names nothing."""
    value = pl.col("request_metadata").map.get(key)
    return pl.lit(f"{key}=") + pl.when(value.str.strip_chars() != "").then(value)


_NODE = ("node", "tip", "scoped_path")


def _with_nodes(turns: pl.DataFrame) -> pl.DataFrame:
    """Add the `node` of each turn: a number for its prompt, as conversations see it.

    `tip` and `scoped_path` are the digests of its turns under its system message without dates; the
    node counts the dates too. All depend on the row alone.
    """
    path = pl.col("path") + _number("system_digest")
    turns_in_scope = turns.with_columns(scoped_path=path).with_columns(
        tip=pl.col("scoped_path").list.last().fill_null(_EMPTY)
    )
    dates = _number("system_digest") ^ _number("dated_system_digest")
    return turns_in_scope.with_columns(node=pl.col("tip") ^ dates)


def _number(digest: str) -> pl.Expr:
    return pl.col(digest).str.to_integer(base=16, dtype=pl.UInt64).fill_null(_EMPTY)


def _nodes(turns: pl.DataFrame) -> pl.DataFrame:
    """One row for each node `within` one value, numbered (`place`), with when it was asked."""
    at = pl.col("timestamp")
    nodes = turns.group_by("within", "node").agg(
        pl.col("tip", "scoped_path", "head").first(), first_at=at.min(), last_at=at.max()
    )
    return nodes.sort("within", "node").with_row_index("place")


def _name_roots(turns: pl.DataFrame) -> pl.DataFrame:
    """Of each `node`, the name of what grew from one `root`: first by prefix, then by cut links."""
    nodes = _nodes(turns.with_columns(within=pl.lit(0, pl.UInt32)))
    growth = _growth(nodes).with_columns(is_followed=pl.len().over("parent") <= MAX_BRANCHES)
    trees = nodes.with_columns(tree=_components(nodes.height, growth.filter("is_followed")))
    orphans = trees.join(growth, on="place", how="anti")
    ends = turns.select("node", "tail").join(trees.select("node", "place", "tree"), on="node")
    links = pl.concat([growth, _cut_links(orphans, ends)])
    followed_links = links.filter("is_followed")
    is_grown = pl.col("place").is_in(followed_links["place"].implode())
    names = trees.with_columns(tree=_components(nodes.height, followed_links))
    roots = names.sort(is_grown, "node").select("node", root=pl.col("node").first().over("tree"))
    digits = roots["root"].to_numpy().astype(">u8").tobytes().hex()
    hexes = [digits[start : start + 16] for start in range(0, len(digits), 16)]
    return roots.with_columns(root=pl.Series(hexes, dtype=pl.String))


def _growth(nodes: pl.DataFrame) -> pl.DataFrame:
    """From each of the `_nodes` (`place`) to the one that it grew from (`parent`), if any.

    That is its longest beginning that is a whole prompt. Where several nodes are, since their
    system messages tell the time: the one under the very same system message, else the last one
    that was asked before, else the first of all.
    """
    stamps = nodes.select("place", "within", at="first_at", dates=pl.col("node") ^ pl.col("tip"))
    openings = nodes.select("within", begun="tip", parent="place").join(
        stamps.select(parent="place", parent_at="at", parent_dates="dates"), on="parent"
    )
    wait = pl.col("at") - pl.col("parent_at")
    return (
        _beginnings(nodes)
        .join(stamps, on="place")
        .join(openings, on=["within", "begun"])
        .filter(pl.col("length") == pl.col("length").max().over("place"))
        .sort(
            "place", pl.col("dates") == pl.col("parent_dates"), wait >= timedelta(0), wait.abs(),
            "parent", descending=[False, True, True, False, False], nulls_last=True,
        )
        .group_by("place", maintain_order=True)
        .agg(pl.col("parent").first())
    )  # fmt: skip


def _cut_links(orphans: pl.DataFrame, turns: pl.DataFrame) -> pl.DataFrame:
    """From prompts whose history was cut off in front to the turn that they begin with.

    A pair at the end of more than one tree tells nothing: it is asked and answered again and again.
    """
    ends = (
        turns.filter(pl.col("tail").is_not_null())
        .group_by("tail")
        .agg(pl.col("place").min().alias("parent"), pl.col("tree").min(), trees=pl.n_unique("tree"))
    )
    links = orphans.join(ends, left_on="head", right_on="tail", suffix="_ended")
    is_known = (pl.col("trees") == 1) & (pl.col("tree") != pl.col("tree_ended"))
    is_few = pl.len().over("head") <= MAX_BRANCHES
    return links.select("place", "parent", is_followed=is_known & is_few)


def _beginnings(nodes: pl.DataFrame) -> pl.DataFrame:
    """One row for each proper beginning of each node: `begun` is its digest, and its `length`."""
    path = pl.col("scoped_path")
    pieces = nodes.filter(path.list.len() > 1).select(
        "place", "tip", begun=path, length=pl.int_ranges(path.list.len())
    )
    proper = pieces.explode("begun", "length").filter(pl.col("begun") != pl.col("tip"))
    return proper.drop("tip")


def _components(nodes: int, links: pl.DataFrame) -> pl.Series:
    """Return the number of each node's component."""
    return pl.Series(label_components(nodes, links["place"].to_numpy(), links["parent"].to_numpy()))


def _is_leaf(exchanges: pl.DataFrame) -> pl.Series:
    """Whether no other prompt of the same conversation grew from each."""
    turns = _with_nodes(exchanges).with_columns(within=pl.col("conversation").rank("dense"))
    nodes = _nodes(turns)
    growth = _growth(nodes)
    parents = nodes.join(growth, left_on="place", right_on="parent", how="semi")
    # Only time tells which of two turns went on, where pairs of words come back.
    went_on = (
        nodes.join(growth, on="place", how="anti")
        .group_by("within", tail="head")
        .agg(newest=pl.col("last_at").max())
    )
    parents_of_turns = parents.select("within", "node", is_begun=pl.lit(value=True))
    flags = turns.join(
        parents_of_turns, on=["within", "node"], how="left", maintain_order="left"
    ).join(went_on, on=["within", "tail"], how="left", maintain_order="left")
    is_grown_from = pl.col("is_begun") | (pl.col("timestamp") < pl.col("newest"))
    return flags.select(is_leaf=~is_grown_from.fill_null(value=False))["is_leaf"]
