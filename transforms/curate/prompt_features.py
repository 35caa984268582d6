"""The features of prompts: what curation needs to know of their texts, computed in one pass."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bedrock_sluice.transforms.chat.texts import exchange_parts
from bedrock_sluice.transforms.dedup.contamination import EvaluationIndex, prompt_overlaps
from bedrock_sluice.transforms.dedup.sketches import sketch
from bedrock_sluice.transforms.features.languages import tell_languages
from bedrock_sluice.transforms.features.quality import MEASURES, measure_quality
from bedrock_sluice.transforms.privacy.detection import count_personal_data
from bedrock_sluice.transforms.privacy.kinds import KINDS

PROMPT_COLUMNS = ("messages", "tools")

FEATURES = pl.Schema(
    [*MEASURES.items(), *((kind, pl.UInt32()) for kind in KINDS), ("language", pl.String())]
)
"""What is measured of a prompt and its response, and how many of each kind of secrets and personal
data the prompt holds."""

Sketches = NDArray[np.uint32]
"""One row of numbers a prompt, see `sketches.sketch`."""


class PromptFeatures(NamedTuple):
    """Features of some prompts, a row each: the columns of `FEATURES`, and sketches by scope."""

    columns: pl.DataFrame
    sketches: dict[str, Sketches]


class EvaluationItems(NamedTuple):
    """The items of the evaluation sets: the name of each, and the index of their texts."""

    names: pl.Series
    text_index: EvaluationIndex


def prompt_features(
    prompts: pl.Series, texts: pl.DataFrame, *, scopes: Sequence[str], has_languages: bool
) -> PromptFeatures:
    """Compute the features of exchanges: of the JSON text of each prompt, and of its `texts`.

    `scopes` are the columns of `texts.prompt_texts` to sketch. Languages are only detected if
    `has_languages`: that takes longer than all the rest.
    """
    nothing = pl.Series([None] * texts.height, dtype=pl.String)
    language = tell_languages(texts["last_user"]) if has_languages else nothing
    columns = [measure_quality(texts), count_personal_data(prompts), language.to_frame("language")]
    sketches = {scope: sketch(texts[scope]) for scope in scopes}
    return PromptFeatures(pl.concat(columns, how="horizontal"), sketches)


def evaluation_overlaps(
    exchanges: pl.DataFrame, evaluation: EvaluationItems, similarity: float
) -> pl.Series:
    """Return, for each exchange (`PROMPT_COLUMNS`), the item that it overlaps, and how; or null.

    `similarity` is that from which a prompt overlaps an item.
    """
    overlaps = prompt_overlaps(exchange_parts(exchanges), evaluation.text_index, similarity)
    percent = (pl.col("similarity") * 100).floor().cast(pl.Int64)
    descriptions = overlaps.with_columns(name=evaluation.names.gather(overlaps["item"])).select(
        "row", overlap=pl.format("{}: {}, {} %", "name", "kind", percent)
    )
    rows = exchanges.select(row=pl.int_range(pl.len(), dtype=pl.UInt32))
    return rows.join(descriptions, on="row", how="left", maintain_order="left")["overlap"]
