"""Settings that users choose by name, with their values, defaults and limits.

They stand apart from the code that follows them, because a recipe is checked before polars is
imported: an error in it is reported at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

MIN_THRESHOLD = 0.5  # of the Jaccard similarity of shingles; below, sketches miss too many pairs

MIN_LINES, MAX_LINES = 100, 20_000  # of a dataset; AWS user guide, "Prepare data for RFT"

Policy = Literal["last", "each", "first"]
"""Which turns stand for their conversation."""

ConflictRule = Literal["drop", "newest", "majority"]
"""What is done with answers to one prompt that differ."""

AnswerSource = Literal["labels", "feedback", "metadata", "agreement", "extracted", "logged"]
TRUST: tuple[AnswerSource, ...] = get_args(AnswerSource)
"""All sources of answers, the most trusted first."""

RESPONSE_SOURCES: tuple[AnswerSource, ...] = ("agreement", "extracted", "logged")
"""The sources whose answers are responses of models; those of the others are people's own."""

MINIMUM_SHARE = 0.6  # of the responses to a prompt that must agree on an answer
MINIMUM_RESPONSES = 2

Share = Literal["even", "proportional"]
"""How strata share the lines of a dataset that is too large."""

Content = Literal["masked", "full", "none"]
"""What a report shows of the text of lines: personal data and secrets masked, all, or nothing."""


@dataclass(frozen=True, slots=True)
class QualityLimits:
    """What a recipe asks of its prompts; None, False or nothing named switches a rule off."""

    min_prompt_tokens: int | None = None  # estimated tokens of the whole prompt
    min_words: int | None = None  # words of the last user turn, unless it holds a formula
    max_repeated_share: float | None = None  # 0 to 1, of the last user turn's characters or words
    max_placeholders: int | None = None  # placeholders never filled in, in the whole prompt
    max_reserved_words: int | None = None  # `RESERVED_WORDS` in the whole prompt
    max_hidden_characters: int | None = None  # characters that no reader sees, in the whole prompt
    drop_refusals: bool = False
    languages: tuple[str, ...] = ()  # ISO 639-1 codes; a prompt too short to tell is kept


def select_trusted_sources(sources: Sequence[str], minimum: str) -> list[str]:
    """Return the sources that are trusted at least as much as `minimum`, in the order given."""
    names: tuple[str, ...] = TRUST
    trust_levels = names[: names.index(minimum) + 1]
    return [source for source in sources if source in trust_levels]
