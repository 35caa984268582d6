"""How one step of a build is run: the only thing in which the CLI and the Prefect flows differ."""

from collections.abc import Callable
from typing import Protocol, TypeVar

ReportProgress = Callable[[int, int], None]  # done and total, of whatever a step counts

T = TypeVar("T")


class StageRunner(Protocol):
    """How a step is run: called directly under a progress bar, or as a Prefect task."""

    def __call__(self, name: str, work: Callable[[ReportProgress], T]) -> T:
        """Do the work and return its result; `work` reports progress to the `Tick` it is given."""
        ...


def run_directly(name: str, work: Callable[[ReportProgress], T]) -> T:  # noqa: ARG001 - a `Step`
    """The plainest `Step`: just do it."""
    return work(lambda _done, _total: None)
