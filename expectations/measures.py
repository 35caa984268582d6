"""The numbers and flags that the suites judge. Great Expectations sees these, never the text."""

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec
import polars as pl

from bedrock_sluice.transforms.chat.messages import ROLES, Message, is_telling
from bedrock_sluice.transforms.chat.texts import prompt_parts
from bedrock_sluice.transforms.chat.tool_calls import has_dangling_tool_calls
from bedrock_sluice.transforms.chat.training_line import PlainMessage, TrainingLine, line_tokens
from bedrock_sluice.transforms.dedup.contamination import EvaluationIndex, prompt_overlaps
from bedrock_sluice.transforms.dedup.leakage import leakage
from bedrock_sluice.transforms.dedup.line_marks import MarkCache
from bedrock_sluice.transforms.facts.release_facts import AnswerFacts
from bedrock_sluice.transforms.privacy.detection import count_personal_data
from bedrock_sluice.transforms.split import TRAIN, VALIDATION

SHARE_SLACK = 0.05
SHARE_SIGMAS = 4.0

LINE_MEASURES = {
    "id_number": pl.Int64,
    "has_schema": pl.Boolean,
    "has_known_roles": pl.Boolean,
    "is_user_last": pl.Boolean,
    "has_text": pl.Boolean,
    "has_whole_calls": pl.Boolean,
    "has_answer": pl.Boolean,
    "prompt_tokens": pl.Int64,
    "asks_for_marker": pl.Boolean,
    "conforms": pl.Boolean,
    "is_clean": pl.Boolean,
}


LEAKAGE_MEASURES = dict.fromkeys(
    ("exact", "prefix", "near", "evaluated", "group", "prompt"), pl.Boolean
)


@dataclass(frozen=True, slots=True)
class LineRequirements:
    """What the recipe's template asks of a line."""

    accepts: Callable[[TrainingLine], bool]
    conforms: Callable[[TrainingLine], bool]
    marker: str | None
    private: frozenset[str] = (
        frozenset()
    )  # kinds of personal data and secrets that must not be left


class DecodedLines(NamedTuple):
    """Lines as they were written (JSON text), and read back: once, for all measures."""

    texts: pl.Series
    lines: list[TrainingLine]


def decode_lines(texts: pl.Series) -> DecodedLines:
    """Read lines (JSON text) back."""
    return DecodedLines(texts, list(map(TrainingLine, texts)))


def measure_lines(decoded_lines: DecodedLines, requirements: LineRequirements) -> pl.DataFrame:
    """One row of `LINE_MEASURES` for each line."""
    texts, lines = decoded_lines
    columns: dict[str, Sequence[object] | pl.Series] = {
        "id_number": _number_ids(lines),
        "has_answer": [bool(requirements.accepts(line)) for line in lines],  # of a plug-in: any
        "conforms": [bool(requirements.conforms(line)) for line in lines],
        "prompt_tokens": line_tokens(lines),
        "is_clean": _are_clean(texts, requirements.private),
    }
    flags = [_chat_flags(line, requirements.marker) for line in lines]
    schema = {name: LINE_MEASURES[name] for name in _ChatFlags._fields}
    frame = pl.DataFrame(flags, schema=schema, orient="row").with_columns(
        pl.Series(name, values, dtype=LINE_MEASURES[name]) for name, values in columns.items()
    )
    return frame.select(*LINE_MEASURES)


class _ChatFlags(NamedTuple):
    has_schema: bool
    has_known_roles: bool
    is_user_last: bool
    has_text: bool
    has_whole_calls: bool
    asks_for_marker: bool


def _chat_flags(line: TrainingLine, marker: str | None) -> _ChatFlags:
    fields, tools = line.fields, line.fields.get("tools")
    has_id_and_answer = bool(fields.get("reference_answer")) and _is_id(fields.get("id"))
    if line.plain_chat:
        return _ChatFlags(
            has_schema=has_id_and_answer,
            has_known_roles=True,
            is_user_last=True,
            has_text=True,
            has_whole_calls=tools is None or _has_whole_calls([], tools),
            asks_for_marker=_has_marker(line.plain_chat, marker),
        )
    chat = line.chat()
    roles = [message.role for message in chat]
    return _ChatFlags(
        has_schema=bool(chat) and has_id_and_answer,
        has_known_roles=set(roles) <= ROLES and "system" not in roles[1:],
        is_user_last=roles[-1:] == ["user"],
        has_text=all(is_telling(message) for message in chat),
        has_whole_calls=_has_whole_calls(chat, tools),
        asks_for_marker=_has_marker(chat, marker),
    )


def _has_marker(chat: Sequence[Message | PlainMessage], marker: str | None) -> bool:
    return marker is None or any(
        marker in (message.content or "") for message in chat if message.role != "assistant"
    )


def _has_whole_calls(chat: list[Message], tools: Any) -> bool:
    """Whether each tool call has its result, and is of a tool that the line offers."""
    try:
        return not has_dangling_tool_calls(msgspec.to_builtins(chat), tools)
    except (AttributeError, TypeError):  # calls or tools of another shape
        return False


