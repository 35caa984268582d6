"""The log of a build: one line for each stage, with its counts and seconds, never content."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import polars as pl

from bedrock_sluice.transforms.facts.release_facts import StageCounts
from bedrock_sluice.transforms.fates import FilterResult, Ledger

logger = logging.getLogger("bedrock_sluice")
logger.addHandler(logging.NullHandler())  # a library is silent unless its user configures logging

StageListener = Callable[[StageCounts], None]
_listener: ContextVar[StageListener | None] = ContextVar("stage_listener", default=None)


@contextmanager
def listen(listener: StageListener) -> Iterator[None]:
    """Call the listener with the counts of each stage that is booked within the block."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


class LoggedLedger(Ledger):
    """A ledger that logs each stage when it is booked."""

    def __init__(self) -> None:
        super().__init__()
        self._start = time.monotonic()
        self._seconds = dict[str, float]()

    def finish(self, stage: str) -> None:
        """Stop the clock of a stage that is booked later: the next one tells what it rejects."""
        self._seconds[stage] = self._lap()

    def _lap(self) -> float:
        start, self._start = self._start, time.monotonic()
        return self._start - start

    def enter(self, stage: str, before: int, result: FilterResult) -> pl.DataFrame:
        """See `Ledger.enter`."""
        kept = super().enter(stage, before, result)
        seconds = self._seconds.pop(stage) if stage in self._seconds else self._lap()
        counts = {"input": before, "kept": kept.height, "dropped": before - kept.height}
        logger.info(
            "%s: %s in, %s kept, %s dropped, %.1f s",
            stage,
            *(f"{number:,}" for number in counts.values()),
            seconds,
            extra={"facts": {"stage": stage, **counts, "seconds": round(seconds, 3)}},
        )
        if listener := _listener.get():
            listener(self.stages[-1])
        return kept
