"""Stopped by a signal at any moment: one line, the right exit code, and a re-run completes."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from support.protocols import RunSluice

from bedrock_sluice.lake.duck import query

WAIT_SECONDS = 120
STOPPED_AT_A_CALL = """\
import os, signal, sys
from importlib import import_module
from bedrock_sluice.cli import app as cli

module, name, nth, number = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:5])
del sys.argv[1:5]
owner = import_module("bedrock_sluice." + module)
*path, name = name.split(".")
for part in path:
    owner = getattr(owner, part)
call, calls = getattr(owner, name), []

def stopping(*arguments, **named):
    calls.append(1)
    if len(calls) == nth:
        os.kill(os.getpid(), number)
    return call(*arguments, **named)

setattr(owner, name, stopping)
if signal.getsignal(number) is signal.SIG_IGN:  # the tests were started by nohup
    signal.signal(number, signal.SIG_DFL)
cli.main()
"""


class Stopped:
    """A `sluice build` in a process of its own, with a temporary folder of its own."""

    def __init__(self, recipe: Path, *arguments: str) -> None:
        self.lake = recipe.parent / "lake"
        self.work = recipe.parent / "tmp"
        self.work.mkdir()
        self.process = subprocess.Popen(
            [sys.executable, *arguments, "build", str(recipe)],
            env=os.environ | {"TMPDIR": str(self.work)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # a group of its own, as a terminal makes one
        )

    def kill_when(self, is_time: Callable[[], bool], number: int) -> None:
        """Send a signal to the whole group, as Ctrl-C does, as soon as the time has come."""
        deadline = time.monotonic() + WAIT_SECONDS
        while not is_time():
            assert time.monotonic() < deadline
            assert self.process.poll() is None
            time.sleep(0.002)
        os.killpg(self.process.pid, number)

    def assert_ended_well(self, number: int) -> None:
        out, err = self.process.communicate(timeout=WAIT_SECONDS)
        name = signal.Signals(number).name
        message = f"sluice: stopped by {name}; nothing is half written, run the command again"
        assert (out, err.splitlines()[-1]) == ("", f"{message} to continue")
        assert self.process.returncode == 128 + number
        assert list(self.work.iterdir()) == []
        assert not list(self.lake.rglob(".sluice-*"))
        assert not list(self.lake.glob("releases/*/*/manifest.json"))


@pytest.mark.parametrize(
    ("module", "name", "nth", "number"),
    [
        ("flows.context", "load_recipe", 1, signal.SIGINT),
        ("lake.stores.folder", "FolderStore.put_new", 1, signal.SIGTERM),  # the landed part
        ("lake.logs.landed_window", "read_rows", 1, signal.SIGINT),  # DuckDB selects
        ("lake.logs.landed_window", "read_rows", 1, signal.SIGTERM),
        ("lake.stores.folder", "FolderStore.put_new", 9, signal.SIGHUP),  # the manifest
    ],
)
def test_a_build_stopped_at_a_call_ends_with_one_line(
    sums: Path, module: str, name: str, nth: int, number: int
) -> None:
    options = ("-c", STOPPED_AT_A_CALL, module, name, str(nth), str(int(number)))
    Stopped(sums, *options).assert_ended_well(number)


@pytest.mark.parametrize("pattern", ["tmp/sluice-work-*", "lake/landed"])
def test_ctrl_c_from_outside_ends_with_one_line_and_a_re_run_completes(
    sums: Path, sluice: RunSluice, pattern: str
) -> None:
    process = Stopped(sums, "-m", "bedrock_sluice.cli.app")
    process.kill_when(lambda: any(sums.parent.glob(pattern)), signal.SIGINT)
    process.assert_ended_well(signal.SIGINT)
    assert sluice("build", sums).code == 0


def test_a_signal_ends_a_query_that_runs_for_long() -> None:
    def stop(*_: object) -> None:
        raise SystemExit

    table = pl.DataFrame({"n": range(4_000)}).to_arrow()
    before = signal.signal(signal.SIGUSR1, stop)
    timer = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGUSR1))
    try:
        timer.start()
        with pytest.raises(SystemExit):
            query("select sum(a.n * b.n * c.n) as n from t a, t b, t c", {"t": table}, {})
    finally:
        timer.join()
        signal.signal(signal.SIGUSR1, before)
