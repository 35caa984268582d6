"""Selection of the lines that a reviewer should see: by reason, and at random."""

from collections.abc import Mapping
from hashlib import blake2b
from typing import NamedTuple

import polars as pl

from bedrock_sluice.transforms.privacy.kinds import KINDS
from bedrock_sluice.transforms.sampling import stratum
from bedrock_sluice.transforms.settings import TRUST

MAX_REASON_SHARE = 0.5  # of the lines: a reason that holds for more of them singles out nothing
LENGTH_SHARE = 0.9  # of `max_prompt_tokens`, from which on a prompt is close to it
LOW_SCORE_SHARE = 0.5  # of the best score: below it, the grader disagrees with the answer
RARE_SHARE = 0.02  # of the lines, up to which a model and length of prompt are rare
LOW_TRUST = frozenset(TRUST) - {"labels", "feedback", "metadata"}
"""Sources of answers that rest on logged responses alone."""

DIGEST_BYTES = 8
_MASK = rf"\[(?:{'|'.join(kind.upper() for kind in KINDS)})_[0-9a-f]+\]"

REASONS: Mapping[str, str] = {
    "new": "new since the last approved release",
    "new_answer": "its answer changed since the last approved release",
    "disagreement": "its answer and the logged ones disagree, by the grader",
    "length": "close to the limit of length",
    "similar": "close to the limit of near duplicates",
    "rare": "few lines are of its kind",
    "masked": "something in it was masked",
    "trust": "its answer has low trust",
}
"""Why a line is worth a look, in the order in which reasons take turns."""


SHEET_LINES = pl.Schema(
    {
        "id": pl.String(),
        "prompt_digest": pl.String(),
        "answer": pl.String(),  # JSON
        "text": pl.String(),  # the line as it is written
        "reference_source": pl.String(),
        "model_id": pl.String(),
        "prompt_tokens": pl.Int64(),  # estimated
        "neighbour": pl.String(),  # id of a line that is close to a near duplicate, or null
        "similarity": pl.Float64(),  # to that line
        "score": pl.Float64(),  # the best of its logged responses, or null
    }
)
"""One row per line of the release."""


class LineFlags(NamedTuple):
    """`id` and a column for each of `REASONS`; and how many lines are of the kind of each line."""

    flags: pl.DataFrame
    kind_sizes: pl.Series


def flag_lines(
    lines: pl.DataFrame, earlier: pl.DataFrame | None, max_prompt_tokens: int
) -> LineFlags:
    """Return which of `REASONS` hold for each of `SHEET_LINES`.

    `earlier` are `prompt_digest, answer` of the last approved release, None if there is none.
    """
    before = pl.DataFrame(schema={"prompt_digest": pl.String, "answer_before": pl.String})
    if earlier is not None:
        before = earlier.select("prompt_digest", answer_before="answer").unique("prompt_digest")
    with_before = lines.join(before, on="prompt_digest", how="left", maintain_order="left")
    kind = pl.struct(stratum("model_id"), stratum("length"))
    with_sizes = with_before.with_columns(kind_size=pl.len().over(kind))
    sources = set(lines["reference_source"])
    lowest = max(sources, key=lambda name: TRUST.index(name) if name in TRUST else -1, default="")
    flags = {
        "new": pl.lit(earlier is not None) & pl.col("answer_before").is_null(),
        "new_answer": pl.col("answer_before") != pl.col("answer"),
        "disagreement": pl.col("score") < LOW_SCORE_SHARE * pl.col("score").max(),
        "length": pl.col("prompt_tokens") >= LENGTH_SHARE * max_prompt_tokens,
        "similar": pl.col("neighbour").is_not_null(),
        "rare": pl.col("kind_size") <= RARE_SHARE * pl.len(),
        "masked": pl.col("text").str.contains(_MASK),
        "trust": (pl.col("reference_source") == lowest) & (lowest in LOW_TRUST),
    }
    columns = [flags[reason].fill_null(value=False).alias(reason) for reason in REASONS]
    return LineFlags(with_sizes.select("id", *columns), with_sizes["kind_size"])


def select_by_reason(flags: pl.DataFrame, number: int, seed: int) -> list[str]:
    """Return the ids of at most `number` lines that are most worth a look, the best first.

    `flags` has `id` and a column for each of `REASONS`. Reasons take turns, so that none fills the
    sheet; for each of them, lines with more reasons come first, then a keyed hash decides. A reason
    that holds for more than `MAX_REASON_SHARE` of the lines does not select any.
    """
    most = MAX_REASON_SHARE * flags.height
    usable = [reason for reason in REASONS if 0 < flags[reason].sum() <= most]
    if not usable:
        return []
    order = pl.Series("order", _hashes(flags["id"], seed))
    ranks = [
        flags.with_columns(order, reasons=pl.sum_horizontal(usable))
        .filter(reason)
        .sort("reasons", "order", descending=[True, False])
        .with_row_index("rank")
        .select("id", "rank", turn=pl.lit(turn))
        for turn, reason in enumerate(usable)
    ]
    in_turn = pl.concat(ranks).sort("rank", "turn")
    return in_turn.unique("id", keep="first", maintain_order=True)["id"].head(number).to_list()


def draw_sample(ids: pl.Series, number: int, seed: int) -> list[str]:
    """Return `number` ids drawn at random, without replacement: those with the lowest keyed hash.

    The same ids and seed give the same sample, in the same order; a larger one begins with it.
    """
    frame = pl.DataFrame([ids.alias("id"), pl.Series("order", _hashes(ids, seed))])
    return frame.sort("order", "id")["id"].head(number).to_list()


def _hashes(ids: pl.Series, seed: int) -> list[bytes]:
    key = f"sheet {seed}".encode()
    return [blake2b(each.encode(), key=key, digest_size=DIGEST_BYTES).digest() for each in ids]
