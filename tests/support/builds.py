"""Builds that tests run in a way of their own: without the checks, or killed on the way."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from unittest.mock import patch

from bedrock_sluice.flows.context import open_context
from bedrock_sluice.flows.pipeline import build

WAIT_SECONDS = 120
PRELOADED = ("great_expectations", "support.builds")


@contextmanager
def without_checks() -> Iterator[None]:
    """Publish what is built without asking Great Expectations, which takes most of the time.

    For tests of what is built; what is measured for the checks is measured all the same.
    """
    with patch("bedrock_sluice.flows.stages.gate.evaluate_suites", lambda _: []):
        yield


def build_and_die(recipe: Path, event: str, nth: int) -> None:
    """Build, and send SIGKILL to this process right before its nth `event` in the lake.

    The events are Python's own, so nothing of ours has to know: `os.link` gives a file that is
    written its name, `os.remove` takes the temporary name away.
    """
    lake = str(recipe.parent / "lake")
    events = 0

    def kill(name: str, arguments: tuple[object, ...]) -> None:
        nonlocal events
        if name == event and str(arguments[0]).startswith(lake):
            events += 1
            if events == nth:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(kill)
    with open_context(recipe) as context:
        build(context)


def killed_build(recipe: Path, event: str, nth: int) -> int | None:
    """The exit code of `build_and_die` in a process of its own.

    It is forked from a server that has imported the libraries: a new interpreter takes seconds.
    """
    context = get_context("forkserver")
    context.set_forkserver_preload(list(PRELOADED))
    process: ForkServerProcess = context.Process(target=build_and_die, args=(recipe, event, nth))
    process.start()
    process.join(WAIT_SECONDS)
    exit_code = process.exitcode
    process.kill()
    return exit_code
