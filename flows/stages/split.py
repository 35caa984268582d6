"""The stage `split`: assign each group of prompts to one side, which it keeps."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bedrock_sluice.flows.context import BuildContext
from bedrock_sluice.flows.stages.features import compare_texts
from bedrock_sluice.lake.releases.split_history import SplitHistory
from bedrock_sluice.transforms.chat.training_line import messages_of
from bedrock_sluice.transforms.dedup.contamination import SIMILARITY
from bedrock_sluice.transforms.dedup.leakage import leaking
from bedrock_sluice.transforms.dedup.line_marks import LineMarks
from bedrock_sluice.transforms.dedup.near_duplicates import pairs_to_keep_together
from bedrock_sluice.transforms.fates import FilterResult
from bedrock_sluice.transforms.sampling import STRATUM_COLUMNS, apply_line_quota
from bedrock_sluice.transforms.split import (
    LINKS,
    VALIDATION,
    evict,
    link_beginnings,
    link_groups,
    link_pairs,
)
from bedrock_sluice.transforms.split import split as split_prompts
from bedrock_sluice.transforms.tables import RECORD_KEY


def split_similarity(context: BuildContext) -> float:
    """From which similarity on two prompts may not stand on both sides, whatever is dropped."""
    return min(context.recipe.curate.near_duplicates or SIMILARITY, SIMILARITY)


def split(context: BuildContext, prompts: pl.DataFrame, earlier: SplitHistory) -> FilterResult:
    """Divide the prompts into train and validation, and keep at most `max_lines`."""
    section = context.recipe.split
    earlier_marks = context.marks.marks(messages_of(earlier.lines["json"]))
    earlier_lines = earlier.lines.with_columns(path=earlier_marks.paths)
    paths = pl.concat([frame.select("root", "path") for frame in (prompts, earlier_lines)])
    links = [
        link_groups(prompts, "conversation"),
        link_beginnings(paths),
        _near_links(context, prompts, earlier_lines, earlier_marks),
    ]
    keys = ["exchange", "request_id", "prompt_digest", "root"]
    columns = [*keys, *STRATUM_COLUMNS] if section.strata else keys
    assigned_prompts = split_prompts(
        prompts.select(columns),  # to sort all columns of many prompts takes much memory
        pl.concat(links),
        earlier.sides,
        validation=section.validation,
        salt=section.salt,
    )
    result = apply_line_quota(
        assigned_prompts,
        max_lines=section.max_lines,
        salt=section.salt,
        strata=section.strata,
        share=section.share,
    )
    kept = result.kept.select("exchange", "group", "split")
    rejected = result.rejected.select("exchange", "request_id", "reason")
    places = prompts.select("exchange", *RECORD_KEY)
    return FilterResult(
        kept.join(prompts, on="exchange", how="left", maintain_order="left"),
        rejected.join(places, on="exchange", how="left", maintain_order="left"),
    )


def _near_links(
    context: BuildContext, prompts: pl.DataFrame, earlier_lines: pl.DataFrame, marks: LineMarks
) -> pl.DataFrame:
    """The links (`LINKS`) between what asks nearly the same, under any system message.

    Links join prompts with each other, and with the lines of earlier releases.
    """
    ordered_prompts = prompts.select("exchange", "root", "path").sort("exchange")
    sketches, fetch_new = compare_texts(context, ordered_prompts["exchange"], "turns")
    first = ordered_prompts.height
    # Most lines of earlier releases are asked again: what is near them is near the prompt, too.
    has_root = ordered_prompts["root"].is_in(earlier_lines["root"].implode())
    asked_again = _identities(ordered_prompts.filter(has_root), sketches[has_root.to_numpy()])
    earlier = _identities(earlier_lines, marks.sketches).with_row_index("row")
    earlier_rows = earlier.join(asked_again, on=asked_again.columns, how="anti")["row"].sort()

    def fetch(rows: NDArray[np.int64]) -> pl.Series:
        new, old = rows[rows < first], rows[rows >= first] - first
        return pl.concat([fetch_new(new), marks.fetch(earlier_rows.to_numpy()[old])])

    every = np.concatenate([sketches, marks.sketches[earlier_rows.to_numpy()]])
    pairs = pairs_to_keep_together(every, fetch, split_similarity(context))
    roots = pl.concat([ordered_prompts["root"], earlier_lines["root"].gather(earlier_rows)])
    ends = {name: roots.gather(pairs[:, n]) for n, name in enumerate(LINKS)}
    return link_pairs(pl.DataFrame(ends, schema=LINKS))


def _identities(rows: pl.DataFrame, sketches: NDArray[np.uint32]) -> pl.DataFrame:
    """Return columns that are equal where rows have one root and say the same."""
    texts = [row.tobytes() for row in sketches]
    conversation = pl.col("path").list.last().alias("conversation")
    return rows.select("root", conversation, sketch=pl.Series(texts, dtype=pl.Binary))


def keep_apart(context: BuildContext, result: FilterResult, earlier: SplitHistory) -> FilterResult:
    """Leave out lines of train that say what validation says, or said in an earlier release.

    Only where two sides that were given earlier meet: all else is kept together by its group.
    """
    lines = result.kept
    validation_lines = earlier.lines.filter(split=VALIDATION)
    both = pl.concat([frame.select("json", "split") for frame in (validation_lines, lines)])
    marks = context.marks.marks(messages_of(both["json"]))
    leaks = leaking(marks, both["split"], split_similarity(context))
    filter_result = evict(lines, leaks[validation_lines.height :])
    return FilterResult(
        filter_result.kept, pl.concat([result.rejected, filter_result.rejected], how="diagonal")
    )
