"""What people see of a build: progress while it runs, the funnel and the verdict after it."""

import json
import sys
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from bedrock_sluice.expectations.checks import Check
from bedrock_sluice.flows.hints import usage_in_words
from bedrock_sluice.flows.runner import ReportProgress
from bedrock_sluice.flows.summary import failed_checks
from bedrock_sluice.lake.releases.releases import Release
from bedrock_sluice.transforms.printable import printable

T = TypeVar("T")

people = Console(stderr=True, highlight=False, soft_wrap=True)


def print_json(value: Any) -> None:
    """Write a result for machines: one line of JSON on stdout."""
    try:
        line = msgspec.json.encode(value)
    except UnicodeEncodeError:  # a path that is no UTF-8
        line = json.dumps(value).encode()
    _write_line(line)


def print_result(text: str) -> None:
    """Write a result, such as a path, on stdout."""
    _write_line(text.encode(errors="surrogateescape"))


def _write_line(line: bytes) -> None:
    """Bytes, since the locale's encoding may not hold them."""
    sys.stdout.flush()
    sys.stdout.buffer.write(line + b"\n")
    sys.stdout.buffer.flush()


class ProgressRunner:
    """A `StageRunner` that shows the progress of each stage on a terminal, else nothing."""

    def __init__(self) -> None:
        columns = (TextColumn("{task.description:>10}"), BarColumn(), MofNCompleteColumn())
        self._progress = Progress(
            *columns, TimeElapsedColumn(), console=people, disable=not people.is_terminal
        )

    def __enter__(self) -> "ProgressRunner":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def __call__(self, name: str, work: Callable[[ReportProgress], T]) -> T:
        """Run one stage under a row of the progress display; see `runner.StageRunner`."""
        row = self._progress.add_task(name, total=None)

        def report_progress(done: int, total: int) -> None:
            self._progress.update(row, completed=done, total=total)

        result = work(report_progress)
        total = self._progress.tasks[row].total
        self._progress.update(row, completed=total or 1, total=total or 1)
        return result


def show_release(release: Release) -> None:
    """The funnel as a table, the checks that failed, and where to look."""
    manifest = release.manifest
    people.print(_funnel(manifest))
    if manifest["matched_without_key"]:
        people.print(
            f"{manifest['matched_without_key']:,} selected records lack a key that the filter "
            "only asks not to have a value"
        )
    for line in answers_in_words(manifest):
        people.print(line, markup=False)
    for check in failed_checks(release):
        _show_check(check)
    verdict = "[green]passed[/]" if release.is_passed else "[red]rejected[/]"
    people.print(f"release {verdict}: ", end="")
    people.print(release.uri, markup=False)


def _funnel(manifest: dict[str, Any]) -> Table:
    table = Table(title=f"{manifest['name']}: from records to lines", title_justify="left")
    table.add_column("stage")
    for heading in ("taken", "left out", "kept"):
        table.add_column(heading, justify="right")
    for stage in manifest["stages"]:
        out = stage["taken"] - stage["kept"]
        table.add_row(stage["stage"], f"{stage['taken']:,}", f"{out:,}", f"{stage['kept']:,}")
        for reason, number in stage["rejected"].items():
            table.add_row(f"[dim]  {reason}[/]", "", f"[dim]{number:,}[/]", "")
    counts = manifest["counts"]
    table.add_section()
    for side in ("train", "validation"):
        table.add_row(side, "", "", f"{counts[side]:,}")
    return table


def answers_in_words(manifest: Mapping[str, Any]) -> list[str]:
    """Where the answers of the lines come from, and how the tables that people made were used."""
    by_source = [f"{n:,} from {name}" for name, n in manifest["answers_by_source"].items()]
    lines = [f"answers: {', '.join(by_source)}"] if by_source else []
    for name, usage in manifest["answer_sources"].items():
        words = f"{usage_in_words(usage)}; " if "rows" in usage else ""
        prompts = f"{usage['prompts']:,} of {manifest['answerable']:,} prompts have one"
        lines.append(f"{name}: {words}{prompts}")
    return lines


def _show_check(check: Check) -> None:
    color = "red" if check.severity == "fail" else "yellow"
    people.print(f"[{color}]{check.result}[/] {check.name}: ", end="")
    people.print(check.message, markup=False)
    lines = [check.measurement, f"to fix: {check.hint}"]
    if check.examples:
        lines.insert(1, f"for example: {', '.join(check.examples)}")
    for line in lines:
        people.print(f"  {printable(line)}", markup=False)
