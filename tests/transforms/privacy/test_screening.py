"""Screening: a column of texts gives the findings that the exact code gives for each of them."""

import json
from itertools import cycle, islice
from typing import Any

import msgspec
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.suspicious_texts import EDGES, HARMLESS, SEEDS, mutated_texts

from bedrock_sluice.transforms.privacy import masking
from bedrock_sluice.transforms.privacy.detection import (
    DETECTORS,
    FINDING_COUNTS,
    SUSPICIONS,
    count_personal_data,
    find_personal_data,
    mask_json,
    screen_texts,
)
from bedrock_sluice.transforms.privacy.kinds import KINDS

SEED = 20_261_001
NUMBER = 6_000

suspicious_texts = st.lists(st.sampled_from((*SEEDS, *EDGES)), max_size=6).map("".join)


def exact_counts(texts: pl.Series) -> pl.DataFrame:
    """Count the findings of the exact code, with every detector on every text."""
    rows = [[each.kind for each in find_personal_data(text)] for text in texts]
    return pl.DataFrame(
        [[row.count(kind) for kind in KINDS] for row in rows], schema=FINDING_COUNTS, orient="row"
    )


def suspect_everything(texts: pl.Series) -> pl.DataFrame:
    """Screen texts without ruling out anything."""
    return pl.select(pl.repeat(True, len(texts)).alias(name) for name in SUSPICIONS)


def assert_counted_exactly(texts: pl.Series) -> None:
    counts, expected = count_personal_data(texts), exact_counts(texts)
    assert counts.schema == FINDING_COUNTS
    is_wrong = (counts != expected).select(pl.any_horizontal(pl.all())).to_series()
    assert texts.filter(is_wrong).to_list() == []


def assert_unsuspicious_values_are_clean(values: list[Any]) -> None:
    lines = pl.Series([msgspec.json.encode(value).decode() for value in values], dtype=pl.String)
    is_suspicious = screen_texts(lines).select(pl.any_horizontal(pl.all())).to_series()
    clean_values = [v for v, flag in zip(values, is_suspicious, strict=True) if not flag]
    assert [value for value in clean_values if mask_json(value, "key") != value] == []


def test_mutated_texts_are_counted_exactly() -> None:
    texts = (*SEEDS, *mutated_texts(NUMBER, SEED))
    assert_counted_exactly(pl.Series(texts, dtype=pl.String))


@given(texts=st.lists(suspicious_texts | st.text(max_size=40), max_size=8))
def test_any_texts_are_counted_exactly(texts: list[str]) -> None:
    assert_counted_exactly(pl.Series(texts, dtype=pl.String))


def test_masking_changes_no_json_of_a_text_that_is_not_suspicious() -> None:
    texts = (*SEEDS, *mutated_texts(NUMBER, SEED + 1))
    keys = ("content", "password", "secret_token", "Cookie", "phone", "auth", "a\nb")
    values = [{keys[n % len(keys)]: [text, {"x": text}]} for n, text in enumerate(texts)]
    assert_unsuspicious_values_are_clean(values)


@given(
    key=st.sampled_from(("password", "phone", "ssn", "auth", "api_token", "card", "a\tpassword")),
    number=st.integers(),
    text=suspicious_texts,
)
def test_a_value_beside_its_key_is_suspicious_if_it_is_masked(
    key: str, number: int, text: str
) -> None:
    inner_json = json.dumps({key: text, "n": [number]})
    assert_unsuspicious_values_are_clean([{key: number}, {key: text}, {key: inner_json}])


@pytest.mark.parametrize("detector", DETECTORS, ids=lambda detector: detector.name)
def test_each_detector_has_texts_that_it_alone_finds(detector: Any) -> None:
    others = tuple(each for each in DETECTORS if each is not detector)
    hits = [text for text in islice(mutated_texts(NUMBER, SEED), NUMBER) if detector.find(text)]
    assert any(find_personal_data(text) and not find_personal_data(text, others) for text in hits)


@pytest.mark.parametrize("text", HARMLESS)
def test_harmless_texts_are_not_suspicious(text: str) -> None:
    suspicions = screen_texts(pl.Series([text, None, ""], dtype=pl.String))
    assert suspicions.schema == SUSPICIONS
    assert not any(map(any, suspicions.iter_rows()))


def test_screened_lines_are_masked_as_all_lines_are(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = list(mutated_texts(500, SEED + 2))
    lines = [
        {"id": text[:9], "messages": [{"content": text}], "reference_answer": text[::-1], key: text}
        for text, key in zip(
            texts, cycle(("password", "phone", "x", "tools", "value")), strict=False
        )
    ]
    # The second half is written as other programs write JSON.
    texts_of_lines = [msgspec.json.encode(line).decode() for line in lines]
    texts_of_lines += [json.dumps(line, indent=1).replace("/", "\\/") for line in lines[:100]]
    series = pl.Series("json", texts_of_lines, dtype=pl.String)
    is_clean = pl.Series([n % 3 == 0 for n in range(len(texts_of_lines))])
    result = masking.mask_lines(series, is_clean, "key", KINDS[:8], KINDS[8:])
    monkeypatch.setattr(masking, "screen_texts", suspect_everything)
    whole = masking.mask_lines(series, is_clean, "key", KINDS[:8], KINDS[8:])
    assert result.lines.to_list() == whole.lines.to_list()
    assert result.unclean.to_list() == whole.unclean.to_list()
    assert whole.unclean.null_count() not in (0, len(texts_of_lines))
