"""Measures of a build as a whole: one row for the logs, for the exchanges, and for drift."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from bedrock_sluice.transforms.facts.release_facts import StageCounts
from bedrock_sluice.transforms.reasons import Reason
from bedrock_sluice.transforms.review.completeness import hour_facts
from bedrock_sluice.transforms.review.drift import measure_shifts

LANDED_MEASURES = {
    "records": pl.Int64,
    "unreadable_percent": pl.Float64,
    "untagged_percent": pl.Float64,
    "hours": pl.Int64,
    "hours_without": pl.Int64,
    "longest_gap_hours": pl.Int64,
    "repeated_percent": pl.Float64,
    "conflicting_records": pl.Int64,
}
EXCHANGE_MEASURES = {
    "selected_records": pl.Int64,
    "exchanges": pl.Int64,
    "unknown_shape_percent": pl.Float64,
    "unlogged_percent": pl.Float64,
    "failed_percent": pl.Float64,
    "cut_off_percent": pl.Float64,
}
DROP_MEASURES = {"dropped_percent": pl.Float64}
DRIFT_MEASURES = dict.fromkeys(
    (
        *("prompt_characters", "answer_characters", "messages", "duplicates"),
        *("model_id", "reference_source", "answer", "lines_percent"),
    ),
    pl.Float64,
)

_BEFORE_EXCHANGES = ("pull", "select", "rights", "normalise")


@dataclass(frozen=True, slots=True)
class LogFacts:
    """What is known of the logs besides the records: see the fields of `Manifest`.

    `hours` are those (UTC) that log objects were delivered in.
    """

    hours: Sequence[datetime]
    records_without_metadata: int


def measure_landed(stages: Iterable[StageCounts], logs: LogFacts) -> pl.DataFrame:
    """Return one row of `LANDED_MEASURES`; shares are those of all, or of all readable records."""
    counts = {stage.stage: stage for stage in stages}
    pull, rejected = counts["pull"], counts["select"].rejected
    hours = hour_facts(logs.hours)
    row = {
        "records": pull.input,
        "unreadable_percent": _percent(pull.input - pull.kept, pull.input),
        "untagged_percent": _percent(logs.records_without_metadata, pull.kept),
        "hours": hours.hours if hours else 0,
        "hours_without": hours.hours_without if hours else 0,
        "longest_gap_hours": max((gap.hours for gap in hours.gaps), default=0) if hours else 0,
        "repeated_percent": _percent(rejected.get(Reason.SELECT_REPEATED_REQUEST, 0), pull.kept),
        "conflicting_records": rejected.get(Reason.SELECT_CONFLICTING_REQUEST, 0),
    }
    return pl.DataFrame([row], schema=LANDED_MEASURES)


def measure_exchanges(stages: Iterable[StageCounts]) -> pl.DataFrame:
    """Return one row of `EXCHANGE_MEASURES`; shares are those of the selected records."""
    counts = {stage.stage: stage for stage in stages}
    selected_records, exchanges = counts["normalise"].input, counts["normalise"].kept
    rejected = counts["normalise"].rejected | counts["curate"].rejected

    def share(reason: Reason) -> float:
        return _percent(rejected.get(reason, 0), selected_records)

    row = {
        "selected_records": selected_records,
        "exchanges": exchanges,
        "unknown_shape_percent": share(Reason.DECODE_UNKNOWN_SHAPE),
        "unlogged_percent": share(Reason.CURATE_NO_BODY),
        "failed_percent": share(Reason.CURATE_ERROR),
        "cut_off_percent": share(Reason.CURATE_CUT_OFF),
    }
    return pl.DataFrame([row], schema=EXCHANGE_MEASURES)


def measure_drops(stages: Sequence[StageCounts]) -> tuple[pl.DataFrame, pl.Series]:
    """Return one row of `DROP_MEASURES` per reason that dropped exchanges, and the reasons."""
    exchanges = next(stage.kept for stage in stages if stage.stage == "normalise")
    drops = {
        reason: _percent(number, exchanges)
        for stage in stages
        if stage.stage not in _BEFORE_EXCHANGES
        for reason, number in sorted(stage.rejected.items())
    }
    measures = pl.DataFrame({"dropped_percent": list(drops.values())}, schema=DROP_MEASURES)
    return measures, pl.Series(list(drops), dtype=pl.String)


def measure_drift(before: pl.DataFrame, after: pl.DataFrame) -> pl.DataFrame:
    """Return one row of `DRIFT_MEASURES` of two releases' lines (`drift.DRIFT_LINES`).

    Each but the last is a population stability index, or 0 if chance explains it; the last is by
    how much the number of lines differs.
    """
    row = measure_shifts(before, after)
    row["lines_percent"] = _percent(abs(after.height - before.height), before.height)
    return pl.DataFrame([row], schema=DRIFT_MEASURES)


def _percent(part: int, whole: int) -> float:
    return 100 * part / whole if whole else 0.0
