"""Progress of a build: bars on a terminal, lines of the log elsewhere."""

import time
from collections.abc import Callable
from typing import TypeVar

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from bedrock_sluice.cli.console import people
from bedrock_sluice.flows.running.runner import ReportProgress
from bedrock_sluice.flows.running.stage_log import logger

T = TypeVar("T")


class ProgressRunner:
    """A `StageRunner` that shows each stage's progress on a terminal."""

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
        """See `StageRunner`."""
        row = self._progress.add_task(name, total=None)
        start = time.monotonic()

        def tick(position: int, total: int) -> None:
            self._progress.update(row, completed=position, total=total)

        result = work(tick)
        # A stage that never reported progress still ends with a full bar.
        total = self._progress.tasks[row].total or 1
        self._progress.update(row, completed=total, total=total)
        logger.debug("step %s ran for %.1f s", name, time.monotonic() - start)
        return result
