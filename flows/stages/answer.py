"""The step `answer`: each prompt's reference answer, from the first source that has one."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from typing import Any

import polars as pl

from bedrock_sluice.flows.context import BuildContext
from bedrock_sluice.flows.stages.empty_result import check_answered, metadata_values
from bedrock_sluice.transforms.answers.choice import choose_answers, select_trusted_sources
from bedrock_sluice.transforms.answers.extract import Extraction, parse_path
from bedrock_sluice.transforms.answers.feedback import FeedbackResult, Scale, feedback_answers
from bedrock_sluice.transforms.answers.sources import (
    REQUEST_ID,
    AnswerContext,
    SourceResult,
    agreement_answers,
    extracted_answers,
    label_answers,
    logged_answers,
    metadata_answers,
)
from bedrock_sluice.transforms.answers.table_usage import table_usage
from bedrock_sluice.transforms.fates import FilterResult, apply_rules
from bedrock_sluice.transforms.reasons import Reason


@dataclass(frozen=True)
class Answered:
    """Prompts with their answers, those that have none, and how the named sources were used."""

    sifted: FilterResult
    facts: dict[str, Any]


def answer(
    context: BuildContext,
    prompts: pl.DataFrame,
    exchanges: pl.DataFrame,
    candidate_responses: pl.DataFrame,
    logged_ids: pl.Series,
) -> Answered:
    """Find the reference answer of each prompt.

    `exchanges` are all that were read, `voters` those whose responses may be an answer;
    `logged_ids` are the request ids of all records, whatever became of them.

    Raises:
        ConfigError: no source has an answer for any prompt.
    """
    asked = context.recipe.answer
    answer_context = AnswerContext(
        prompts,
        exchanges,
        candidate_responses,
        lambda wanted: context.exchanges.read(("response",), wanted["exchange"]),
        context.template,
    )
    used = select_trusted_sources(asked.sources, asked.minimum_trust)
    tables = dict[str, SourceResult]()
    judged = judge_feedback(context, answer_context) if "feedback" in used else None
    if judged:
        tables["feedback"] = judged.source
    if "labels" in used:
        rows = chain.from_iterable(table.rows for table in context.labels)
        tables["labels"] = label_answers(
            answer_context, rows, asked.label_key, asked.conflicts, asked.labelled_before
        )
    makers = _makers(context, answer_context, judged.wrong if judged else None)
    found = [(name, tables[name].answers if name in tables else makers[name]()) for name in used]
    chosen = _with_tools(context, choose_answers(prompts, found))
    sources = {
        name: _usage(context, name, result, chosen, logged_ids) for name, result in tables.items()
    }
    if "metadata" in used:
        sources["metadata"] = {"prompts": dict(found)["metadata"]["reference_answer"].count()}
    check_answered(context, answer_context, chosen, found, sources)
    facts = {"answer_sources": dict(sorted(sources.items())), "answerable": prompts.height}
    return Answered(chosen, facts)


def _usage(
    context: BuildContext,
    name: str,
    result: SourceResult,
    chosen: FilterResult,
    logged_ids: pl.Series,
) -> dict[str, int]:
    """How the rows of a table were used: for an answer, or to say that the logged one is wrong."""
    key = context.recipe.answer.label_key if name == "labels" else REQUEST_ID
    seen = logged_ids if key == REQUEST_ID else metadata_values(context, key)
    answered = chosen.kept.filter(pl.col("reference_source") == name)
    rejected = chosen.rejected.filter(pl.col("reason") == Reason.ANSWER_REJECTED.value)
    decided = pl.concat([answered["prompt_digest"], rejected["prompt_digest"]])
    return table_usage(result, seen, decided)._asdict()


def judge_feedback(context: BuildContext, answer_context: AnswerContext) -> FeedbackResult:
    """What people said of logged responses: answers, and responses that are wrong."""
    asked = context.recipe.answer
    rows = chain.from_iterable(table.placed() for table in context.feedback)
    scale = Scale(asked.good_score, asked.bad_score)
    return feedback_answers(answer_context, rows, asked.conflicts, asked.labelled_before, scale)


def _makers(
    context: BuildContext, answer_context: AnswerContext, wrong: pl.DataFrame | None
) -> dict[str, Callable[[], pl.DataFrame]]:
    """How answers of the other sources are made; `wrong` are those that people judged so."""
    asked = context.recipe.answer
    path = parse_path(asked.extract_path) if asked.extract_path else None
    extraction = Extraction(asked.extract_pattern, path)
    return {
        "metadata": lambda: metadata_answers(answer_context, asked.metadata_key),
        "agreement": lambda: agreement_answers(
            answer_context, wrong, asked.minimum_share, asked.minimum_responses
        ),
        "extracted": lambda: extracted_answers(answer_context, extraction, wrong),
        "logged": lambda: logged_answers(answer_context, wrong),
    }


def _with_tools(context: BuildContext, chosen: FilterResult) -> FilterResult:
    """Of templates that need tools, prompts without them have no use for their answer."""
    if not context.template.needs_tools:
        return chosen
    tools = pl.concat(context.exchanges.read(("tools",), chosen.kept["exchange"]))
    told = chosen.kept.join(tools, on="exchange", how="left", maintain_order="left")
    fit = apply_rules(told, [(Reason.ANSWER_UNFIT, pl.col("tools").is_null())])
    rejected = fit.rejected.select(chosen.rejected.columns)
    return FilterResult(fit.kept.drop("tools"), pl.concat([chosen.rejected, rejected]))
