"""The stage `answer`: each prompt's reference answer, from the first source that has one.

Before it, the stage `review` drops the prompts that reviewers of earlier releases rejected.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain

import msgspec
import polars as pl

from bedrock_sluice.flows.context import BuildContext
from bedrock_sluice.flows.hints import check_answered
from bedrock_sluice.flows.running.exchange_work import map_exchanges
from bedrock_sluice.transforms.answers.choice import ANSWERS, choose_answers
from bedrock_sluice.transforms.answers.extract import Extraction
from bedrock_sluice.transforms.answers.feedback import FeedbackResult, Scale, feedback_answers
from bedrock_sluice.transforms.answers.json_path import parse_path
from bedrock_sluice.transforms.answers.sources import (
    NO_PASSTHROUGH,
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
from bedrock_sluice.transforms.facts.release_facts import AnswerFacts, SourceUsage
from bedrock_sluice.transforms.fates import FilterResult, apply_rules, partition
from bedrock_sluice.transforms.reasons import Reason
from bedrock_sluice.transforms.review.verdicts import REVIEW
from bedrock_sluice.transforms.rights.reference_models import name_reference_models
from bedrock_sluice.transforms.settings import RESPONSE_SOURCES, select_trusted_sources

OWN_SOURCES = ("labels", "feedback", "metadata")
"""Sources of answers that do not rest on the logged response alone."""


@dataclass(frozen=True)
class AnswerResult:
    """Prompts with their answers, those that have none, and how the named sources were used."""

    result: FilterResult
    facts: AnswerFacts


def drop_rejected(context: BuildContext, exchanges: pl.DataFrame) -> FilterResult:
    """Drop each exchange whose prompt reviewers rejected: its duplicates too, of any day."""
    reasons = context.review_decisions.select("prompt_digest", "reason")
    rows = exchanges.join(reasons, on="prompt_digest", how="left", maintain_order="left")
    result = partition(rows)
    return FilterResult(result.kept.drop("reason"), result.rejected)


def answer(
    context: BuildContext,
    prompts: pl.DataFrame,
    exchanges: pl.DataFrame,
    candidate_responses: pl.DataFrame,
    logged_ids: pl.Series,
) -> AnswerResult:
    """Find the reference answer of each prompt.

    `exchanges` are all that were read, `candidate_responses` those whose response is good: it may
    be an answer, unless an unlisted model gave it. `logged_ids` are the request ids of all records,
    whatever became of them.

    Raises:
        ConfigError: no source has an answer for any prompt.
    """
    options = context.recipe.answer
    answer_context = AnswerContext(
        prompts,
        exchanges,
        candidate_responses.filter("has_good_response"),
        partial(_map_responses, context),
        context.template,
    )
    sources_in_use = select_trusted_sources(options.sources, options.minimum_trust)
    tables = dict[str, SourceResult]()
    feedback = judge_feedback(context, answer_context) if "feedback" in sources_in_use else None
    if feedback:
        tables["feedback"] = feedback.source
    if "labels" in sources_in_use:
        rows = chain.from_iterable(table.rows for table in context.labels)
        tables["labels"] = label_answers(
            answer_context, rows, options.label_key, options.conflicts, options.labelled_before
        )
    other_sources = _other_sources(context, answer_context, feedback.wrong if feedback else None)
    answers_by_source = [
        (name, tables[name].answers if name in tables else other_sources[name]())
        for name in sources_in_use
    ]
    answers_by_source = _with_corrections(context, answer_context, answers_by_source)
    result = _with_tools(context, choose_answers(prompts, answers_by_source))
    if {*sources_in_use} & {*RESPONSE_SOURCES, "feedback"}:
        unlisted_responses = candidate_responses.filter("is_unlisted_response")
        result = name_reference_models(result, unlisted_responses)
    sources = {
        name: _usage(context, name, table, result, logged_ids) for name, table in tables.items()
    }
    if "metadata" in sources_in_use:
        answers = dict(answers_by_source)["metadata"]
        sources["metadata"] = SourceUsage(answers["reference_answer"].count())
    check_answered(context, answer_context, result, answers_by_source, sources)
    facts = AnswerFacts(prompts=prompts.height, sources=dict(sorted(sources.items())))
    return AnswerResult(result, facts)


def _map_responses(
    context: BuildContext, rows: pl.DataFrame, work: Callable[[pl.DataFrame], pl.DataFrame]
) -> list[pl.DataFrame]:
    return map_exchanges(context.exchanges, rows.select("exchange"), ("response",), work)


def _with_corrections(
    context: BuildContext,
    answer_context: AnswerContext,
    answers_by_source: Sequence[tuple[str, pl.DataFrame]],
) -> list[tuple[str, pl.DataFrame]]:
    """Put the corrections of reviewers before all other sources.

    Passthrough fields stay those of the answer that was corrected.
    """
    if not context.reviews:
        return list(answers_by_source)
    corrections = answer_context.answers_by_digest(
        context.review_decisions.drop_nulls("reference_answer").with_columns(
            passthrough=NO_PASSTHROUGH, problem=pl.lit(None, pl.String)
        )
    )
    others = [ANSWERS.to_frame(), *(answers for _, answers in answers_by_source)]
    fields = pl.concat(each.select(REQUEST_ID, "passthrough") for each in others)
    first = fields.drop_nulls().unique(REQUEST_ID, keep="first", maintain_order=True)
    with_fields = corrections.drop("passthrough").join(
        first, on=REQUEST_ID, how="left", maintain_order="left"
    )
    return [(REVIEW, with_fields), *answers_by_source]


def _usage(
    context: BuildContext,
    name: str,
    table: SourceResult,
    result: FilterResult,
    logged_ids: pl.Series,
) -> SourceUsage:
    """How the rows of a table were used: for an answer, or to say that the logged one is wrong."""
    key = context.recipe.answer.label_key if name == "labels" else REQUEST_ID
    logged_keys = logged_ids if key == REQUEST_ID else _metadata_values(context, key)
    with_answer = result.kept.filter(pl.col("reference_source") == name)
    rejected = result.rejected.filter(pl.col("reason") == Reason.ANSWER_REJECTED.value)
    decided_digests = pl.concat([with_answer["prompt_digest"], rejected["prompt_digest"]])
    return table_usage(table, logged_keys, decided_digests)


def _metadata_values(context: BuildContext, key: str) -> pl.Series:
    """The values that a metadata key has in the logs."""
    value = pl.col("request_metadata").map.get(key)
    return context.landed.read(["request_metadata"]).select(value.alias(key)).to_series().unique()


def judge_feedback(context: BuildContext, answer_context: AnswerContext) -> FeedbackResult:
    """What people said of logged responses: answers, and responses that are wrong."""
    options = context.recipe.answer
    rows = chain.from_iterable(table.rows_with_place() for table in context.feedback)
    scale = Scale(options.good_score, options.bad_score)
    return feedback_answers(answer_context, rows, options.conflicts, options.labelled_before, scale)


def _other_sources(
    context: BuildContext, answer_context: AnswerContext, wrong: pl.DataFrame | None
) -> dict[str, Callable[[], pl.DataFrame]]:
    """How answers of the other sources are made; `wrong` are those that people judged so."""
    options = context.recipe.answer
    path = parse_path(options.extract_path) if options.extract_path else None
    extraction = Extraction(options.extract_pattern, path)
    return {
        "metadata": lambda: metadata_answers(answer_context, options.metadata_key),
        "agreement": lambda: agreement_answers(
            answer_context, wrong, options.minimum_share, options.minimum_responses
        ),
        "extracted": lambda: extracted_answers(answer_context, extraction, wrong),
        "logged": lambda: logged_answers(answer_context, wrong),
    }


def _with_tools(context: BuildContext, result: FilterResult) -> FilterResult:
    """Of templates that need tools, prompts without them have no use for their answer."""
    if not context.template.needs_tools:
        return result
    tools = pl.concat(context.exchanges.read(("tools",), result.kept["exchange"]))
    prompts = result.kept.join(tools, on="exchange", how="left", maintain_order="left")
    fit = apply_rules(prompts, [(Reason.ANSWER_UNFIT, pl.col("tools").is_null())])
    rejected = fit.rejected.select(result.rejected.columns)
    return FilterResult(fit.kept.drop("tools"), pl.concat([result.rejected, rejected]))


def with_labels(context: BuildContext, exchanges: pl.DataFrame) -> pl.DataFrame:
    """Add `label`: what a grader reads in the exchange's own answer (hex), or null without one.

    Equal labels are one answer to the grader. An answer that does not fit the template, or that
    contradicts another of the same prompt, is none. `exchanges` has `has_good_response`.
    """
    options = context.recipe.answer
    answer_context = AnswerContext(
        exchanges,
        exchanges,
        exchanges.filter("has_good_response"),
        partial(_map_responses, context),
        context.template,
    )

    def answers(source: str) -> pl.DataFrame:
        if source == "labels":
            rows = chain.from_iterable(table.rows for table in context.labels)
            rule, before = options.conflicts, options.labelled_before
            return label_answers(answer_context, rows, options.label_key, rule, before).answers
        if source == "feedback":
            return judge_feedback(context, answer_context).source.answers
        return metadata_answers(answer_context, options.metadata_key)

    sources = select_trusted_sources(options.sources, options.minimum_trust)
    answers_by_source = [(source, answers(source)) for source in sources if source in OWN_SOURCES]
    answers_by_source = _with_corrections(context, answer_context, answers_by_source)
    if not answers_by_source:
        return exchanges.with_columns(label=pl.lit(None, pl.String))
    with_answer = choose_answers(exchanges.select("request_id"), answers_by_source).kept
    labels = [
        answer_context.encode_reference(msgspec.json.decode(reference))["form"]
        for reference in with_answer["reference_answer"]
    ]
    with_label = with_answer.select("request_id").with_columns(
        label=pl.Series(labels, dtype=pl.String)
    )
    return exchanges.join(
        with_label.unique("request_id"), on="request_id", how="left", maintain_order="left"
    )
