"""How one stage of a build is run: the only thing in which the CLI and the Prefect flows differ."""

from collections.abc import Callable
from typing import Protocol, TypeVar

ReportProgress = Callable[[int, int], None]  # done and total, of whatever a stage counts

T = TypeVar("T")


class StageRunner(Protocol):
    """Run a stage: directly, under a progress bar, or as a Prefect task."""

    def __call__(self, name: str, work: Callable[[ReportProgress], T]) -> T:
        """Do the work and return its result; `work` is called with a `ReportProgress`."""
        ...


def run_directly(name: str, work: Callable[[ReportProgress], T]) -> T:  # noqa: ARG001 - a protocol
    """Run a stage without progress, retries or a task around it."""
    return work(lambda _count, _total: None)
