"""Measures what a million records cost: `python tests/bench/cost.py [--records N]`.

CPU seconds of each stage of a first build, and bytes of the logs and the lake, per million records
read. Everything runs in this process but Great Expectations, so other programs disturb the seconds
little. docs/scale.md shows a result.
"""

import argparse
import os
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar
from unittest.mock import patch

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.build import FIRST, RECIPE, generate

from bedrock_sluice.flows.context import open_context
from bedrock_sluice.flows.pipeline import build
from bedrock_sluice.flows.running.runner import ReportProgress

MILLION = 1_000_000

T = TypeVar("T")


class Meter:
    """Runs stages, and adds up the CPU seconds of each."""

    def __init__(self) -> None:
        self.seconds = defaultdict[str, float](float)

    def __call__(self, name: str, work: Callable[[ReportProgress], T]) -> T:
        """See `StageRunner`."""
        start = os.times()
        result = work(lambda _count, _total: None)
        end = os.times()
        self.seconds[name] += end.user + end.system - start.user - start.system
        return result


def folder_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def costs(folder: Path, records: int) -> Iterator[tuple[str, float, str]]:
    """Yield what is measured, how much of it a million records need, and its unit."""
    workload = generate(folder, records)
    (folder / "recipe.toml").write_text(RECIPE.format_map(FIRST), encoding="utf-8")
    meter = Meter()
    # With one processor, in_order starts threads instead of processes.
    with open_context(folder / "recipe.toml") as context, patch("os.cpu_count", lambda: 1):
        release = build(context, meter)
    for stage, seconds in meter.seconds.items():
        yield stage, seconds * MILLION / records, "CPU s"
    sizes = {
        "log objects, decompressed": int(workload["raw_bytes"]),
        "log objects": folder_bytes(folder / "logs"),
        "landed parts": folder_bytes(folder / "lake" / "landed"),
        "derived parts": folder_bytes(folder / "lake" / "derived"),
        "files of the release": folder_bytes(Path(release.uri)),
    }
    for what, size in sizes.items():
        yield what, size / records, "MB"


def main(records: int) -> None:
    """Print a table of costs."""
    with TemporaryDirectory(prefix="sluice-bench-") as name:
        for what, number, unit in costs(Path(name), records):
            sys.stdout.write(f"{what:32}{number:10.1f} {unit} per million records\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=int, default=40_000)
    main(parser.parse_args().records)
