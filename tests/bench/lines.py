"""Measures `render` and `gate`: `make bench`, or `python tests/bench/lines.py [--lines N]`.

Seconds are those of the processor in this process. So the import of Great Expectations and its own
validation, which have a process of their own, are not in them. `render` includes keeping the sides
apart. They are stated as ratios to decoding each of the lines once with msgspec, and doing nothing
else.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time
from unittest.mock import patch

import msgspec

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.build import BASE, generate

from bedrock_sluice.flows.context import open_context
from bedrock_sluice.flows.pipeline import build
from bedrock_sluice.flows.running.runner import ReportProgress, T

STAGES = ("render", "gate")
RECORDS_PER_LINE = 1.25  # some are duplicates
REPEATS = 3  # the best of which counts
RECIPE = BASE + "[split]\nmax_lines = {lines}\n"


def build_release(recipe: Path) -> tuple[dict[str, float], list[bytes]]:
    """Build a release; return the seconds of each stage, and the lines."""
    seconds = dict[str, float]()

    def run_stage(name: str, work: Callable[[ReportProgress], T]) -> T:
        start = process_time()
        result = work(lambda _count, _total: None)
        seconds[name] = process_time() - start
        return result

    # Lines are written in this process, as where there is one processor.
    with open_context(recipe) as context, patch("os.cpu_count", lambda: 1):
        release = build(context, run_stage)
    files = [release.file(f"{side}.jsonl") for side in ("train", "validation")]
    return seconds, [line for file in files for line in file.read_bytes().splitlines()]


def seconds_to_decode(lines: list[bytes]) -> float:
    """Decode each line once."""
    start = process_time()
    for line in lines:
        msgspec.json.decode(line)
    return process_time() - start


def main(number: int) -> None:
    """Make logs up, build a release of them several times, and print the report."""
    with TemporaryDirectory(prefix="sluice-bench-") as name:
        folder = Path(name)
        generate(folder, int(number * RECORDS_PER_LINE))
        recipe = folder / "recipe.toml"
        recipe.write_text(RECIPE.format(lines=number), encoding="utf-8")
        results = [build_release(recipe) for _ in range(REPEATS)]
    lines = results[-1][1]
    decode = min(seconds_to_decode(lines) for _ in range(REPEATS))
    size = sum(map(len, lines)) / len(lines)
    sys.stdout.write(f"{len(lines):,} lines of {size:,.0f} bytes; one decode {decode:.2f} s\n")
    for stage in STAGES:
        seconds = min(seconds[stage] for seconds, _ in results)
        sys.stdout.write(f"{stage:8}{seconds:6.2f} s, {seconds / decode:5.1f} decodes\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Measure the stages render and gate.")
    parser.add_argument("--lines", type=int, default=20_000)
    main(parser.parse_args().lines)
