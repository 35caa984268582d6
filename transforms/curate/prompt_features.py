"""The features of prompts: what curation needs to know of their texts, computed in one pass."""

from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bedrock_sluice.transforms.chat.texts import exchange_parts, prompt_texts
from bedrock_sluice.transforms.dedup.contamination import EvaluationIndex, prompt_overlaps
from bedrock_sluice.transforms.dedup.sketches import PERMUTATIONS, sketch
from bedrock_sluice.transforms.features.languages import tell_languages
from bedrock_sluice.transforms.features.quality import measure_quality
from bedrock_sluice.transforms.privacy.detection import count_personal_data

PROMPT_COLUMNS = ("messages", "tools")
TEXT_COLUMNS = (*PROMPT_COLUMNS, "response")

Sketches = NDArray[np.uint32]
"""One row of numbers a prompt, see `sketches.sketch`."""


class PromptFeatures(NamedTuple):
    """Features of some prompts, a row each, and the texts by which they are compared, if asked for.

    `columns` has those of `quality.MEASURES`, a count for each kind of personal data, `language`
    and `overlap`: the evaluation item that the prompt overlaps, and how.
    """

    columns: pl.DataFrame
    sketches: Sketches
    texts: pl.Series | None


class EvaluationItems(NamedTuple):
    """The items of the evaluation sets: the name of each, and the index of their texts."""

    names: pl.Series
    text_index: EvaluationIndex


def prompt_features(
    exchanges: pl.DataFrame,
    *,
    scope: str | None,
    has_languages: bool,
    evaluation: EvaluationItems | None,
    similarity: float,
) -> PromptFeatures:
    """Compute the features of exchanges with the columns `TEXT_COLUMNS`.

    `scope` is the column of `texts.prompt_texts` to sketch; without one the sketches are not
    filled. `similarity` is that from which a prompt overlaps an evaluation item. Languages are only
    detected if `has_languages`: that takes longer than all the rest.
    """
    texts = prompt_texts(exchanges)
    nothing = pl.Series([None] * texts.height, dtype=pl.String)
    language = tell_languages(texts["last_user"]) if has_languages else nothing
    overlap = _overlaps(exchanges, evaluation, similarity) if evaluation else nothing
    # Secrets are searched in the JSON text, so that names of arguments are seen beside values.
    prompts = exchanges.select(pl.concat_str(PROMPT_COLUMNS, ignore_nulls=True)).to_series()
    columns = [
        measure_quality(texts),
        count_personal_data(prompts),
        overlap.to_frame("overlap"),
        language.to_frame("language"),
    ]
    frame = pl.concat(columns, how="horizontal")
    if scope is None:
        return PromptFeatures(frame, np.empty((texts.height, PERMUTATIONS), np.uint32), None)
    return PromptFeatures(frame, sketch(texts[scope]), texts[scope])


def _overlaps(exchanges: pl.DataFrame, evaluation: EvaluationItems, similarity: float) -> pl.Series:
    """For each prompt, the item that it overlaps, and how; or null."""
    overlaps = prompt_overlaps(exchange_parts(exchanges), evaluation.text_index, similarity)
    percent = (pl.col("similarity") * 100).floor().cast(pl.Int64)
    descriptions = overlaps.with_columns(name=evaluation.names.gather(overlaps["item"])).select(
        "row", overlap=pl.format("{}: {}, {} %", "name", "kind", percent)
    )
    rows = exchanges.select(row=pl.int_range(pl.len(), dtype=pl.UInt32))
    return rows.join(descriptions, on="row", how="left", maintain_order="left")["overlap"]
