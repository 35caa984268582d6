"""Measures near duplicates: `python tests/bench/near.py [--texts N] [--sizes N N …]`.

Texts of about 1 KB are random words, as frequent as in language (Zipf). One in ten repeats another
with words replaced, so that their similarity is spread over 0.6 to 0.99. The truth is computed with
Python's sets of 5 words, which share no code with what is measured. Each measurement runs in a
fresh process; memory is the peak beyond what stood when the texts were made.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from resource import RUSAGE_SELF, getrusage
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

WORDS = 155  # of a text, on average; about 1 KB
VOCABULARY = 50_000
SHARE = 0.1  # of texts that repeat another
LEAST, MOST = 0.6, 0.99  # similarity that is aimed at
WIDTH = 5
PEER_PERMUTATIONS = 128
RSS_UNIT_BYTES = 1 if sys.platform == "darwin" else 1024
LETTERS = np.frombuffer(b"abcdefghijklmnopqrstuvwxyz", "S1")

Json = dict[str, Any]
Pairs = set[tuple[int, int]]
Words = tuple[str, ...]


class Planted(NamedTuple):
    """Texts, and the pairs (i < j) of those where the second was made from the first."""

    texts: pl.Series
    pairs: NDArray[np.int64]


def plant(number: int, seed: int = 1) -> Planted:
    """Texts of random words, some of them made from another."""
    rng = np.random.default_rng(seed)
    vocabulary = _vocabulary(rng)
    weights = np.cumsum(1 / np.arange(1, VOCABULARY + 1))
    repeats = int(number * SHARE)
    sources = rng.choice(number - repeats, repeats, replace=False)
    texts, words_by_row = [], {}
    source_rows = set(sources.tolist())
    for row in range(number - repeats):
        words = _draw(rng, weights, int(rng.integers(WORDS - 35, WORDS + 36)))
        if row in source_rows:
            words_by_row[row] = words
        texts.append(" ".join(vocabulary[words]))
    for source in sources.tolist():
        texts.append(" ".join(vocabulary[_alter(rng, weights, words_by_row.pop(source))]))
    pairs = np.stack([sources, np.arange(number - repeats, number)], axis=1)
    return Planted(pl.Series(texts, dtype=pl.String), pairs)


def _vocabulary(rng: np.random.Generator) -> NDArray[np.object_]:
    lengths = rng.integers(2, 11, VOCABULARY)
    letters = (rng.choice(LETTERS, length).tobytes().decode() for length in lengths)
    return np.array(list(letters), dtype=np.object_)


def _draw(rng: np.random.Generator, weights: NDArray[np.float64], number: int) -> NDArray[np.int64]:
    words: NDArray[np.int64] = np.searchsorted(weights, rng.random(number) * weights[-1])
    return words


def _alter(
    rng: np.random.Generator, weights: NDArray[np.float64], words: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Replace words until about as many shingles differ as a similarity drawn at random allows."""
    similarity = rng.uniform(LEAST, MOST)
    different_words = len(words) * (1 - similarity) / (1 + similarity)
    places = rng.choice(len(words), max(1, round(different_words / WIDTH)), replace=False)
    other_words = words.copy()
    other_words[places] = _draw(rng, weights, len(places))
    return other_words


def jaccard(one: str, other: str) -> float:
    """By the definition, with sets of tuples of words."""
    left, right = _tuples(one), _tuples(other)
    return len(left & right) / len(left | right)


def _tuples(text: str) -> set[Words]:
    words = text.split()
    return set(zip(*(words[shift:] for shift in range(WIDTH)), strict=False))


# --- What is measured


def ours(texts: pl.Series, threshold: float) -> tuple[Json, Pairs]:
    """Sketches, candidates, verification and clusters, and the seconds of each."""
    from bedrock_sluice.transforms.dedup.candidate_pairs import candidate_pairs
    from bedrock_sluice.transforms.dedup.near_duplicates import pick_survivors, verify
    from bedrock_sluice.transforms.dedup.sketches import sketch

    rank = np.arange(len(texts))
    ticks = [perf_counter()]
    sketches = sketch(texts)
    ticks.append(perf_counter())
    candidates = candidate_pairs(sketches, threshold)
    ticks.append(perf_counter())
    pairs, similarity = verify(candidates, texts.gather, threshold)
    ticks.append(perf_counter())
    pick_survivors(pairs, similarity, rank)
    ticks.append(perf_counter())
    steps = dict(zip(("sketch", "candidates", "verify", "cluster"), np.diff(ticks), strict=True))
    facts = {"seconds": ticks[-1] - ticks[0], "candidates": len(candidates), "steps": steps}
    return facts, set(map(tuple, pairs.tolist()))


