"""The quality of a prompt and its response: measured once a row, judged by the recipe's limits."""

import re

import numpy as np
import polars as pl

from bedrock_sluice.transforms.features.quality_measures import (
    bidi_characters,
    hidden_characters,
    is_refusal,
    placeholders,
)
from bedrock_sluice.transforms.reasons import Reason
from bedrock_sluice.transforms.settings import QualityLimits

RESERVED_WORDS = (
    *("System:", "User:", "Bot:", "Assistant:", "Thought:"),
    *("[EOS]", "<image>", "<video>", "<unk>"),
)
"""What AWS's validators of Nova data refuse anywhere in a text, within other words too."""

MIN_RUN_CHARS = 50  # below, the share of one character tells nothing
MIN_SHARED_WORDS = 20  # below, the share of one word tells nothing

MEASURES = pl.Schema(
    {
        "words": pl.UInt32,
        "has_formula": pl.Boolean,
        "chars": pl.UInt32,
        "longest_run_share": pl.Float64,
        "top_word_share": pl.Float64,
        "placeholders": pl.UInt32,
        "reserved_words": pl.UInt32,
        "hidden_characters": pl.UInt32,
        "bidi_characters": pl.UInt32,
        "is_refusal": pl.Boolean,
    }
)

# Where a script sets no space between words, or a word is a whole clause, a letter is a word.
_CLOSE_LETTER = (
    r"\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}"
)
_CLOSE_WORD = rf"[{_CLOSE_LETTER}&&\p{{L}}]"
_SPACED_LETTER = rf"[[\p{{L}}\p{{M}}\p{{N}}]--[{_CLOSE_LETTER}]]"
_WORD = rf"{_SPACED_LETTER}+(?:['’_-]{_SPACED_LETTER}+)*|{_CLOSE_WORD}"
_FORMULA = r"[\p{N}=+×÷√∫∑∏∞≤≥≠^]"
_UNIT = r"\w+(?:['’]\w+)*"
_LETTER_FIRST = r"^\p{L}"

_RESERVED = "(?i)" + "|".join(re.escape(word) for word in RESERVED_WORDS)
_BEFORE_LAST = re.compile(
    "|".join(f"{re.escape(w[:-1])}(?={re.escape(w[-1])})" for w in RESERVED_WORDS), re.IGNORECASE
)


def quality_rules(limits: QualityLimits) -> list[tuple[Reason, pl.Expr]]:
    """Rules for `fates.sift`, over the columns of `MEASURES`, `prompt_tokens`, `language`, `label`.

    A rule that is off needs no column. What could not be measured (null) is kept.
    """
    too_short = pl.col("prompt_tokens") < pl.lit(limits.min_prompt_tokens)
    shares = pl.max_horizontal("longest_run_share", "top_word_share")
    has_repeats = shares > pl.lit(limits.max_repeated_share)
    trivial = (pl.col("words") < pl.lit(limits.min_words)) & ~pl.col("has_formula")
    has_placeholders = pl.col("placeholders") > pl.lit(limits.max_placeholders)
    has_reserved_words = pl.col("reserved_words") > pl.lit(limits.max_reserved_words)
    has_hidden_characters = pl.col("hidden_characters") > pl.lit(limits.max_hidden_characters)
    foreign = ~pl.col("language").is_in(limits.languages)
    refusal = pl.col("is_refusal") & pl.col("label").is_null()  # else the response is not used
    rules = [
        (Reason.CURATE_TOO_SHORT, limits.min_prompt_tokens is not None, too_short),
        (Reason.CURATE_NOISE, limits.max_repeated_share is not None, has_repeats),
        (Reason.CURATE_TRIVIAL_PROMPT, limits.min_words is not None, trivial),
        (Reason.CURATE_PLACEHOLDER, limits.max_placeholders is not None, has_placeholders),
        (Reason.CURATE_RESERVED_WORD, limits.max_reserved_words is not None, has_reserved_words),
        (
            Reason.CURATE_HIDDEN_CHARACTERS,
            limits.max_hidden_characters is not None,
            has_hidden_characters,
        ),
        (Reason.CURATE_LANGUAGE, bool(limits.languages), foreign),
        (Reason.CURATE_REFUSAL, limits.drop_refusals, refusal),
    ]
    return [(reason, is_broken) for reason, is_on, is_broken in rules if is_on]


def measure_quality(texts: pl.DataFrame) -> pl.DataFrame:
    """Numbers and flags of `MEASURES`, a row for each of `last_user, prompt, response`, in order.

    The last user turn gives words and shares, since a long system prompt would hide it; all else
    but the refusal is of the whole prompt. A share is null where the text is too short to tell.
    """
    last_user, prompt = pl.col("last_user"), pl.col("prompt")
    measures = texts.select(
        words=last_user.str.count_matches(_WORD),
        has_formula=last_user.str.contains(_FORMULA),
        chars=prompt.str.len_chars(),
        longest_run_share=_longest_run_shares(texts["last_user"]),
        top_word_share=_top_word_shares(texts["last_user"]),
        placeholders=placeholders(prompt),
        reserved_words=prompt.str.count_matches(_RESERVED),
        hidden_characters=hidden_characters(prompt),
        bidi_characters=bidi_characters(prompt),
        is_refusal=is_refusal(pl.col("response")),
    )
    return measures.cast(MEASURES)


def escape_reserved(text: str) -> str:
    """Break each reserved word by a space before its last character: `User :`, `[EOS ]`.

    Validators no longer match it, and a reader, or a model, sees nearly the same. It is broken
    within other words too (`ecosystem :`), since they match it there. Twice is as once.
    """
    return _BEFORE_LAST.sub(r"\g<0> ", text)


def _longest_run_shares(texts: pl.Series) -> pl.Series:
    """Share of each text, blanks at its ends aside, that its longest run of one character takes."""
    shares = [None if text is None else _longest_run_share(text.strip()) for text in texts]
    return pl.Series(shares, dtype=pl.Float64)


def _longest_run_share(text: str) -> float | None:
    if len(text) < MIN_RUN_CHARS:
        return None
    codes = np.frombuffer(text.encode("utf-32-le"), np.uint32)
    changes = np.flatnonzero(codes[1:] != codes[:-1])
    runs = np.diff(changes, prepend=-1, append=len(codes) - 1)
    return float(runs.max() / len(codes))


def _top_word_shares(texts: pl.Series) -> pl.Series:
    """Share of each text's words that the most frequent one takes.

    Numbers count as words but are none that repeat: a grid of zeros is data.
    """
    words = (
        texts.to_frame("word")
        .select(pl.int_range(pl.len()).alias("row"), pl.col("word").str.to_lowercase())
        .with_columns(pl.col("word").str.extract_all(_UNIT))
        .filter(pl.col("word").list.len() >= MIN_SHARED_WORDS)
    )
    tallies = words.explode("word").group_by("row", "word").len()
    shares = tallies.group_by("row").agg(
        share=pl.when(pl.col("word").str.contains(_LETTER_FIRST)).then("len").otherwise(0).max()
        / pl.col("len").sum()
    )
    rows = pl.DataFrame({"row": pl.int_range(len(texts), eager=True)})
    return rows.join(shares, on="row", how="left", maintain_order="left")["share"]
