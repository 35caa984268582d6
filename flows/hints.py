"""Recipes that select nothing, or whose template fits no answer: say so at once, and why.

Values of metadata that are named here are names (of projects, of stages), at most ten a key.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
import polars as pl

from bedrock_sluice.flows.context import MINUTE, BuildContext
from bedrock_sluice.rewards.templates.base import Template, templates
from bedrock_sluice.transforms.answers.sources import AnswerContext
from bedrock_sluice.transforms.errors import ConfigError
from bedrock_sluice.transforms.facts.release_facts import SourceUsage, TableRows
from bedrock_sluice.transforms.fates import FilterResult
from bedrock_sluice.transforms.metadata_filter import Clause, Literal, describe, parse_filter
from bedrock_sluice.transforms.reasons import Reason
from bedrock_sluice.transforms.tables import RECORD_KEY

MAX_VALUES = 10  # that a message names
MAX_VALUE_CHARS = 128
MAX_TRIED_RESPONSES = 200  # on which other templates are tried
OBVIOUS_SHARE = 0.8  # of those, from which on another template is worth naming

_COLUMNS = (*RECORD_KEY, "timestamp", "operation", "model_id", "request_metadata")


def check_selected(context: BuildContext, records: pl.DataFrame) -> None:
    """See that `[select]` and the window leave something to build from.

    `records` have a `reason` where they are left out. Logs that can't be read at all are
    not the recipe's fault, and stop nothing.

    Raises:
        ConfigError: they leave nothing; the message names what each of them asks for, and what the
            logs have instead.
    """
    if records["reason"].null_count():
        return
    reasons = [Reason.SELECT_OPERATION, Reason.SELECT_MODEL, Reason.SELECT_METADATA]
    hints = [hint for reason in reasons if (hint := _explain(context, records, reason))]
    if not hints:  # records outside of the window lie beside every build
        hints = [_explain(context, records, Reason.SELECT_OUTSIDE_WINDOW)]
    if any(hints):
        raise ConfigError(f"the recipe selects no record: {'; '.join(hints)}")


def _explain(context: BuildContext, records: pl.DataFrame, reason: Reason) -> str:
    """Why records are left out for this reason, in words; empty if none is."""
    rows = records.filter(pl.col("reason") == reason.value).select(RECORD_KEY)
    if rows.is_empty():
        return ""
    return _EXPLAIN[reason](
        context, context.landed.read(_COLUMNS).join(rows, on=RECORD_KEY, how="semi")
    )


def _window(context: BuildContext, records: pl.DataFrame) -> str:
    window, times = context.recipe.window, records["timestamp"].drop_nulls().sort()
    since, until = _minute(window.since) or "the first", _minute(window.until) or "the last"
    seen_values = f"; seen: {_minute(times[0])} to {_minute(times[-1])}" if len(times) else ""
    return (
        f"none is from {since} until {until} (UTC){seen_values}. Correct since and until in "
        "[source], or leave them out"
    )


def _minute(at: datetime | None) -> str:
    return f"{at:{MINUTE}}" if at else ""


def _operations(context: BuildContext, records: pl.DataFrame) -> str:
    options = ", ".join(context.recipe.select.operations)
    values = _describe_values(records["operation"])
    return f"[select] operations: no record has {options}; seen: {values}"


def _models(context: BuildContext, records: pl.DataFrame) -> str:
    options = ", ".join(context.recipe.select.models)
    return (
        f"[select] models: no record has {options}; seen: {_describe_values(records['model_id'])}"
    )


def _metadata(context: BuildContext, records: pl.DataFrame) -> str:
    """The clauses that no record meets; where there is none, how many records meet each."""
    clauses = parse_filter(context.recipe.select.metadata or {})
    meeting = [records.select(_meets(clause).sum()).item() for clause in clauses]
    hints = list[str]()
    for clause, number in zip(clauses, meeting, strict=True):
        if not number:
            hints.append(f"no record matches {describe(clause)}; {_values(records, clause)}")
    if hints:
        return f"[select] metadata: {'; '.join(hints)}"
    each = (f"{describe(c)} {n:,}" for c, n in zip(clauses, meeting, strict=True))
    return f"[select] metadata: no record meets all of it; each part alone: {', '.join(each)}"


_EXPLAIN = {
    Reason.SELECT_OUTSIDE_WINDOW: _window,
    Reason.SELECT_OPERATION: _operations,
    Reason.SELECT_MODEL: _models,
    Reason.SELECT_METADATA: _metadata,
}


def _meets(clause: Clause) -> pl.Expr:
    return pl.any_horizontal(_holds(literal) for literal in clause)


def _holds(literal: Literal) -> pl.Expr:
    value = pl.col("request_metadata").map.get(literal.key)
    is_met = value.is_in(literal.vals) if literal.vals else value.is_not_null()
    return is_met.fill_null(value=False) != literal.is_negated


def _values(records: pl.DataFrame, clause: Clause) -> str:
    """What the logs have under the keys of a clause; the keys that there are, if none of them."""
    metadata = pl.col("request_metadata")
    hints = list[str]()
    for key in dict.fromkeys(literal.key for literal in clause):
        values = records.select(metadata.map.get(key).alias(key)).to_series()
        if values.null_count() == values.len():
            keys = records.select(metadata.map.keys().explode(empty_as_null=True)).to_series()
            names = _describe_values(keys.drop_nulls()) or "none"
            hints.append(f"no record has the key {key}; keys: {names}")
        else:
            hints.append(f"seen: {_describe_values(values)}")
    return "; ".join(hints)


def _describe_values(values: pl.Series) -> str:
    """The values with their numbers, the most frequent first."""
    counts = (
        values.alias("value")
        .value_counts()
        .sort("count", "value", descending=[True, False], nulls_last=True)
    )
    missing = counts.filter(pl.col("value").is_null())["count"].to_list()
    present = counts.drop_nulls("value")
    hints = [
        f"{value[:MAX_VALUE_CHARS]} {n:,}" for value, n in present.head(MAX_VALUES).iter_rows()
    ]
    if present.height > MAX_VALUES:
        hints.append(f"and {present.height - MAX_VALUES:,} more")
    hints += [f"(none) {n:,}" for n in missing]
    return ", ".join(hints)


def check_answered(
    context: BuildContext,
    answer_context: AnswerContext,
    result: FilterResult,
    answers_by_source: Sequence[tuple[str, pl.DataFrame]],
    sources: Mapping[str, SourceUsage],
) -> None:
    """See that there is an answer for any prompt.

    Raises:
        ConfigError: there is none; the message names the sources that were tried, what the template
            reads, and another one that fits.
    """
    prompts = result.rejected.height
    if result.kept.height or not prompts:
        return
    template = context.template
    attempts = "; ".join(
        _source_in_words(name, answers, sources.get(name)) for name, answers in answers_by_source
    )
    marker = f'; it reads "{template.marker}" in a response' if template.marker else ""
    better = _better_templates(answer_context, template)
    advice = f". {better}" if better else ""
    raise ConfigError(
        f"template {template.name} has no answer for any of {prompts:,} prompts{marker}. "
        f"Tried: {attempts}{advice}. Change [template] name, or from in [answer]"
    )


def _source_in_words(name: str, answers: pl.DataFrame, usage: SourceUsage | None) -> str:
    reasons = answers["problem"].drop_nulls().value_counts().sort("problem").iter_rows()
    details = [f"{number:,} {reason}" for reason, number in reasons]
    if usage and usage.table:
        details = [rows_in_words(usage.table)]
    detail = f" ({', '.join(details)})" if details else ""
    return f"{name}: {answers['reference_answer'].count():,} answers{detail}"


def rows_in_words(table: TableRows) -> str:
    """Return in one line how the rows of a table were used."""
    counts = [
        f"{table.not_selected:,} for requests dropped or not selected",
        f"{table.unknown:,} unknown",
        f"{table.unreadable:,} unreadable",
    ]
    others = (
        (table.late, "too late"),
        (table.without_time, "without a time"),
        (table.without_effect, "overruled"),
    )
    counts += [f"{number:,} {words}" for number, words in others if number]
    return f"{table.rows:,} rows, {table.with_effect:,} used; {', '.join(counts)}"


def _better_templates(answer_context: AnswerContext, current: Template) -> str:
    """Other templates that read most of the logged responses, in words."""
    messages = list(_responses(answer_context))
    hints = list[str]()
    for name, other in templates().items():
        if name == current.name or not (other.marker or other.needs_tools):
            continue
        fitting = sum(other.from_response(message) is not None for message in messages)
        if messages and fitting >= OBVIOUS_SHARE * len(messages):
            mark = f' ("{other.marker}")' if other.marker else ""
            hints.append(f"{name}{mark} fits {fitting:,} of {len(messages):,} logged responses")
    return "; ".join(hints)


def _responses(answer_context: AnswerContext) -> Iterator[dict[str, Any]]:
    rows = answer_context.prompts.head(MAX_TRIED_RESPONSES)
    for piece in answer_context.map_responses(rows, pl.DataFrame.clone):
        for response in piece["response"]:
            yield msgspec.json.decode(response)