def peer(texts: pl.Series, threshold: float) -> tuple[Json, Pairs]:
    """What a user writes with datasketch: its pairs are not verified."""
    from datasketch import MinHash, MinHashLSH

    text_list = texts.to_list()
    start = perf_counter()
    index = MinHashLSH(threshold=threshold, num_perm=PEER_PERMUTATIONS)
    pairs: Pairs = set()
    for row, text in enumerate(text_list):
        min_hash = MinHash(num_perm=PEER_PERMUTATIONS)
        min_hash.update_batch([" ".join(words).encode() for words in _tuples(text)])
        pairs.update((other, row) for other in index.query(min_hash))
        index.insert(row, min_hash)
    return {"seconds": perf_counter() - start}, pairs


MEASURES: dict[str, Callable[[pl.Series, float], tuple[Json, Pairs]]] = {
    "sluice": ours,
    "datasketch": peer,
}


def measure(name: str, number: int, threshold: float) -> Json:
    """Make texts up and find their near duplicates in this process; tell what came of it."""
    sample = plant(number)
    MEASURES[name](sample.texts[:64], threshold)  # what is imported on the way is not counted
    before = _peak_after_making(sample)
    facts, pairs = MEASURES[name](sample.texts, threshold)
    beyond = getrusage(RUSAGE_SELF).ru_maxrss * RSS_UNIT_BYTES - before
    facts |= {"beyond_bytes": beyond / number, "size": sample.texts.str.len_bytes().mean()}
    return facts | _compare_with_truth(sample, pairs, threshold)


def _peak_after_making(sample: Planted) -> int:
    """The memory that stands now; the peak must not hide what comes after."""
    status = Path("/proc/self/status")
    if not status.exists():
        return getrusage(RUSAGE_SELF).ru_maxrss * RSS_UNIT_BYTES
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # forget the peak so far
    line = next(each for each in status.read_text().splitlines() if each.startswith("VmRSS"))
    return int(line.split()[1]) * 1024


def _compare_with_truth(sample: Planted, pairs: Pairs, threshold: float) -> Json:
    """Recall of the planted pairs on or over the threshold; precision of every pair found."""
    texts = sample.texts
    true = {(i, j) for i, j in sample.pairs.tolist() if jaccard(texts[i], texts[j]) >= threshold}
    right = sum(jaccard(texts[i], texts[j]) >= threshold for i, j in pairs)
    return {
        "true": len(true),
        "found": len(pairs),
        "recall": len(true & pairs) / max(1, len(true)),
        "precision": right / max(1, len(pairs)),
    }


# --- The report


def apart(name: str, number: int, threshold: float) -> Json:
    """`measure` in a fresh process."""
    command = [sys.executable, __file__, "--measure", name, "--texts", str(number)]
    command += ["--threshold", str(threshold)]
    process = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    facts: Json = json.loads(process.stdout.splitlines()[-1])
    return facts


def report(texts: int, peer_texts: int, sizes: list[int], threshold: float) -> Iterator[str]:
    """The lines of the report, as they come."""
    runs = [("sluice", texts), ("datasketch", peer_texts), *(("sluice", size) for size in sizes)]
    head = ("texts", "texts/s", "recall", "precision", "pairs", "B/text beyond")
    yield f"{'':11}" + "".join(f"{each:>14}" for each in head)
    speeds: list[float] = []
    for name, number in runs:
        facts = apart(name, number, threshold)
        speeds.append(number / facts["seconds"])
        yield (
            f"{name:11}{number:14,}{speeds[-1]:14,.0f}{facts['recall']:14.4f}"
            f"{facts['precision']:14.4f}{facts['found']:14,}{facts['beyond_bytes']:14,.0f}"
        )
        if steps := facts.get("steps"):
            shares = ", ".join(f"{step} {seconds:.2f}" for step, seconds in steps.items())
            yield f"{'':11}{facts['size']:.0f} B a text; seconds: {shares}"
    yield f"{speeds[0] / speeds[1]:.1f} times the speed of datasketch"
    if sizes:
        yield f"at {sizes[-1]:,} texts {speeds[-1] / speeds[2]:.2f} times the speed at {sizes[0]:,}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--texts", type=int, default=20_000)
    parser.add_argument("--peer-texts", type=int, default=4_000, help="of datasketch")
    parser.add_argument("--sizes", type=int, nargs="*", default=[50_000, 150_000, 500_000])
    parser.add_argument("--threshold", type=float, default=0.8)
    parser.add_argument("--measure", choices=MEASURES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        facts = measure(options.measure, options.texts, options.threshold)
        sys.stdout.write(json.dumps(facts) + "\n")
    else:
        for line in report(options.texts, options.peer_texts, options.sizes, options.threshold):
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()
