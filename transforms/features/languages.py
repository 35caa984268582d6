"""Which natural language a text is written in, told by py3langid: an extra, imported when asked."""

from collections.abc import Collection
from functools import cache
from importlib import import_module
from typing import Any

import polars as pl

from bedrock_sluice.transforms.errors import ConfigError
from bedrock_sluice.transforms.features.quality_measures import without_code

MIN_LETTER_BYTES = 20  # of UTF-8, code aside; fewer do not tell: 20 Latin letters, 7 Chinese ones
MAX_JUDGED_CHARS = 2000  # the start of a text tells as much as the whole
MIN_CONFIDENCE = 0.5  # of 0 to 1

_NO_LANGUAGE = "zxx"  # how the model names numbers, markup and the like


def tell_languages(texts: pl.Series) -> pl.Series:
    """The ISO 639-1 code of each text, in order; null where it does not tell.

    That is: too few letters once code is left out, or no language that stands out. The same text
    is given the same code, whatever stands beside it.

    Raises:
        ConfigError: py3langid is not installed.
    """
    classify = _identifier().classify
    heads = texts.to_frame("text").select(without_code(pl.col("text")).str.head(MAX_JUDGED_CHARS))
    letters = pl.col("text").str.replace_all(r"\P{L}+", "").str.len_bytes()
    telling = heads.select(pl.when(letters >= MIN_LETTER_BYTES).then("text")).to_series()
    codes = [None if text is None else _code(*classify(text)) for text in telling]
    return pl.Series("language", codes, dtype=pl.String)


def check_languages(codes: Collection[str]) -> None:
    """See that each of the codes can be told at all.

    Raises:
        ConfigError: one is not a language that the model knows, or py3langid is not installed.
    """
    languages = set(_identifier().labels) - {_NO_LANGUAGE} if codes else set()
    if unknown := sorted(set(codes) - languages):
        raise ConfigError(
            f"[quality] languages: {unknown[0]!r} can't be told; name languages by ISO 639-1: "
            f"{', '.join(sorted(languages))}"
        )


def _code(label: str, confidence: float) -> str | None:
    return None if label == _NO_LANGUAGE or confidence < MIN_CONFIDENCE else label


@cache
def _identifier() -> Any:
    """The model, made once, of languages with an ISO 639-1 code: others would take their votes."""
    try:
        library = import_module("py3langid.langid")
    except ImportError:
        raise ConfigError(
            "telling the language of a prompt needs a library that is not installed: "
            "install bedrock-sluice[language], or take `languages` out of the recipe"
        ) from None
    identifier = library.LanguageIdentifier.from_model_file(library.MODEL_FILE, norm_probs=True)
    labels = [label for label in identifier.labels if len(label) == len("en")]
    identifier.set_languages([*labels, _NO_LANGUAGE])
    return identifier
