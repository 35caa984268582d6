"""The log of a build: one line for each stage, with its counts and seconds, never content."""

import logging
import time

import polars as pl

from bedrock_sluice.transforms.fates import FilterResult, Ledger

logger = logging.getLogger("bedrock_sluice")
logger.addHandler(logging.NullHandler())  # a library is silent unless its user configures logging


class LoggedLedger(Ledger):
    """A ledger that logs each stage when it is booked."""

    def __init__(self) -> None:
        super().__init__()
        self._start = time.monotonic()

    def enter(self, stage: str, before: int, result: FilterResult) -> pl.DataFrame:
        """See `Ledger.enter`."""
        kept = super().enter(stage, before, result)
        end = time.monotonic()
        seconds, self._start = round(end - self._start, 3), end
        counts = {"input": before, "kept": kept.height, "dropped": before - kept.height}
        logger.info(
            "%s: %s in, %s kept, %s dropped, %.1f s",
            stage,
            *(f"{number:,}" for number in counts.values()),
            seconds,
            extra={"facts": {"stage": stage, **counts, "seconds": seconds}},
        )
        return kept
