"""The quality of a prompt and its response: measured once a row, judged by the recipe's limits."""

import re
from itertools import compress

import numpy as np
import polars as pl
from numpy.typing import NDArray

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
        reserved_words=prompt.str.count_matches(_RESERVED),
        bidi_characters=bidi_characters(prompt),
    ).with_columns(
        longest_run_share=_longest_run_shares(texts["last_user"]),
        top_word_share=_top_word_shares(texts["last_user"]),
        placeholders=placeholders(texts["prompt"]),
        hidden_characters=hidden_characters(texts["prompt"]),
        is_refusal=is_refusal(texts["response"]),
    )
    return measures.select(pl.col(name).cast(kind) for name, kind in MEASURES.items())


def escape_reserved(text: str) -> str:
    """Break each reserved word by a space before its last character: `User :`, `[EOS ]`.

    Validators no longer match it, and a reader, or a model, sees nearly the same. It is broken
    within other words too (`ecosystem :`), since they match it there. Twice is as once.
    """
    return _BEFORE_LAST.sub(r"\g<0> ", text)


def _longest_run_shares(texts: pl.Series) -> pl.Series:
    """Share of each text, blanks at its ends aside, that its longest run of one character takes."""
    bare = [(text or "").strip() for text in texts]
    lengths = np.fromiter(map(len, bare), np.int64, len(bare))
    is_long = lengths >= MIN_RUN_CHARS
    shares = np.full(len(bare), np.nan)
    if is_long.any():
        long_lengths = lengths[is_long]
        shares[is_long] = _longest_runs("".join(compress(bare, is_long)), long_lengths)
        shares[is_long] /= long_lengths
    return pl.Series(shares, dtype=pl.Float64, nan_to_null=True)


def _longest_runs(text: str, lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """The length of the longest run of one character in each of the texts that `text` joins."""
    characters = np.frombuffer(text.encode("utf-32-le"), np.uint32)
    ends = np.cumsum(lengths)
    is_repeat = characters[1:] == characters[:-1]
    is_repeat[ends[:-1] - 1] = False  # the next text begins there
    repeats = np.flatnonzero(is_repeat)
    firsts = np.flatnonzero(np.diff(repeats, prepend=-2) > 1)
    longest = np.ones(len(lengths), np.int64)
    texts = np.searchsorted(ends, repeats[firsts], side="right")
    np.maximum.at(longest, texts, np.diff(firsts, append=len(repeats)) + 1)
    return longest


def _top_word_shares(texts: pl.Series) -> pl.Series:
    """Share of each text's words that the most frequent one takes.

    Numbers count as words but are none that repeat: a grid of zeros is data.
    """
    lists = texts.to_frame("word").select(pl.col("word").str.to_lowercase().str.extract_all(_UNIT))
    numbers = lists.select(pl.col("word").list.len().fill_null(0)).to_series().to_numpy()
    is_long = numbers >= MIN_SHARED_WORDS
    shares = np.full(len(texts), np.nan)
    if is_long.any():
        counts = numbers[is_long].astype(np.int64)
        words = lists.filter(is_long).explode("word").to_series()
        shares[is_long] = _most_frequent(words, counts) / counts
    return pl.Series(shares, dtype=pl.Float64, nan_to_null=True)


def _most_frequent(words: pl.Series, counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """How often the most frequent word stands in each text, which has `counts` of the `words`."""
    codes = words.to_arrow().dictionary_encode()
    vocabulary = pl.Series("word", codes.dictionary)
    has_letter = (
        vocabulary.to_frame().select(pl.col("word").str.contains(_LETTER_FIRST)).to_series()
    )
    owners = np.repeat(np.arange(len(counts)), counts)
    keys = np.sort(owners * len(vocabulary) + codes.indices.to_numpy())
    firsts = np.flatnonzero(np.diff(keys, prepend=-1))
    owners, places = np.divmod(keys[firsts], len(vocabulary))
    repeats = np.diff(firsts, append=len(keys)) * has_letter.to_numpy()[places]
    top: NDArray[np.int64] = np.maximum.reduceat(
        repeats, np.searchsorted(owners, np.arange(len(counts)))
    )
    return top
