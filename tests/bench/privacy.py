"""Measures detection: `python tests/bench/privacy.py [--texts N] [--mutations N]`.

Texts are JSON of 2 KB: passages of this project's documentation in random order, of which 27 % hold
something that looks like a secret or personal data. The exact code, which reads each text on its
own, and the columns are timed in one process on one core, and must count the same.
"""

import argparse
import json
import os
import sys
from itertools import pairwise
from pathlib import Path
from random import Random
from time import process_time

os.environ["POLARS_MAX_THREADS"] = "1"  # read once, when polars is imported
ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests"))

import polars as pl  # noqa: E402
from support.suspicious_texts import SEEDS, mutated_texts  # noqa: E402

from bedrock_sluice.transforms.privacy.detection import (  # noqa: E402
    FINDING_COUNTS,
    count_personal_data,
    find_personal_data,
    screen_texts,
)
from bedrock_sluice.transforms.privacy.kinds import KINDS  # noqa: E402

CHARS = 2_000
SHARE = 0.27  # of texts with something suspicious


def make_texts(number: int, seed: int = 1) -> pl.Series:
    """Make texts as curation reads them: the JSON of messages."""
    rng = Random(seed)
    pages = [path.read_text(encoding="utf-8") for path in sorted(ROOT.glob("docs/*.md"))]
    passages = [p for page in pages for p in page.split("\n\n") if len(p) < CHARS / 2]

    def make() -> str:
        pieces: list[str] = []
        while sum(map(len, pieces)) < CHARS:
            pieces.append(rng.choice(passages))
        if rng.random() < SHARE:
            pieces.insert(rng.randrange(len(pieces)), f"It is {rng.choice(SEEDS)}, I think.")
        messages = [{"role": "user", "content": "\n\n".join(pieces)[:CHARS]}]
        return json.dumps(messages, ensure_ascii=False)

    return pl.Series([make() for _ in range(number)], dtype=pl.String)


def count_exactly(texts: pl.Series) -> pl.DataFrame:
    """Count what every detector finds in every text."""
    rows = [[each.kind for each in find_personal_data(text)] for text in texts]
    counts = [[row.count(kind) for kind in KINDS] for row in rows]
    return pl.DataFrame(counts, schema=FINDING_COUNTS, orient="row")


def compare(name: str, texts: pl.Series) -> None:
    """Time both ways, and print texts per second.

    Raises:
        SystemExit: the counts differ.
    """
    screen_texts(texts.head(1))  # compiles the patterns
    ticks = [process_time()]
    is_suspicious = screen_texts(texts).select(pl.any_horizontal(pl.all())).to_series()
    ticks.append(process_time())
    counts = count_personal_data(texts)
    ticks.append(process_time())
    expected = count_exactly(texts)
    ticks.append(process_time())
    if not counts.equals(expected):
        sys.exit(f"{name}: the columns count otherwise than the exact code: nothing to compare")
    screen, column, exact = (after - before for before, after in pairwise(ticks))
    finding_count = counts.filter(pl.any_horizontal(pl.all() > 0)).height
    size = texts.str.len_bytes().sum() / len(texts)
    sys.stdout.write(
        f"{name}: {len(texts):,} texts of {size:,.0f} bytes; "
        f"{is_suspicious.sum() / len(texts):.0%} suspicious, "
        f"{finding_count / len(texts):.0%} with findings\n"
        f"  exact code on every text {len(texts) / exact:11,.0f} texts/s\n"
        f"  columns                  {len(texts) / column:11,.0f} texts/s, {exact / column:.1f} "
        "times the speed\n"
        f"  the screen alone         {len(texts) / screen:11,.0f} texts/s\n"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Measure the detection of secrets.")
    parser.add_argument("--texts", type=int, default=10_000)
    parser.add_argument("--mutations", type=int, default=20_000, help="short hostile texts")
    options = parser.parse_args()
    compare("documentation", make_texts(options.texts))
    compare("mutations", pl.Series(mutated_texts(options.mutations, 1), dtype=pl.String))
