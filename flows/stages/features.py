"""The features of prompts, from derived parts; and what depends on the recipe's evaluation sets.

Part of the stage `curate`.
"""

from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from pathlib import Path
from tempfile import mkdtemp
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bedrock_sluice.flows.context import BuildContext
from bedrock_sluice.flows.running.exchange_work import map_exchanges
from bedrock_sluice.lake.texts import LazyTexts
from bedrock_sluice.transforms.chat.texts import compared_texts
from bedrock_sluice.transforms.curate.prompt_features import (
    FEATURES,
    PROMPT_COLUMNS,
    EvaluationItems,
    Sketches,
    evaluation_overlaps,
)
from bedrock_sluice.transforms.dedup.contamination import SIMILARITY, index_evaluation
from bedrock_sluice.transforms.dedup.sketches import PERMUTATIONS, read_sketches

MAX_SKETCHES_IN_MEMORY = 2_000_000  # 384 MB

Rows = NDArray[np.int64]


class ComparedTexts(NamedTuple):
    """The sketches of prompts in a scope, ascending by exchange, and their texts by row."""

    sketches: Sketches
    fetch: Callable[[Rows], pl.Series]


def add_features(context: BuildContext, prompts: pl.DataFrame) -> pl.DataFrame:
    """Add the columns of `FEATURES`, and `overlap`; the result is sorted by `exchange`.

    `overlap` is the item of the recipe's evaluation sets that the prompt overlaps, and how.
    """
    features = pl.concat(context.exchanges.read(tuple(FEATURES), prompts["exchange"]))
    overlaps = find_overlaps(context, prompts["exchange"])
    columns = features.drop("exchange").with_columns(overlap=overlaps)
    return pl.concat([prompts.sort("exchange"), columns], how="horizontal")


def compare_texts(context: BuildContext, exchanges: pl.Series, scope: str) -> ComparedTexts:
    """Return the sketches of prompts, and a way to fetch their texts.

    Rows are those of the exchanges in ascending order. A text is read when a stage first fetches
    it: most of them never are.
    """
    numbers = exchanges.sort()
    if scope not in context.texts:
        context.texts[scope] = _lazy_texts(context, scope)
    texts, places = context.texts[scope], numbers.cast(pl.Int64).to_numpy()
    sketches = find_sketches(context, numbers, scope)
    return ComparedTexts(sketches, lambda rows: texts.fetch(places[rows]))


def find_sketches(context: BuildContext, exchanges: pl.Series, scope: str) -> Sketches:
    """Return the sketches of exchanges (ascending); they are read unless an earlier stage did."""
    sketches = _kept_sketches(context, exchanges, scope)
    if sketches is None:
        sketches = _read_sketches(context, exchanges, scope)
        context.sketches[scope] = exchanges, sketches
    return sketches


def _kept_sketches(context: BuildContext, exchanges: pl.Series, scope: str) -> Sketches | None:
    """Return sketches that were read before; None if some were not."""
    if scope not in context.sketches:
        return None
    known_exchanges, sketches = context.sketches[scope]
    if not exchanges.is_in(known_exchanges.implode()).all():
        return None
    places: Rows = known_exchanges.search_sorted(exchanges).to_numpy()
    return sketches if len(places) == len(sketches) else sketches[places]


def _read_sketches(context: BuildContext, exchanges: pl.Series, scope: str) -> Sketches:
    column, start = f"{scope}_sketch", 0
    sketches = _empty_sketches(context.work, len(exchanges))
    for piece in context.exchanges.read((column,), exchanges):
        sketches[start : start + piece.height] = read_sketches(piece[column])
        start += piece.height
    return sketches


def _lazy_texts(context: BuildContext, scope: str) -> LazyTexts:
    """The texts of all exchanges, by number."""

    def read(exchanges: Rows) -> Iterator[pl.Series]:
        for piece in context.exchanges.read(("messages",), pl.Series(exchanges)):
            yield compared_texts(piece["messages"], scope)

    return LazyTexts(Path(mkdtemp(dir=context.work)), context.exchanges.count(), read)


def _empty_sketches(folder: Path, number: int) -> Sketches:
    """Return room for sketches: in memory, or if they are many, in a file that is mapped into it.

    The system may take the memory of a mapped file back, and read the file again.
    """
    shape = number, PERMUTATIONS
    if number <= MAX_SKETCHES_IN_MEMORY:
        return np.empty(shape, np.uint32)
    path = Path(mkdtemp(dir=folder), "sketches")
    return np.asarray(np.memmap(path, np.uint32, "w+", shape=shape))


def find_overlaps(context: BuildContext, exchanges: pl.Series) -> pl.Series:
    """Return for each of the exchanges, in ascending order, the item that it overlaps, or null."""
    nothing = pl.Series([], dtype=pl.String)
    options = context.recipe.curate
    if not options.against:
        return nothing.extend_constant(None, len(exchanges))
    path = context.work / "evaluation.parquet"
    context.evaluation.items.write_parquet(path)
    similarity = options.near_duplicates or SIMILARITY

    work = partial(overlaps_of, path, similarity)
    rows = exchanges.to_frame("exchange")
    return pl.concat([nothing, *map_exchanges(context.exchanges, rows, PROMPT_COLUMNS, work)])


def overlaps_of(evaluation: Path, similarity: float, exchanges: pl.DataFrame) -> pl.Series:
    """Return the item that each of these exchanges overlaps, or null."""
    return evaluation_overlaps(exchanges, _evaluation(evaluation), similarity)


@lru_cache(maxsize=1)  # an index takes longer to build than a piece to measure
def _evaluation(path: Path) -> EvaluationItems:
    items = pl.read_parquet(path)
    return EvaluationItems(items["name"], index_evaluation(items["text"]))
