"""Which exchanges have an answer of their own: a label, a judgement, or one in their metadata.

Curation must know it before it drops anything: a prompt that a person answered is worth most, and
two prompts with different answers are not duplicates, however alike they are.
"""

from itertools import chain

import msgspec
import polars as pl

from bedrock_sluice.flows.context import BuildContext
from bedrock_sluice.flows.stages.answer import judge_feedback
from bedrock_sluice.transforms.answers.choice import choose_answers, select_trusted_sources
from bedrock_sluice.transforms.answers.sources import (
    AnswerContext,
    label_answers,
    metadata_answers,
)

OWN_SOURCES = ("labels", "feedback", "metadata")
"""Sources of answers that do not rest on the logged response alone."""


def with_labels(context: BuildContext, exchanges: pl.DataFrame) -> pl.DataFrame:
    """Add `label`: what a grader reads in the exchange's own answer (hex), or null without one.

    Equal labels are one answer to the grader. An answer that does not fit the template, or that
    contradicts another of the same prompt, is none. `exchanges` has `has_good_response`.
    """
    asked = context.recipe.answer
    answer_context = AnswerContext(
        exchanges,
        exchanges,
        exchanges.filter("has_good_response"),
        lambda rows: context.exchanges.read(("response",), rows["exchange"]),
        context.template,
    )

    def answers(source: str) -> pl.DataFrame:
        if source == "labels":
            rows = chain.from_iterable(table.rows for table in context.labels)
            rule, before = asked.conflicts, asked.labelled_before
            return label_answers(answer_context, rows, asked.label_key, rule, before).answers
        if source == "feedback":
            return judge_feedback(context, answer_context).source.answers
        return metadata_answers(answer_context, asked.metadata_key)

    sources = select_trusted_sources(asked.sources, asked.minimum_trust)
    named = [(source, answers(source)) for source in sources if source in OWN_SOURCES]
    if not named:
        return exchanges.with_columns(label=pl.lit(None, pl.String))
    answered = choose_answers(exchanges.select("request_id"), named).kept
    labels = [
        answer_context.encode_reference(msgspec.json.decode(reference))["form"]
        for reference in answered["reference_answer"]
    ]
    labelled = answered.select("request_id").with_columns(label=pl.Series(labels, dtype=pl.String))
    return exchanges.join(
        labelled.unique("request_id"), on="request_id", how="left", maintain_order="left"
    )
