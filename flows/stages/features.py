"""What curation must know of the texts of prompts: read once, in parallel, part by part."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bedrock_sluice.flows.context import BuildContext
from bedrock_sluice.flows.executor import in_order
from bedrock_sluice.lake.exchanges import read_rows
from bedrock_sluice.lake.texts import Texts, open_texts, write_texts
from bedrock_sluice.transforms.chat.texts import exchange_parts, prompt_texts, turn_texts
from bedrock_sluice.transforms.dedup.contamination import (
    EvaluationIndex,
    index_evaluation,
    prompt_overlaps,
)
from bedrock_sluice.transforms.dedup.sketches import PERMUTATIONS, sketch
from bedrock_sluice.transforms.features.languages import tell_languages
from bedrock_sluice.transforms.features.quality import measure_quality
from bedrock_sluice.transforms.privacy.detection import count_personal_data

_PROMPT = ["messages", "tools"]
_READ = [*_PROMPT, "response"]

PIECE_BYTES = 2 << 20  # of messages

Sketches = NDArray[np.uint32]
"""One row of numbers a prompt, as `sketches.sketch` gives them."""


@dataclass(frozen=True)
class FeatureOptions:
    """What to find out: `scope` is the text to compare, `evaluation` a Parquet file of `ITEMS`."""

    scope: str | None
    similarity: float
    evaluation: Path | None
    has_languages: bool


@dataclass(frozen=True)
class FeatureTask:
    """Rows (ascending) of a file of exchanges to inspect, and where to write their texts."""

    path: Path
    rows: NDArray[np.int64]
    asked: FeatureOptions
    out: Path


class Inspected(NamedTuple):
    """Prompts with what their texts tell and their `seat`: their row in `sketches` and `texts`."""

    prompts: pl.DataFrame
    sketches: Sketches
    texts: Texts


def inspect(context: BuildContext, prompts: pl.DataFrame, asked: FeatureOptions) -> Inspected:
    """Add to `prompts` what their texts tell.

    Columns: those of `quality.MEASURES`, a count for each kind of personal data, `language`, and
    `overlap`: the evaluation item that the prompt overlaps, and how.
    """
    ordered = prompts.sort("exchange").with_row_index("sketch_row")
    tasks = [
        FeatureTask(path, rows, asked, path.with_suffix(".texts"))
        for path, rows in context.exchanges.rows_by_file(ordered["exchange"])
    ]
    size = sum(task.path.stat().st_size for task in tasks)
    told = list(in_order(inspect_rows, tasks, size)) or [_nothing(asked)]
    frame = pl.concat([ordered, pl.concat([each for each, _ in told])], how="horizontal")
    sketches = np.concatenate([sketches for _, sketches in told])
    return Inspected(frame, sketches, open_texts([task.out for task in tasks]))


def inspect_rows(task: FeatureTask) -> tuple[pl.DataFrame, Sketches]:
    """What the texts of some rows of a file of exchanges tell, in their order."""
    told = [_nothing(task.asked)]
    with write_texts(task.out) as compared:
        for batch in read_rows(task.path, _READ, task.rows):
            for exchanges in _pieces(pl.DataFrame(batch)):
                texts = prompt_texts(exchanges)
                told.append(_judge(exchanges, texts, task.asked))
                if task.asked.scope:
                    compared.write(texts[task.asked.scope])
    return pl.concat([each for each, _ in told]), np.concatenate([each for _, each in told])


def sketch_turns(context: BuildContext, prompts: pl.DataFrame) -> tuple[Sketches, Texts]:
    """Sketch what is said in the prompts (ascending by `exchange`), but for the system message.

    The texts lie on disk, by the same numbers.
    """
    path = context.work / "turns.texts"
    sketches = [sketch(pl.Series([], dtype=pl.String))]
    with write_texts(path) as texts:
        for exchanges in context.exchanges.read(("messages",), prompts["exchange"]):
            turns = turn_texts(exchanges["messages"])
            sketches.append(sketch(turns))
            texts.write(turns)
    return np.concatenate(sketches), open_texts([path])


def _pieces(exchanges: pl.DataFrame) -> list[pl.DataFrame]:
    """The exchanges in pieces of about `PIECE_BYTES`: measuring takes many times as much."""
    sizes = exchanges["messages"].str.len_bytes().cast(pl.Int64).cum_sum()
    return exchanges.with_columns(piece=sizes // PIECE_BYTES).partition_by(
        "piece", maintain_order=True, include_key=False
    )


def _nothing(asked: FeatureOptions) -> tuple[pl.DataFrame, Sketches]:
    """What no exchanges tell: columns without rows."""
    exchanges = pl.DataFrame(schema=dict.fromkeys(_READ, pl.String))
    return _judge(exchanges, prompt_texts(exchanges), asked)


def _judge(
    exchanges: pl.DataFrame, texts: pl.DataFrame, asked: FeatureOptions
) -> tuple[pl.DataFrame, Sketches]:
    nothing = pl.Series([None] * texts.height, dtype=pl.String)
    language = tell_languages(texts["last_user"]) if asked.has_languages else nothing
    sets = asked.evaluation
    overlap = _overlaps(exchanges, sets, asked.similarity) if sets else nothing
    told = [
        measure_quality(texts),
        count_personal_data(
            exchanges.select(pl.concat_str(_PROMPT, ignore_nulls=True))["messages"]
        ),
        overlap.to_frame("overlap"),
        language.to_frame("language"),
    ]
    if asked.scope is None:
        sketches = np.empty((texts.height, PERMUTATIONS), np.uint32)
    else:
        sketches = sketch(texts[asked.scope])
    return pl.concat(told, how="horizontal"), sketches


def _overlaps(exchanges: pl.DataFrame, evaluation: Path, similarity: float) -> pl.Series:
    """For each prompt, the item that it overlaps, and how; or null."""
    names, index = _index(evaluation)
    found = prompt_overlaps(exchange_parts(exchanges), index, similarity)
    percent = (pl.col("similarity") * 100).floor().cast(pl.Int64)
    told = found.with_columns(name=names.gather(found["item"])).select(
        "row", overlap=pl.format("{}: {}, {} %", "name", "kind", percent)
    )
    rows = exchanges.select(row=pl.int_range(pl.len(), dtype=pl.UInt32))
    return rows.join(told, on="row", how="left", maintain_order="left")["overlap"]


@cache
def _index(path: Path) -> tuple[pl.Series, EvaluationIndex]:
    """Once a process."""
    items = pl.read_parquet(path)
    return items["name"], index_evaluation(items["text"])
