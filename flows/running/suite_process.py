"""Great Expectations, and the renderer of charts, in a process of their own, started with a build.

To start both takes longer than all the rest of a small build, and needs no result of it: so the
process does it while the build goes on, on another core. One serves all builds of a program.
Commands that only write a page start it without Great Expectations.
"""

import atexit
import gc
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any, NamedTuple

from bedrock_sluice.transforms.errors import TransientError

if TYPE_CHECKING:  # starting the process must not wait for our own imports
    import polars as pl

    from bedrock_sluice.expectations.gate import CheckResult
    from bedrock_sluice.expectations.pages.charts import Spec
    from bedrock_sluice.expectations.suite import Suite

ATTEMPTS = 2
FOR_CHARTS = "--charts"
_LIBRARY = "great_expectations"
_BROKEN = (EOFError, OSError)  # of a pipe whose other end is gone


class SuiteRun(NamedTuple):
    """A suite to run, see `gate.evaluate`."""

    suite: "Suite | str"
    measures: "pl.DataFrame"
    parameters: Mapping[str, float]
    ids: "pl.Series | None" = None


class _SuiteProcess:
    def __init__(self, *, for_charts: bool = False) -> None:
        self._pipe, theirs = Pipe()
        descriptor = theirs.fileno()
        # Not by `multiprocessing`: it would import the caller's script once more. The option keeps
        # modules of the working folder out. A session of its own: Ctrl-C is for the build, which
        # ends this process.
        command = [sys.executable, "-P", "-m", __name__, str(descriptor)]
        command += [FOR_CHARTS] * for_charts
        self._process = subprocess.Popen(  # noqa: S603 - our own module
            command,
            pass_fds=[descriptor],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        theirs.close()
        atexit.register(self.stop)

    def evaluate(self, runs: Sequence[SuiteRun]) -> "list[list[CheckResult]]":
        """Run the suites; raises EOFError or OSError if the process is gone."""
        results: list[list[CheckResult]] = self._ask(runs)
        return results

    def render(self, chart: "Spec") -> str:
        """Render a chart to SVG; raises EOFError or OSError if the process is gone."""
        svg: str = self._ask(chart)
        return svg

    def _ask(self, request: "Sequence[SuiteRun] | Spec") -> Any:
        self._pipe.send(request)
        answer = self._pipe.recv()
        if isinstance(answer, Exception):
            raise answer
        return answer

    def stop(self) -> None:
        """End the process, whatever it does: an import is not waited for."""
        atexit.unregister(self.stop)
        self._pipe.close()
        self._process.kill()
        self._process.wait()


_lock = threading.Lock()  # one answer at a time, and one process: flows may run in threads
_processes: list[_SuiteProcess] = []


def start_suites() -> None:
    """Start the process, unless it runs, or Great Expectations has been imported here already."""
    with _lock:
        if not _processes and _LIBRARY not in sys.modules:
            with suppress(OSError):  # it is tried again when there is something to check
                _processes.append(_SuiteProcess())


@contextmanager
def chart_process() -> Iterator[None]:
    """Render the charts of this block in the process, or in one that starts with the block.

    The latter imports Great Expectations only if it has to, and ends with the block.
    """
    own = list[_SuiteProcess]()
    with _lock:
        if not _processes:
            with suppress(OSError):  # charts are rendered here then
                own.append(_SuiteProcess(for_charts=True))
            _processes.extend(own)
    from bedrock_sluice.expectations.pages.charts import use_renderer  # noqa: PLC0415

    try:
        with use_renderer(render_chart):
            yield
    finally:
        with _lock:
            for process in own:
                if process in _processes:
                    _processes.remove(process)
                process.stop()


def evaluate_suites(runs: Sequence[SuiteRun]) -> "list[CheckResult]":
    """Run the suites, in their order, in the process; or in this one, if it has the library.

    Raises:
        IntegrityError: an expectation could not be evaluated.
        TransientError: the process died, and so did the one that took its place.
    """
    with _lock:
        is_here = not _processes and _LIBRARY in sys.modules
        results = _evaluate(runs) if is_here else _evaluate_apart(runs)
    return [result for suite in results for result in suite]


def render_chart(chart: "Spec") -> str:
    """Render a chart to SVG in the process; or in this one, if there is none."""
    from bedrock_sluice.expectations.pages.charts import render_svg  # noqa: PLC0415

    with _lock:
        if _processes:
            try:
                return _processes[0].render(chart)
            except _BROKEN:
                _processes.pop().stop()
    return render_svg(chart)


def _evaluate_apart(runs: Sequence[SuiteRun]) -> "list[list[CheckResult]]":
    for _ in range(ATTEMPTS):
        try:
            if not _processes:
                _processes.append(_SuiteProcess())
            return _processes[0].evaluate(runs)
        except _BROKEN:
            if _processes:
                _processes.pop().stop()
    raise TransientError(
        f"the process that runs the checks died {ATTEMPTS} times, perhaps for lack of memory; "
        "run again"
    )


def _evaluate(runs: Sequence[SuiteRun]) -> "list[list[CheckResult]]":
    from bedrock_sluice.expectations.gate import evaluate  # noqa: PLC0415

    return [evaluate(*run) for run in runs]


@cache
def load_engine() -> None:
    """Import Great Expectations, but nothing of what only other suites than ours would use."""
    from bedrock_sluice.expectations.gate import load_engine as load  # noqa: PLC0415
    from bedrock_sluice.flows.running.imports import postponing, without  # noqa: PLC0415

    gc.disable()  # a tenth of the time would go into looking for cycles among objects that stay
    with without("boto3", "botocore", "sqlalchemy"), postponing("altair", "scipy.stats"):
        load()
    gc.freeze()
    gc.enable()


def _serve(descriptor: int, *, for_charts: bool) -> None:
    """Answer requests until the other end is closed, as it is when that process dies."""
    if not for_charts:
        load_engine()
    from bedrock_sluice.expectations.pages.charts import (  # noqa: PLC0415
        prepare_charts,
        render_svg,
    )

    pipe = Connection(descriptor)
    with suppress(*_BROKEN):
        if not pipe.poll():
            prepare_charts()
        while True:
            request = pipe.recv()
            try:
                # A chart is a dict, suites to run are a list.
                if isinstance(request, dict):
                    answer: object = render_svg(request)
                else:
                    load_engine()
                    answer = _evaluate(request)
            except Exception as error:  # it is raised at the other end
                answer = error
            pipe.send(answer)
    os._exit(0)  # nothing is left to do, and the library's own way out takes its time


if __name__ == "__main__":
    _serve(int(sys.argv[1]), for_charts=FOR_CHARTS in sys.argv)
