"""The step `split`: each group of prompts gets one side, and keeps it."""

import msgspec
import numpy as np
import polars as pl

from bedrock_sluice.expectations.measures import chat_of
from bedrock_sluice.flows.inspection import sketch_turns
from bedrock_sluice.flows.plan import Plan
from bedrock_sluice.lake.split_history import SplitHistory
from bedrock_sluice.transforms.budget import select_to_budget
from bedrock_sluice.transforms.contamination import SIMILARITY
from bedrock_sluice.transforms.fates import Sifted
from bedrock_sluice.transforms.leakage import leaking
from bedrock_sluice.transforms.near_duplicates import similar_pairs
from bedrock_sluice.transforms.split import (
    LINKS,
    VALIDATION,
    evict,
    tie,
    tie_beginnings,
    tied_pairs,
)
from bedrock_sluice.transforms.split import split as split_prompts


def split_similarity(plan: Plan) -> float:
    """From which similarity on two prompts may not stand on both sides, whatever is dropped."""
    return min(plan.recipe.curate.near_duplicates or SIMILARITY, SIMILARITY)


def split(plan: Plan, prompts: pl.DataFrame, earlier: SplitHistory) -> Sifted:
    """Divide the prompts into train and validation, and keep at most `max_lines`."""
    asked = plan.recipe.split
    links = [tie(prompts, "conversation"), tie_beginnings(prompts), _near_links(plan, prompts)]
    halves = split_prompts(
        prompts,
        pl.concat(links),
        earlier.sides,
        validation=asked.validation,
        salt=asked.salt,
    )
    chosen = select_to_budget(
        halves.kept,
        max_lines=asked.max_lines,
        salt=asked.salt,
        strata=asked.strata,
        share=asked.share,
    )
    return Sifted(chosen.kept, pl.concat([halves.rejected, chosen.rejected], how="diagonal"))


def _near_links(plan: Plan, prompts: pl.DataFrame) -> pl.DataFrame:
    """The links (`LINKS`) between prompts that ask nearly the same, under any system message."""
    ordered = prompts.sort("exchange")
    sketches, texts = sketch_turns(plan, ordered)
    numbers = np.arange(ordered.height)
    pairs, _ = similar_pairs(sketches, texts.fetch, numbers, split_similarity(plan))
    ends = {name: ordered["root"].gather(pairs[:, n]) for n, name in enumerate(LINKS)}
    return tied_pairs(pl.DataFrame(ends, schema=LINKS))


def keep_apart(plan: Plan, rendered: Sifted, earlier: SplitHistory) -> Sifted:
    """Leave out lines of train that say what validation says, or said in an earlier release.

    Groups see to it that there are none; but masks can make two texts alike, and what an earlier
    release held out need not be among the prompts any more.
    """
    lines = rendered.kept
    held = [chat_of(line) for line in earlier.held_lines]
    chats = [chat_of(msgspec.json.decode(line)) for line in lines["json"]]
    sides = pl.concat([pl.Series([VALIDATION] * len(held), dtype=pl.String), lines["split"]])
    leaks = leaking([*held, *chats], sides, split_similarity(plan))[len(held) :]
    apart = evict(lines, leaks)
    return Sifted(apart.kept, pl.concat([rendered.rejected, apart.rejected], how="diagonal"))
