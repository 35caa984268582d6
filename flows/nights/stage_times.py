"""When each stage of a build ran, and how long it took."""

import time
from collections.abc import Callable
from typing import NamedTuple, TypeVar

from bedrock_sluice.flows.running.runner import ReportProgress, StageRunner

T = TypeVar("T")


class StageSpan(NamedTuple):
    """When a stage ran, in nanoseconds of Unix time."""

    stage: str
    start: int
    end: int


class BuildTrace(NamedTuple):
    """The stages of one build of a recipe, which is the name of its file."""

    recipe: str
    spans: list[StageSpan]


class StageTimes:
    """When each stage ran, and its seconds by its name."""

    def __init__(self) -> None:
        self.spans = list[StageSpan]()

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds of each stage."""
        totals = dict[str, float]()
        for stage, start, end in self.spans:
            totals[stage] = totals.get(stage, 0.0) + (end - start) / 1e9
        return {stage: round(total, 3) for stage, total in totals.items()}

    def wrap(self, run_stage: StageRunner) -> StageRunner:
        """Return a runner that measures what another one runs."""

        def run(name: str, work: Callable[[ReportProgress], T]) -> T:
            start, clock = time.time_ns(), time.monotonic_ns()
            try:
                return run_stage(name, work)
            finally:
                self.spans.append(StageSpan(name, start, start + time.monotonic_ns() - clock))

        return run
