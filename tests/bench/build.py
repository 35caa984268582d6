"""Measures whole builds: `make bench`, or `python tests/bench/build.py [--records N] [--script]`.

Each measurement is a program of its own, from its start to its end: the hand-made floor
(`floor.py`), `sluice build` with an empty lake, and builds from the same lake with another recipe;
then, with as many records in 31 days of 24 hours, a build of 30 days and the night after it. With
`--script`, also what a user would write (`script.py`). Peak memory is that of the largest process.
Compare numbers of one run only. With `--out`, they are also written as JSON, for `chart.py`.
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
WINDOW_DAYS = 30
# As installed: pip compiles modules, whatever is set here.
ENVIRONMENT = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
RSS_UNIT_BYTES = 1 if sys.platform == "darwin" else 1024
BASE = """\
name = "bench"
lake = "lake"
[source]
uri = "logs"
[template]
name = "qa"
history = true
"""
RECIPE = f"""\
{BASE}[[select.metadata.andAll]]
equals = {{{{ env = "{{env}}" }}}}
[[select.metadata.andAll]]
notEquals = {{{{ team = "{{other_team}}" }}}}
[curate]
conversations = "each"
near_duplicates = {{threshold}}
"""
FIRST: Mapping[str, object] = {"env": "prod", "other_team": "none", "threshold": 0.8}
REBUILDS: Mapping[str, Mapping[str, object]] = {
    "same recipe": {},
    "narrower filter": {"other_team": "team-3"},
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
            env=ENVIRONMENT,
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


def measurements(folder: Path, records: int, *, has_script: bool) -> Iterator[tuple[str, Run]]:
    """Run everything, in turn."""
    programs = ["floor", "script"] if has_script else ["floor"]
    for name in programs:
        yield name, run(HERE / f"{name}.py", folder / "logs", folder, folder=folder)
    yield "first build", build(folder)
    for name, changes in REBUILDS.items():
        yield name, build(folder, **changes)
    shutil.rmtree(folder / "lake")
    shutil.rmtree(folder / "logs")
    generate(folder, records, WINDOW_DAYS + 1)
    last_day = max((folder / "logs").glob("AWSLogs/*/*/*/*/*/*"))
    last_day.rename(folder / "last_day")
    yield "30 days", build(folder)
    (folder / "last_day").rename(last_day)
    yield "night of day 31", build(folder)


def generate(folder: Path, records: int, days: int | None = None) -> Json:
    """Make logs up; return what they are."""
    numbers = [str(number) for number in (records, days) if number]
    return run(HERE / "generate.py", "logs", *numbers, folder=folder).result


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


def main(records: int, *, has_script: bool, out: Path | None) -> None:
    """Make logs up, measure everything, print the report."""
    with TemporaryDirectory(prefix="sluice-bench-") as name:
        folder = Path(name)
        workload = generate(folder, records)
        runs = dict(measurements(folder, records, has_script=has_script))
    for line in report(workload, runs):
        sys.stdout.write(f"{line}\n")
    if out:
        facts = {n: {"seconds": each.seconds, "stages": each.stages} for n, each in runs.items()}
        out.write_text(json.dumps({"records": workload["records"], "runs": facts}), "utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--records", type=int, default=200_000)
    parser.add_argument("--script", action="store_true", help="measure `script.py`, too")
    parser.add_argument("--out", type=Path, help="write the seconds to this file, as JSON")
    options = parser.parse_args()
    main(options.records, has_script=options.script, out=options.out)
