"""The features of prompts, computed in parallel over the files of exchanges.

Part of the stage `curate`: each text is read once, by the worker that has its file.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bedrock_sluice.flows.context import BuildContext
from bedrock_sluice.flows.running.executor import in_order
from bedrock_sluice.lake.exchanges import read_rows
from bedrock_sluice.lake.texts import Texts, open_texts, write_texts
from bedrock_sluice.transforms.chat.texts import turn_texts
from bedrock_sluice.transforms.curate.prompt_features import (
    TEXT_COLUMNS,
    EvaluationItems,
    PromptFeatures,
    Sketches,
    prompt_features,
)
from bedrock_sluice.transforms.dedup.contamination import index_evaluation
from bedrock_sluice.transforms.dedup.sketches import sketch

PIECE_BYTES = 2 << 20  # of messages


@dataclass(frozen=True)
class FeatureOptions:
    """What to compute; see `prompt_features`. `evaluation` is a Parquet file of `ITEMS`."""

    scope: str | None
    similarity: float
    evaluation: Path | None
    has_languages: bool


@dataclass(frozen=True)
class FeatureTask:
    """Rows (ascending) of a file of exchanges, and where to write the texts to compare."""

    path: Path
    rows: NDArray[np.int64]
    options: FeatureOptions
    out: Path


class Features(NamedTuple):
    """Prompts with their features, and `sketch_row`: their row in `sketches` and in `texts`."""

    prompts: pl.DataFrame
    sketches: Sketches
    texts: Texts


def add_features(context: BuildContext, prompts: pl.DataFrame, options: FeatureOptions) -> Features:
    """Add the columns of `PromptFeatures` to the prompts; the result is sorted by `exchange`."""
    ordered_prompts = prompts.sort("exchange").with_row_index("sketch_row")
    tasks = [
        FeatureTask(path, rows, options, path.with_suffix(".texts"))
        for path, rows in context.exchanges.rows_by_file(ordered_prompts["exchange"])
    ]
    size = sum(task.path.stat().st_size for task in tasks)
    results = list(in_order(compute_features, tasks, size)) or [_no_features(options)]
    columns = pl.concat([columns for columns, _ in results])
    return Features(
        pl.concat([ordered_prompts, columns], how="horizontal"),
        np.concatenate([sketches for _, sketches in results]),
        open_texts([task.out for task in tasks]),
    )


def compute_features(task: FeatureTask) -> tuple[pl.DataFrame, Sketches]:
    """Compute the features of some rows of a file, in their order, and write their texts."""
    results = [_no_features(task.options)]
    with write_texts(task.out) as writer:
        for batch in read_rows(task.path, TEXT_COLUMNS, task.rows):
            for exchanges in _pieces(pl.DataFrame(batch)):
                columns, sketches, texts = _features(exchanges, task.options)
                results.append((columns, sketches))
                if texts is not None:
                    writer.write(texts)
    return (
        pl.concat([columns for columns, _ in results]),
        np.concatenate([sketches for _, sketches in results]),
    )


def sketch_turns(context: BuildContext, prompts: pl.DataFrame) -> tuple[Sketches, Texts]:
    """Sketch the turns of prompts (ascending by `exchange`), without the system message.

    The texts are on disk, with the same numbers.
    """
    path = context.work / "turns.texts"
    sketches = [sketch(pl.Series([], dtype=pl.String))]
    with write_texts(path) as writer:
        for exchanges in context.exchanges.read(("messages",), prompts["exchange"]):
            turns = turn_texts(exchanges["messages"])
            sketches.append(sketch(turns))
            writer.write(turns)
    return np.concatenate(sketches), open_texts([path])


def _pieces(exchanges: pl.DataFrame) -> list[pl.DataFrame]:
    """Cut exchanges into pieces of about `PIECE_BYTES`: measuring takes many times as much."""
    sizes = exchanges["messages"].str.len_bytes().cast(pl.Int64).cum_sum()
    return exchanges.with_columns(piece=sizes // PIECE_BYTES).partition_by(
        "piece", maintain_order=True, include_key=False
    )


def _no_features(options: FeatureOptions) -> tuple[pl.DataFrame, Sketches]:
    """Return the columns without rows, for files of which no row is asked for."""
    columns, sketches, _ = _features(
        pl.DataFrame(schema=dict.fromkeys(TEXT_COLUMNS, pl.String)), options
    )
    return columns, sketches


def _features(exchanges: pl.DataFrame, options: FeatureOptions) -> PromptFeatures:
    return prompt_features(
        exchanges,
        scope=options.scope,
        has_languages=options.has_languages,
        evaluation=_evaluation(options.evaluation) if options.evaluation else None,
        similarity=options.similarity,
    )


@cache  # an index takes longer to build than a piece to measure: once a process is enough
def _evaluation(path: Path) -> EvaluationItems:
    items = pl.read_parquet(path)
    return EvaluationItems(items["name"], index_evaluation(items["text"]))
