"""Watchers of jobs that are killed on the way, each in a process of its own."""

import os
import signal
import sys
import time
from collections.abc import Mapping
from multiprocessing import get_context
from multiprocessing.context import ForkServerProcess
from unittest.mock import patch

from bedrock_sluice.flows.training.watch import watch_jobs
from bedrock_sluice.lake.stores.opening import open_store

WAIT_SECONDS = 120
KEYS = ("AWS_", "OPENAI_")  # of the environment that a watcher works in


def watch_and_die(lake: str, environment: Mapping[str, str], event: str, nth: int) -> None:
    """Watch the lineage `math`, and send SIGKILL to this process right before its nth `event`.

    The events are Python's own: `os.link` gives a file of the lake its name, `socket.connect`
    connects to a service or a store.
    """
    os.environ.update(environment)
    events = 0

    def kill(name: str, arguments: tuple[object, ...]) -> None:
        nonlocal events
        is_ours = name != "os.link" or str(arguments[0]).startswith(lake)
        if name == event and is_ours:
            events += 1
            if events == nth:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(kill)
    with patch.object(time, "sleep", lambda _: None):
        watch_jobs(open_store(lake), ["math"], report=lambda _: None)


def killed_watcher(lake: str, event: str, nth: int) -> int | None:
    """The exit code of `watch_and_die` in a process of its own; 0 if it came to its end."""
    context = get_context("forkserver")
    context.set_forkserver_preload(["support.watchers"])
    environment = {key: value for key, value in os.environ.items() if key.startswith(KEYS)}
    arguments = (lake, environment, event, nth)
    process: ForkServerProcess = context.Process(target=watch_and_die, args=arguments)
    process.start()
    process.join(WAIT_SECONDS)
    exit_code = process.exitcode
    process.kill()
    return exit_code
