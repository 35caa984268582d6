"""How long each stage of a build took."""

import time
from collections.abc import Callable
from typing import TypeVar

from bedrock_sluice.flows.running.runner import ReportProgress, StageRunner

T = TypeVar("T")


class StageTimes:
    """The seconds of each stage, by its name."""

    def __init__(self) -> None:
        self.seconds = dict[str, float]()

    def wrap(self, run_stage: StageRunner) -> StageRunner:
        """Return a runner that measures what another one runs."""

        def run(name: str, work: Callable[[ReportProgress], T]) -> T:
            start = time.monotonic()
            try:
                return run_stage(name, work)
            finally:
                total = self.seconds.get(name, 0.0) + time.monotonic() - start
                self.seconds[name] = round(total, 3)

        return run
