"""Responses: whether what a reward function returned is what the contract asks for.

The contract: an array with one object a sample, `{"id", "aggregate_reward_score": number,
"metrics_list": [{"name", "value": number, "type": "Reward" or "Metric"}]}`; the list of metrics may
be missing. A response of a proxy, `{"statusCode": 200, "body": …}`, is looked into.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite

SCORE, METRICS = "aggregate_reward_score", "metrics_list"
METRIC_TYPES = ("Reward", "Metric")
STATUS_OK = 200


@dataclass(frozen=True, slots=True)
class GraderResult:
    """What came of one sample. A `problem` says what to mend in the grader, free of content.

    Without a score there is a problem; with one there may be. A `note` is not a fault, but worth
    knowing. Of metrics with one name, the last one is kept.
    """

    id: str
    score: float | None
    metrics: Mapping[str, float] = field(default_factory=dict)
    problem: str | None = None
    note: str | None = None


class _Wrong(Exception):  # noqa: N818 - no error: it becomes the problem of a sample
    """Why something can't be used."""


def read_scores(answer: object, ids: Sequence[str]) -> list[GraderResult]:
    """One result for each asked id, in the order of `ids`, which are distinct."""
    try:
        rows = _rows(answer)
    except _Wrong as wrong:
        return [GraderResult(sample_id, None, problem=str(wrong)) for sample_id in ids]
    rows_by_id: dict[str, list[object]] = {sample_id: [] for sample_id in ids}
    strays = 0
    for row in rows:
        row_id = row.get("id") if isinstance(row, dict) else None
        if isinstance(row_id, str) and row_id in rows_by_id:
            rows_by_id[row_id].append(row)
        else:
            strays += 1
    stray = f"{strays:,} of {len(rows):,} results have no id that was asked for" if strays else None
    return [_one(sample_id, row_id, stray) for sample_id, row_id in rows_by_id.items()]


def _rows(answer: object) -> list[object]:
    if isinstance(answer, dict) and "statusCode" in answer:
        if answer["statusCode"] != STATUS_OK:
            raise _Wrong(f"statusCode is not {STATUS_OK}")
        answer = answer.get("body")
        if isinstance(answer, str):
            try:
                answer = json.loads(answer)
            except (RecursionError, ValueError):
                raise _Wrong("the body is no JSON") from None
    if not isinstance(answer, list):
        raise _Wrong(f"the answer is {_kind(answer)}; return a list with one object a sample")
    return answer


def _one(sample_id: str, rows: Sequence[object], stray: str | None) -> GraderResult:
    if len(rows) != 1:
        problem = f"{len(rows):,} results for this id" if rows else "no result for this id"
        return GraderResult(sample_id, None, problem=f"{problem}; {stray}" if stray else problem)
    (row,) = rows
    assert isinstance(row, dict)
    try:
        score = _number(row.get(SCORE), SCORE, is_there=SCORE in row)
    except _Wrong as wrong:
        return GraderResult(sample_id, None, problem=str(wrong))
    try:
        return GraderResult(sample_id, score, _metrics(row.get(METRICS)), stray)
    except _Wrong as wrong:  # metrics are extra: what is wrong with them does not cost the score
        return GraderResult(sample_id, score, problem=str(wrong))


def _number(value: object, name: str, *, is_there: bool = True) -> float:
    if not is_there:
        raise _Wrong(f"{name} is missing")
    if isinstance(value, bool) or not isinstance(value, int | float):  # to Python, True is an int
        raise _Wrong(f"{name} is {_kind(value)}, not a number")
    try:
        number = float(value)
    except OverflowError:  # JSON has integers of any length
        number = float("inf")
    if not isfinite(number):
        raise _Wrong(f"{name} is NaN or infinite")
    return number


def _metrics(value: object) -> dict[str, float]:
    if value is None:
        return {}
    if not isinstance(value, list):
        raise _Wrong(f"{METRICS} is {_kind(value)}, not a list")
    values = dict[str, float]()
    for number, metric in enumerate(value, start=1):
        where = f"{METRICS}, metric {number}"
        if not isinstance(metric, dict):
            raise _Wrong(f"{where} is {_kind(metric)}, not an object")
        name = metric.get("name")
        if not isinstance(name, str) or not name:
            raise _Wrong(f"{where}: name is not a text")
        if metric.get("type") not in METRIC_TYPES:
            raise _Wrong(f"{where}: type is neither {' nor '.join(METRIC_TYPES)}")
        has_value = "value" in metric
        values[name] = _number(metric.get("value"), f"{where}: value", is_there=has_value)
    return values


def _kind(value: object) -> str:
    """What JSON calls such a value."""
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case str():
            return "a text"
        case int() | float():
            return "a number"
        case list():
            return "a list"
        case _:
            return "an object"
