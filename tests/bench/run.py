"""Measures speed and memory: `make bench`, or `python tests/bench/run.py --records N`.

Each measurement runs in a fresh process, in turn with the others, ROUNDS times; medians are told.
Seconds are those of the work: what is imported beforehand is not counted, what is imported on the
way is. Compare numbers of one run only; MB are 10^6 bytes, of decompressed logs.
"""

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from resource import RUSAGE_CHILDREN, RUSAGE_SELF, getrusage
from runpy import run_path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

ROUNDS = 3
GENERATE = Path(__file__).with_name("generate.py")
STANDARD = Path(__file__).with_name("standard.py")
RSS_UNIT_BYTES = 1 if sys.platform == "darwin" else 1024

Json = dict[str, Any]


Work = Callable[[], int]
"""A piece of work; it returns how many records it saw."""


def logs(folder: Path) -> list[Path]:
    return sorted((folder / "logs").rglob("*.gz"))


def floor(folder: Path) -> Work:
    """Decompress and split into lines: less than that no reader can do."""
    from isal.igzip import decompress as unpack

    def work() -> int:
        members = (path.read_bytes() for path in logs(folder))
        lines = (unpack(each).splitlines() for each in members)  # type: ignore[no-untyped-call]
        return sum(map(len, lines))

    return work


def standard(folder: Path) -> Work:
    """The same loop with the standard library: see `standard.py`."""

    run_standard = run_path(str(STANDARD))["convert"]

    def work() -> int:
        records: int = run_standard(iter(logs(folder)), folder / "standard.jsonl")
        return records

    return work


def convert(folder: Path) -> Work:
    """`sluice convert` of everything, with its worker processes."""
    from bedrock_sluice.flows.conversion import convert_logs

    def work() -> int:
        summary = convert_logs(str(folder / "logs"), folder / "convert.jsonl", None)
        return summary.exchanges

    return work


def same_lines(folder: Path) -> bool:
    """Whether both loops wrote the same."""
    with (
        (folder / "standard.jsonl").open("rb") as one,
        (folder / "convert.jsonl").open("rb") as two,
    ):
        return all(json.loads(a) == json.loads(b) for a, b in zip(one, two, strict=True))


def pull(folder: Path) -> Work:
    """Land every record in a new lake."""
    import pyarrow.parquet as pq

    from bedrock_sluice.flows.stages.pull import pull as run_pull
    from bedrock_sluice.lake.logs.source import Window, open_source
    from bedrock_sluice.lake.stores.opening import open_store

    shutil.rmtree(folder / "lake", ignore_errors=True)

    def work() -> int:
        source, store = open_source(str(folder / "logs")), open_store(str(folder / "lake"))
        run_pull(source, store, Window(), lambda _steps, _total: None)
        parts = (folder / "lake" / "landed").rglob("*.parquet")
        return sum(pq.read_metadata(part).num_rows for part in parts)

    return work


MEASURES = {each.__name__: each for each in (floor, standard, convert, pull)}
STARTS = {"python": "pass", "sluice": "import bedrock_sluice.cli.app"}


def measure(name: str, folder: Path) -> Json:
    """Do one piece of work in this process, and tell its seconds and the largest peak."""
    work = MEASURES[name](folder)
    start = perf_counter()
    records = work()
    seconds = perf_counter() - start
    peak = max(getrusage(whose).ru_maxrss for whose in (RUSAGE_SELF, RUSAGE_CHILDREN))
    return {"seconds": seconds, "peak_bytes": peak * RSS_UNIT_BYTES, "records": records}


def apart(*arguments: str | Path) -> Json:
    """The JSON on the last line that a fresh Python prints."""
    # This process imports little: a child's peak memory starts from that of its parent.
    command = [sys.executable, *map(str, arguments)]
    process = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    facts: Json = json.loads(process.stdout.splitlines()[-1])
    return facts


def start_seconds(code: str) -> float:
    """Wall seconds of a whole Python process that runs the code."""
    start = perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return perf_counter() - start


def rounds(folder: Path, records: int) -> Iterator[tuple[str, Json]]:
    """Every measurement, ROUNDS times, in turn."""
    for _ in range(ROUNDS):
        for name in MEASURES:
            facts = apart(__file__, "--measure", name, "--folder", folder)
            if facts["records"] != records:
                sys.exit(f"{name} saw {facts['records']} records of {records}: nothing to compare")
            yield name, facts
        for name, code in STARTS.items():
            yield name, {"seconds": start_seconds(code)}


def report(log_facts: Json, results: dict[str, list[Json]]) -> Iterator[str]:
    """The lines of the report."""
    size = f"{log_facts['raw_bytes'] / 1e6:.1f} MB, {log_facts['gzip_bytes'] / 1e6:.1f} MB packed"
    yield f"{log_facts['records']:,} records in {log_facts['objects']} objects, {size}"
    yield f"{'':10}{'seconds':>9}{'records/s':>12}{'MB/s':>8}{'peak MB':>9}"
    for name in MEASURES:
        seconds = median(each["seconds"] for each in results[name])
        peak = median(each["peak_bytes"] for each in results[name]) / 1e6
        speed, flow = log_facts["records"] / seconds, log_facts["raw_bytes"] / 1e6 / seconds
        yield f"{name:10}{seconds:9.2f}{speed:12,.0f}{flow:8.1f}{peak:9.0f}"
    for other in ("floor", "standard"):
        pairs = zip(results["convert"], results[other], strict=True)
        ratio = median(ours["seconds"] / theirs["seconds"] for ours, theirs in pairs)
        yield f"convert takes {ratio:.2f} times the seconds of {other}: {1 / ratio:.2f} its speed"
    for name, code in STARTS.items():
        yield f"python -c '{code}': {median(e['seconds'] for e in results[name]):.3f} seconds"


def compare(records: int) -> None:
    """Make logs up, measure everything, print the report."""
    with TemporaryDirectory(prefix="sluice-bench-") as name:
        folder = Path(name)
        log_facts = apart(GENERATE, folder / "logs", str(records))
        results: dict[str, list[Json]] = {}
        for measurement, result in rounds(folder, records):
            results.setdefault(measurement, []).append(result)
        if not same_lines(folder):
            sys.exit("the two loops wrote different lines: nothing to compare")
    sys.stdout.writelines(f"{line}\n" for line in report(log_facts, results))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--records", type=int, default=200_000)
    parser.add_argument("--measure", choices=list(MEASURES), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        sys.stdout.write(json.dumps(measure(options.measure, options.folder)) + "\n")
    else:
        compare(options.records)