def _is_id(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _number_ids(lines: Sequence[TrainingLine]) -> list[int]:
    """Number the ids, so that only the same one has the same number."""
    numbers = dict[str, int]()
    return [numbers.setdefault(str(line.fields.get("id")), len(numbers)) for line in lines]


def _are_clean(texts: pl.Series, private: Collection[str]) -> pl.Series:
    """Whether each text has nothing of the kinds."""
    if not private:
        return pl.repeat(True, len(texts), eager=True)
    counts = count_personal_data(texts).select(sorted(private))
    return counts.select(pl.all_horizontal(pl.all() == 0)).to_series()


def measure_split(
    lines: pl.DataFrame, validation: float, evictions: int = 0, unfit: int = 0
) -> pl.DataFrame:
    """One row: how the lines (`split, group`) are divided.

    The share is that of groups, since whole groups are assigned: large ones do not shift it. Each
    of the `evictions`, lines, which were taken from train since they belong with validation, counts
    as a group of train. The `unfit` lines were dropped since they break a rule of the profiles.
    """
    is_held = lines["split"] == VALIDATION
    groups, prompts = count_groups(lines, evictions), lines.height + evictions
    all_lines = prompts + unfit
    share = lines.filter(is_held)["group"].n_unique() / groups if groups else validation
    return pl.DataFrame(
        {
            "train_lines": [int((lines["split"] == TRAIN).sum())],
            "validation_percent": [100 * share],
            "evicted_percent": [100 * evictions / prompts if prompts else 0.0],
            "unfit_percent": [100 * unfit / all_lines if all_lines else 0.0],
        }
    )


def count_groups(lines: pl.DataFrame, evictions: int = 0) -> int:
    """The number of groups that `measure_split` takes shares of."""
    return lines["group"].n_unique() + evictions


def measure_leakage(
    lines: pl.DataFrame,
    decoded_lines: DecodedLines,
    similarity: float,
    evaluation: EvaluationIndex | None,
    cache: MarkCache | None = None,
) -> pl.DataFrame:
    """For each line (`split, group, prompt_digest`), how it overlaps with what it may not.

    See `leakage`; `evaluated`: the prompt, system message and tools included, overlaps an item of
    the evaluation sets; `group` and `prompt`: these stand on both sides. The `cache` may have the
    marks of these very messages; some are computed anew to verify it.

    Raises:
        IntegrityError: the cache is wrong.
    """
    overlap_rows = pl.Series([], dtype=pl.UInt32)
    if evaluation:
        prompts = ((line.chat(), line.fields.get("tools")) for line in decoded_lines.lines)
        overlap_rows = prompt_overlaps(prompt_parts(prompts), evaluation, similarity)["row"]
    messages = [line.messages_json for line in decoded_lines.lines]
    cache = cache or MarkCache()
    cache.verify(messages)
    return leakage(cache.marks(messages), lines["split"], similarity).with_columns(
        pl.int_range(lines.height, eager=True).is_in(overlap_rows.implode()).alias("evaluated"),
        _is_on_both_sides(lines, "group").alias("group"),
        _is_on_both_sides(lines, "prompt_digest").alias("prompt"),
    )


READINESS_MEASURES = {
    "faults": frozenset({"fix_grader", "non_deterministic"}),
    "flat": frozenset({"fine_tune_first", "rft_unnecessary", "no_signal"}),
    "biased": frozenset({"length_biased"}),
    "untried": frozenset({"no_responses"}),
}
"""What can be wrong with a grader that was tried, and the findings that say so."""


def measure_readiness(findings: Collection[str]) -> pl.DataFrame:
    """One row of `READINESS_MEASURES`: how many of the findings, by name, are of each."""
    counts = {
        name: sum(finding in names for finding in findings)
        for name, names in READINESS_MEASURES.items()
    }
    return pl.DataFrame([counts])


SOURCE_MEASURES = {"matched": pl.Int64, "matched_percent": pl.Float64}


def measure_sources(answers: AnswerFacts) -> pl.DataFrame:
    """Return one row of `SOURCE_MEASURES` for each of the sources that people maintain."""
    counts = [usage.prompts for usage in answers.sources.values()]
    percent = [100 * number / answers.prompts if answers.prompts else 0.0 for number in counts]
    return pl.DataFrame([counts, percent], schema=SOURCE_MEASURES)


def measure_regions(regions: pl.Series, allowed_regions: Sequence[str]) -> pl.DataFrame:
    """Return for each line whether its record was logged in another Region than is allowed."""
    is_allowed = regions.is_in(allowed_regions).fill_null(value=False)
    return pl.DataFrame({"other_region": ~is_allowed})


def _is_on_both_sides(lines: pl.DataFrame, column: str) -> pl.Series:
    return lines.select(pl.col("split").n_unique().over(column) > 1).to_series()


def share_tolerance(groups: int, validation: float) -> float:
    """How far chance may take the share of so many groups that are assigned to validation."""
    if not groups or not validation:
        return 0.0
    return max(SHARE_SLACK, SHARE_SIGMAS * math.sqrt(validation * (1 - validation) / groups))
