"""The dataset card: a README.md that people read, with the front matter that Hugging Face reads."""

import re
from collections.abc import Mapping
from typing import Final

from msgspec.structs import asdict

from bedrock_sluice.expectations.pages.words import LEAKS
from bedrock_sluice.flows.papers.facts import PaperFacts
from bedrock_sluice.flows.papers.markdown import MAX_ITEMS, Markdown, render
from bedrock_sluice.flows.review.recipe_words import recipe_in_words, window_in_words
from bedrock_sluice.transforms.reasons import Reason

NAME: Final = "README.md"

_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"))
_UNKNOWN_LICENSE, _OTHER_LICENSE = "unknown", "other"  # as Hugging Face names them
_LICENSE_ID = re.compile(r"[a-z0-9][a-z0-9.+-]*")

FIELDS = {
    "id": "the request id of the record that the line was made from",
    "messages": "the prompt: chat messages, the last one by the user",
    "reference_answer": "what a grader compares a response with",
    "tools": "the definitions of the tools that the call offered",
}
SOURCES = {
    "labels": "answers that people gave for this dataset",
    "feedback": "the model's response, which people rated as right",
    "metadata": "answers in the request metadata",
    "agreement": "the answer that most responses of models to the prompt agree on",
    "extracted": "a part of the model's response",
    "logged": "the model's response",
}
MODEL_SOURCES = ("feedback", "agreement", "extracted", "logged")  # a model wrote the answer
ACTIONS = {
    "drop": "prompts with it are dropped",
    "mask": "masked",
    "report": "counted, and left as it is",
}


def render_card(facts: PaperFacts) -> bytes:
    """Return the dataset card of a release as Markdown in UTF-8."""
    release, settings = facts.manifest, facts.settings
    license_id, license_name = _license(settings.license)
    tags = ["reinforcement-fine-tuning", "amazon-bedrock", "chat"]
    counts = release.counts
    reasons = counts.dropped | counts.quarantined
    return render(
        "card.md.j2",
        facts=facts,
        release=release,
        recipe=facts.recipe,
        settings=settings,
        license=license_id,
        license_name=license_name,
        size_category=next((name for limit, name in _SIZES if facts.lines < limit), _SIZES[-1][1]),
        tags=[*tags, "rejected"] if release.verdict == "rejected" else tags,
        period=describe_period(facts),
        window=window_in_words(facts.recipe),
        recipe_words=recipe_in_words(facts.recipe),
        rights_drops=count_rights_drops(facts),
        reasons=sorted(reasons.items(), key=lambda item: (-item[1], item[0])),
        leakage=[
            (Markdown(LEAKS[name]), number) for name, number in asdict(release.leakage).items()
        ],
        model_answers=count_model_answers(facts),
        gaps=find_gaps(facts),
        FIELDS=FIELDS,
        SOURCES=SOURCES,
        ACTIONS=ACTIONS,
        REASONS={reason.value: reason.message for reason in Reason},
        MAX_ITEMS=MAX_ITEMS,
    )


def count_model_answers(facts: PaperFacts) -> int:
    """Count the lines whose reference answer a model wrote."""
    lines = facts.manifest.answers.lines_by_source
    return sum(number for source, number in lines.items() if source in MODEL_SOURCES)


def describe_period(facts: PaperFacts) -> str:
    """Say on which days the records of the lines were logged."""
    if facts.first is None or facts.last is None:
        return "unknown"
    return f"{facts.first:%Y-%m-%d} to {facts.last:%Y-%m-%d} (UTC)"


def count_rights_drops(facts: PaperFacts) -> int:
    """Count the records that were dropped for their rights: consent, exclusions, Regions."""
    drops = facts.manifest.counts.dropped
    return sum(number for reason, number in drops.items() if reason.startswith("rights_"))


def find_gaps(facts: PaperFacts) -> list[str]:
    """Return what is known to be missing, a sentence each."""
    release = facts.manifest
    counts: Mapping[str, int] = {
        "records could not be read and are quarantined": sum(release.counts.quarantined.values()),
        "records have bodies of a shape without a reader": release.counts.quarantined.get(
            Reason.DECODE_UNKNOWN_SHAPE, 0
        )
        or release.counts.dropped.get(Reason.DECODE_UNKNOWN_SHAPE, 0),
        "log objects were delivered too late to be read": release.delivered_later,
        "records of the window have no request metadata": release.metadata.without_keys,
        "selected records matched a negated filter only because they do not have the key": (
            release.metadata.matched_without_key
        ),
    }
    return [f"{number:,} {what}." for what, number in counts.items() if number]


def _license(license_text: str | None) -> tuple[str, str | None]:
    """Return the license of the front matter, and a name for one that is not an SPDX id."""
    if license_text is None:
        return _UNKNOWN_LICENSE, None
    if _LICENSE_ID.fullmatch(license_text.lower()):
        return license_text.lower(), None
    return _OTHER_LICENSE, license_text
