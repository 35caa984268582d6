"""Run a grader over responses: a local file in a process of its own, or a caller such as Lambda's.

Every sample gets exactly one result. Where a whole batch fails, its samples are graded one by one,
so that the guilty ones are named and the others have their scores.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Protocol

import msgspec

from bedrock_sluice.rewards.running.events import EventForm, Sample, as_event, batches
from bedrock_sluice.rewards.running.grader_results import GraderResult, read_scores
from bedrock_sluice.rewards.running.process import (
    MAX_ANSWER_BYTES,
    CallResult,
    GraderProcess,
    LocalGrader,
)

BATCH_SIZE = 32  # samples
TIMEOUT_SECONDS = 60.0  # of one call
MEMORY_BYTES = 1 << 30  # of address space, which is more than what a Lambda counts
MAX_EVENT_BYTES = MAX_ANSWER_BYTES
MAX_LOST_CALLS = 10  # of one run; then the grader is given up


class Caller(Protocol):
    """A grader that is ready to be called."""

    def call(self, event: bytes) -> CallResult:
        """Hand over an event as JSON."""
        ...

    def close(self) -> None:
        """Give up what is held."""
        ...


def run_grader(  # noqa: PLR0913 - limits, each by its name
    grader: LocalGrader | Caller,
    samples: Iterable[Sample],
    *,
    batch_size: int = BATCH_SIZE,
    timeout_seconds: float = TIMEOUT_SECONDS,
    memory_bytes: int = MEMORY_BYTES,
    form: EventForm = "metadata",
) -> Iterator[GraderResult]:
    """Yield one result a sample, in their order; what is wrong with a sample is in its result.

    A local grader runs in a process of its own, with `timeout_seconds` a call and `memory_bytes`;
    any other is called as it is, with limits of its own, and closed at the end. Two responses to
    one line come to different batches.

    Raises:
        ConfigError: the grader is not there or can't be loaded.
        OutsideError, TransientError: AWS, or the machine, did not do its part.
    """
    caller: Caller = (
        GraderProcess(grader, timeout_seconds, memory_bytes)
        if isinstance(grader, LocalGrader)
        else grader
    )
    with closing(caller):
        run = _Run(caller, form)
        for batch in batches(samples, batch_size):
            yield from run.grade(batch)


@dataclass(slots=True)
class _Run:
    """One run over many batches; counts what was lost."""

    caller: Caller
    form: EventForm
    lost_calls: int = field(default=0, init=False)

    def grade(self, batch: Sequence[Sample]) -> list[GraderResult]:
        event = msgspec.json.encode(as_event(batch, self.form))
        if len(event) > MAX_EVENT_BYTES:
            return self._in_halves(batch)
        if self.lost_calls >= MAX_LOST_CALLS:
            problem = f"not graded: the grader was lost {MAX_LOST_CALLS} times before; fix it first"
            return [GraderResult(sample.id, None, problem=problem) for sample in batch]
        outcome = self.caller.call(event)
        self.lost_calls += outcome.was_lost
        if outcome.failure is None:
            results = read_scores(outcome.answer, [sample.id for sample in batch])
            return [replace(result, note=outcome.note) for result in results]
        if len(batch) == 1:
            problem = f"the grader {outcome.failure}"
            return [GraderResult(batch[0].id, None, problem=problem, note=outcome.note)]
        return [self._alone(sample) for sample in batch]

    def _alone(self, sample: Sample) -> GraderResult:
        (result,) = self.grade([sample])
        if result.problem:
            return result
        notes = ["graded alone, because its batch failed", *([result.note] if result.note else [])]
        return replace(result, note=", ".join(notes))

    def _in_halves(self, batch: Sequence[Sample]) -> list[GraderResult]:
        if len(batch) == 1:
            problem = f"its event is larger than the {MAX_EVENT_BYTES >> 20} MB that Lambda takes"
            return [GraderResult(batch[0].id, None, problem=problem)]
        middle = len(batch) // 2
        return [*self.grade(batch[:middle]), *self.grade(batch[middle:])]
