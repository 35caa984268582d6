"""Measures whole builds: `make bench`, or `python tests/bench/build.py [--records N] [--script]`.

Each measurement is a program of its own, from its start to its end: the hand-made floor
(`floor.py`), `sluice build` with an empty lake, builds from the same lake with another recipe, and
one that finds one day more than the lake has. With `--script`, also what a user would write
(`script.py`). Peak memory is that of the largest process. Compare numbers of one run only.
"""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any, NamedTuple

HERE = Path(__file__).parent
RSS_UNIT_BYTES = 1 if sys.platform == "darwin" else 1024
RECIPE = """\
name = "bench"
lake = "lake"
[source]
uri = "logs"
[template]
name = "qa"
history = true
[select.metadata]
equals = {{ env = "{env}" }}
[curate]
conversations = "each"
near_duplicates = {threshold}
"""
FIRST: Mapping[str, object] = {"env": "prod", "threshold": 0.8}
REBUILDS: Mapping[str, Mapping[str, object]] = {
    "same recipe": {},
    "other filter": {"env": "dev"},
    "other threshold": {"threshold": 0.7},
}

Json = dict[str, Any]


class Run(NamedTuple):
    """Wall seconds of a program, the memory of its largest process, and what it printed."""

    seconds: float
    peak_bytes: int
    result: Json
    stages: dict[str, float]


def run(*command: str | Path, folder: Path) -> Run:
    """Run a program to its end; the last line of its output is JSON."""
    start = perf_counter()
    with (folder / "log").open("w+", encoding="utf-8") as log:
        program = subprocess.Popen(
            [sys.executable, *map(str, command)],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        assert program.stdout is not None
        output = program.stdout.read()
        _, status, usage = os.wait4(program.pid, 0)
        seconds = perf_counter() - start
        log.seek(0)
        lines = log.read().splitlines()
    if status:
        sys.exit("\n".join([f"{command} failed", *lines[-20:]]))
    stages = dict[str, float]()
    for line in lines:
        if line.startswith("{") and "stage" in (event := json.loads(line)):
            stages[event["stage"]] = event["seconds"]
    peak = usage.ru_maxrss * RSS_UNIT_BYTES
    return Run(seconds, peak, json.loads(output.splitlines()[-1]), stages)


def build(folder: Path, **changes: object) -> Run:
    """Run `sluice build` with the recipe."""
    text = RECIPE.format_map({**FIRST, **changes})
    (folder / "recipe.toml").write_text(text, encoding="utf-8")
    module = ("-m", "bedrock_sluice", "--log-format", "json", "--log-level", "info")
    return run(*module, "build", "recipe.toml", "--json", folder=folder)


def measurements(folder: Path, *, has_script: bool) -> Iterator[tuple[str, Run]]:
    """Run everything, in turn."""
    programs = ["floor", "script"] if has_script else ["floor"]
    for name in programs:
        yield name, run(HERE / f"{name}.py", folder / "logs", folder, folder=folder)
    yield "first build", build(folder)
    for name, changes in REBUILDS.items():
        yield name, build(folder, **changes)
    last_day = max((folder / "logs").glob("AWSLogs/*/*/*/*/*/*"))
    last_day.rename(folder / "last_day")
    shutil.rmtree(folder / "lake")
    build(folder)
    (folder / "last_day").rename(last_day)
    yield "one day more", build(folder)


def report(workload: Json, runs: Mapping[str, Run]) -> Iterator[str]:
    """The lines of the report."""
    floor, first = runs["floor"].seconds, runs["first build"].seconds
    yield f"{platform.machine()}, {os.cpu_count()} processors, Python {platform.python_version()}"
    yield f"{workload['records']:,} records, {workload['raw_bytes'] / 1e6:.0f} MB"
    yield f"{'':18}{'seconds':>9}{'of floor':>10}{'of first':>10}{'peak MB':>9}{'lines':>9}"
    for name, each in runs.items():
        counts = each.result.get("counts", each.result)
        yield (
            f"{name:18}{each.seconds:9.2f}{each.seconds / floor:10.2f}{each.seconds / first:10.2f}"
            f"{each.peak_bytes / 1e6:9.0f}{counts['train'] + counts['validation']:9,}"
        )
    for name, each in runs.items():
        if each.stages:
            stages = ", ".join(f"{stage} {seconds:.1f}" for stage, seconds in each.stages.items())
            yield f"{name}, seconds of stages: {stages}"


def main(records: int, *, has_script: bool) -> None:
    """Make logs up, measure everything, print the report."""
    with TemporaryDirectory(prefix="sluice-bench-") as name:
        folder = Path(name)
        workload = run(HERE / "generate.py", "logs", str(records), folder=folder).result
        runs = dict(measurements(folder, has_script=has_script))
    for line in report(workload, runs):
        sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--records", type=int, default=200_000)
    parser.add_argument("--script", action="store_true", help="measure `script.py`, too")
    options = parser.parse_args()
    main(options.records, has_script=options.script)
