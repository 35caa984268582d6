"""Secrets in texts as people write them: settings, shells, tickets, code, logs, chats.

The corpora were written by hand and not from the detectors. Rules were adjusted on `tuned.txt`
alone; `held_out.txt` was written afterwards. A passage begins with a line `=== <name>`; each line
under `=== LINES` is a passage of its own. A secret is marked as `⟦sort|value⟧`; a `·` in it is not
part of the text, and keeps scanners of repositories from taking the samples for leaks.
"""

import re
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pytest

from bedrock_sluice.transforms.privacy.detection import find_personal_data
from bedrock_sluice.transforms.privacy.kinds import SECRETS

FOLDER = Path(__file__).parent / "secret_corpus"
PARTS = ("tuned", "held_out")
_MARK = re.compile(r"⟦(\w+)\|(.*?)⟧", re.DOTALL)

Span = tuple[int, int]


class Passage(NamedTuple):
    """A text, and the places of the secrets in it by their sort."""

    text: str
    secrets: list[tuple[str, Span]]


def passages(part: str) -> list[Passage]:
    content = (FOLDER / f"{part}.txt").read_text(encoding="utf-8").replace("·", "")
    all_passages = []
    for section in content.split("=== ")[1:]:
        name, _, body = section.partition("\n")
        texts = body.splitlines() if name == "LINES" else [body]
        all_passages += [_passage(text) for text in texts if text.strip()]
    return all_passages


def _passage(source: str) -> Passage:
    text, secrets, end = "", list[tuple[str, Span]](), 0
    for mark in _MARK.finditer(source):
        text += source[end : mark.start()]
        secrets.append((mark[1], (len(text), len(text) + len(mark[2]))))
        text += mark[2]
        end = mark.end()
    return Passage(text + source[end:], secrets)


class Score(NamedTuple):
    """How many secrets there are and were found whole; and how many findings are none."""

    secrets: int
    hits: int
    false: int
    by_sort: dict[str, float]


def score(part: str) -> Score:
    total, hits, false = Counter[str](), Counter[str](), 0
    for text, secrets in passages(part):
        spans = [(f.start, f.end) for f in find_personal_data(text) if f.kind in SECRETS]
        for sort, (start, end) in secrets:
            total[sort] += 1
            hits[sort] += any(low <= start and high >= end for low, high in spans)
        false += sum(
            not any(low < end and high > start for _, (start, end) in secrets)
            for low, high in spans
        )
    by_sort = {sort: hits[sort] / total[sort] for sort in total}
    return Score(total.total(), hits.total(), false, by_sort)


def test_the_corpora_are_large_and_mostly_without_secrets() -> None:
    every = [passage for part in PARTS for passage in passages(part)]
    assert sum(len(passage.secrets) for passage in every) >= 300
    assert sum(not passage.secrets for passage in every) >= 450
    assert len({sort for passage in every for sort, _ in passage.secrets}) >= 20


@pytest.mark.parametrize(
    ("part", "recall", "least"), [("tuned", 0.97, 0.8), ("held_out", 0.9, 0.8)]
)
def test_most_secrets_are_found_whole_and_little_else(
    part: str, recall: float, least: float
) -> None:
    result = score(part)
    assert result.hits / result.secrets >= recall
    assert result.hits / (result.hits + result.false) >= 0.98
    assert min(result.by_sort.values()) >= least, result.by_sort
