"""The stage `split`: assign each group of prompts to one side, which it keeps."""

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from bedrock_sluice.flows.context import BuildContext
from bedrock_sluice.flows.stages.features import compare_texts
from bedrock_sluice.lake.releases.split_history import SplitHistory
from bedrock_sluice.transforms.chat.digests import conversation_marks
from bedrock_sluice.transforms.chat.messages import chat_of
from bedrock_sluice.transforms.chat.texts import turns_of
from bedrock_sluice.transforms.dedup.contamination import SIMILARITY
from bedrock_sluice.transforms.dedup.leakage import NO_RESPONSE, leaking
from bedrock_sluice.transforms.dedup.near_duplicates import pairs_to_keep_together
from bedrock_sluice.transforms.dedup.sketches import sketch
from bedrock_sluice.transforms.fates import FilterResult
from bedrock_sluice.transforms.sampling import apply_line_quota
from bedrock_sluice.transforms.split import (
    LINKS,
    VALIDATION,
    evict,
    link_beginnings,
    link_groups,
    link_pairs,
)
from bedrock_sluice.transforms.split import split as split_prompts


def split_similarity(context: BuildContext) -> float:
    """From which similarity on two prompts may not stand on both sides, whatever is dropped."""
    return min(context.recipe.curate.near_duplicates or SIMILARITY, SIMILARITY)


def split(context: BuildContext, prompts: pl.DataFrame, earlier: SplitHistory) -> FilterResult:
    """Divide the prompts into train and validation, and keep at most `max_lines`."""
    section = context.recipe.split
    earlier_lines = _with_turns(earlier.lines)
    paths = pl.concat([frame.select("root", "path") for frame in (prompts, earlier_lines)])
    links = [
        link_groups(prompts, "conversation"),
        link_beginnings(paths),
        _near_links(context, prompts, earlier_lines),
    ]
    assigned_prompts = split_prompts(
        prompts,
        pl.concat(links),
        earlier.sides,
        validation=section.validation,
        salt=section.salt,
    )
    return apply_line_quota(
        assigned_prompts,
        max_lines=section.max_lines,
        salt=section.salt,
        strata=section.strata,
        share=section.share,
    )


def _with_turns(lines: pl.DataFrame) -> pl.DataFrame:
    """Add to earlier lines what they say: `path`, and the text of their `turns`."""
    chats = [chat_of(msgspec.json.decode(line)) for line in lines["json"]]
    paths = [conversation_marks(chat, NO_RESPONSE).path for chat in chats]
    return lines.with_columns(
        pl.Series("path", paths, dtype=pl.List(pl.UInt64)),
        pl.Series("turns", map(turns_of, chats), dtype=pl.String),
    )


def _near_links(
    context: BuildContext, prompts: pl.DataFrame, earlier_lines: pl.DataFrame
) -> pl.DataFrame:
    """The links (`LINKS`) between what asks nearly the same, under any system message.

    Links join prompts with each other, and with the lines of earlier releases.
    """
    ordered_prompts = prompts.sort("exchange")
    sketches, fetch_new = compare_texts(context, ordered_prompts["exchange"], "turns")
    first = ordered_prompts.height

    def fetch(rows: NDArray[np.int64]) -> pl.Series:
        new, old = rows[rows < first], rows[rows >= first] - first
        return pl.concat([fetch_new(new), earlier_lines["turns"].gather(old)])

    every = np.concatenate([sketches, sketch(earlier_lines["turns"])])
    pairs = pairs_to_keep_together(every, fetch, split_similarity(context))
    roots = pl.concat([ordered_prompts["root"], earlier_lines["root"]])
    ends = {name: roots.gather(pairs[:, n]) for n, name in enumerate(LINKS)}
    return link_pairs(pl.DataFrame(ends, schema=LINKS))


def keep_apart(context: BuildContext, result: FilterResult, earlier: SplitHistory) -> FilterResult:
    """Leave out lines of train that say what validation says, or said in an earlier release.

    Only where two sides that were given earlier meet: all else is kept together by its group.
    """
    lines = result.kept
    validation_lines = earlier.lines.filter(split=VALIDATION)["json"]
    chats = [
        chat_of(msgspec.json.decode(line)) for line in pl.concat([validation_lines, lines["json"]])
    ]
    sides = pl.concat(
        [pl.Series([VALIDATION] * len(validation_lines), dtype=pl.String), lines["split"]]
    )
    filter_result = evict(
        lines, leaking(chats, sides, split_similarity(context))[len(validation_lines) :]
    )
    return FilterResult(
        filter_result.kept, pl.concat([result.rejected, filter_result.rejected], how="diagonal")
    )
