"""Drift: how far the lines of a release are from those of another, beyond what chance explains."""

from collections.abc import Iterable
from typing import Any

import msgspec
import polars as pl

from bedrock_sluice.transforms.review.comparison import stability_index

DRIFT_LINES = pl.Schema(
    {
        "prompt_characters": pl.Int64,
        "answer_characters": pl.Int64,
        "messages": pl.Int64,
        "duplicates": pl.Int64,
        "model_id": pl.String,
        "reference_source": pl.String,
        "answer": pl.String,
    }
)
"""One row per line: lengths in characters, facts of its provenance, its answer as JSON text."""

MIN_ANSWER_PERCENT = 2  # of the lines of one release; rarer answers count as one
MIN_ANSWER_LINES = 5


class _Message(msgspec.Struct, gc=False):
    content: Any = None


class _Line(msgspec.Struct, gc=False):
    messages: list[_Message] = []
    reference_answer: msgspec.Raw = msgspec.Raw(b"null")


_LINE = msgspec.json.Decoder(_Line)


def drift_lines(texts: Iterable[str | bytes], provenance: pl.DataFrame) -> pl.DataFrame:
    """Return `DRIFT_LINES` of lines (JSON), and of their duplicates, models and answer sources.

    Lines and provenance may have different orders: measures are compared one by one.
    """
    lines = [_LINE.decode(text) for text in texts]
    answers = [bytes(line.reference_answer).decode() for line in lines]
    characters = [
        sum(len(m.content) for m in line.messages if isinstance(m.content, str)) for line in lines
    ]
    measures = {
        "prompt_characters": characters,
        "answer_characters": [len(answer) for answer in answers],
        "messages": [len(line.messages) for line in lines],
        **{name: provenance[name] for name in ("duplicates", "model_id", "reference_source")},
        "answer": answers,
    }
    return pl.DataFrame(measures).select(
        pl.col(name).cast(kind) for name, kind in DRIFT_LINES.items()
    )


def measure_shifts(before: pl.DataFrame, after: pl.DataFrame) -> dict[str, float]:
    """Return the stability index of each of `DRIFT_LINES`; 0 where chance explains the shift."""
    frequent = _frequent_answers(before) | _frequent_answers(after)
    is_frequent = pl.col("answer").is_in(sorted(frequent))
    answer = pl.when(is_frequent).then("answer").otherwise(None)
    before, after = before.with_columns(answer=answer), after.with_columns(answer=answer)
    return {name: _shift(before[name], after[name]) for name in DRIFT_LINES}


def _frequent_answers(lines: pl.DataFrame) -> set[str]:
    least = max(MIN_ANSWER_LINES, lines.height * MIN_ANSWER_PERCENT / 100)
    counts = lines["answer"].value_counts(name="lines")
    return set(counts.filter(pl.col("lines") >= least)["answer"])


def _shift(before: pl.Series, after: pl.Series) -> float:
    index, by_chance = stability_index(before, after)
    return round(index, 4) if index > by_chance else 0.0
