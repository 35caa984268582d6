"""The summary of training content, in the sections of the European Commission's template.

The template belongs to Article 53(1)(d) of Regulation (EU) 2024/1689 (AI Act), and was published on
24 July 2025. The summary is a draft: people complete what the release does not show.
"""

from typing import Final

from msgspec.structs import astuple

from bedrock_sluice.flows.papers.card import (
    MODEL_SOURCES,
    SOURCES,
    count_model_answers,
    count_rights_drops,
    describe_period,
)
from bedrock_sluice.flows.papers.facts import PaperFacts
from bedrock_sluice.flows.papers.markdown import MAX_ITEMS, PLACEHOLDER, Markdown, render
from bedrock_sluice.transforms.reasons import Reason

NAME: Final = "training-data-summary.md"

_SIZES = (  # the ranges of the template, in tokens of text
    (10**9, "less than 1 billion tokens"),
    (10**13, "1 billion to 10 trillion tokens"),
)
_LARGEST = "more than 10 trillion tokens"
_ACTION_SENTENCES = {
    "drop": Markdown("Prompts with these kinds of secrets and personal data were dropped:"),
    "mask": Markdown("These kinds of secrets and personal data were masked where found:"),
    "report": Markdown("These kinds of secrets and personal data were counted, and not removed:"),
}


def render_summary(facts: PaperFacts) -> bytes:
    """Return the draft of the summary for a release as Markdown in UTF-8."""
    release, recipe = facts.manifest, facts.recipe
    models = [job for job in facts.jobs if job.model_arn]
    requests = [job.request.request for job in models or facts.jobs]
    actions = recipe.privacy.actions()
    drops = release.counts.dropped
    guardrail_reasons = (Reason.CURATE_GUARDRAIL_INPUT, Reason.CURATE_GUARDRAIL_OUTPUT)
    return render(
        "summary.md.j2",
        facts=facts,
        release=release,
        settings=facts.settings,
        models=models,
        bases=sorted(
            {str(r["baseModelIdentifier"]) for r in requests if "baseModelIdentifier" in r}
        ),
        size=next((name for limit, name in _SIZES if facts.train_tokens < limit), _LARGEST),
        period=describe_period(facts),
        latest=f"{facts.last:%m/%Y}" if facts.last else None,
        tables=len(recipe.answer.labels) + len(recipe.answer.feedback),
        model_answers=count_model_answers(facts),
        blocked=sum(drops.get(reason.value, 0) for reason in guardrail_reasons),
        treatments=[
            (action, [kind for kind, each in actions.items() if each == action])
            for action in sorted(set(actions.values()))
        ],
        rights_drops=count_rights_drops(facts),
        overlaps=sum(astuple(release.leakage)),
        SOURCES=SOURCES,
        MODEL_SOURCES=MODEL_SOURCES,
        ACTION_SENTENCES=_ACTION_SENTENCES,
        PLACEHOLDER=Markdown(PLACEHOLDER),
        MAX_ITEMS=MAX_ITEMS,
    )
