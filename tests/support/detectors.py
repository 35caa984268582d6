"""Recall and precision of the detectors of personal data and secrets, on generated texts."""

from collections.abc import Callable, Iterator, Sequence
from random import Random

import polars as pl

from bedrock_sluice.transforms.privacy.detection import find_personal_data

POSITIVES = 150  # texts with a value, of each kind
MIN_RECALL, MIN_PRECISION = 0.99, 0.95

MakeText = Callable[[Random], str]
MakeLabelled = Callable[[Random, str], tuple[str, str]]
"""Make a text with a value of a kind, and return both."""


def planted_texts(
    kinds: Sequence[str], make: MakeLabelled, seed: int
) -> Iterator[tuple[str, str, str]]:
    """Yield texts with one value each: its kind, the text, the value."""
    rng = Random(seed)
    return ((kind, *make(rng, kind)) for kind in kinds for _ in range(POSITIVES))


def clean_texts(sorts: Sequence[MakeText], of_each: int, seed: int) -> Iterator[str]:
    """Yield texts in which nothing is to be found."""
    rng = Random(seed)
    return (make(rng) for make in sorts for _ in range(of_each))


def compare_findings(samples: Iterator[tuple[str, str, str]], clean: Iterator[str]) -> pl.DataFrame:
    """Return a row for each value that was planted or found: its kind, and which of the two."""
    rows = []
    for kind, text, value in samples:
        findings = _find(text)
        rows.append((kind, True, (kind, value) in findings))
        rows += [(k, False, True) for k, v in findings if (k, v) != (kind, value)]
    rows += [(kind, False, True) for text in clean for kind, _ in _find(text)]
    return pl.DataFrame(rows, schema=["kind", "is_planted", "is_found"], orient="row")


def assert_nearly_all_found(comparison: pl.DataFrame, kind: str) -> None:
    """Assert that nearly all values of a kind were found, as they are, and little else."""
    of_kind = comparison.filter(kind=kind)
    hits = of_kind.filter("is_planted", "is_found").height
    assert hits / of_kind["is_planted"].sum() >= MIN_RECALL
    assert hits / of_kind["is_found"].sum() >= MIN_PRECISION


def _find(text: str) -> list[tuple[str, str]]:
    return [(each.kind, text[each.start : each.end]) for each in find_personal_data(text)]
