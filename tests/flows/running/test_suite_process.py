"""Great Expectations in a process of its own: the same checks, whatever becomes of the process."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bedrock_sluice.expectations.gate import evaluate
from bedrock_sluice.expectations.measures import measure_readiness
from bedrock_sluice.expectations.pages import charts
from bedrock_sluice.expectations.pages.charts import render_svg
from bedrock_sluice.flows.running import suite_process
from bedrock_sluice.flows.running.suite_process import (
    SuiteRun,
    chart_process,
    evaluate_suites,
    render_chart,
    start_suites,
)
from bedrock_sluice.transforms.errors import IntegrityError, TransientError

RUNS = [
    SuiteRun("readiness", measure_readiness(["length_biased"]), {}),
    SuiteRun("readiness", measure_readiness([]), {}),
]


@pytest.fixture
def process_id(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Start the process, even if the library is imported here already."""
    monkeypatch.setattr(suite_process, "_LIBRARY", "not_imported_here")
    monkeypatch.setattr(suite_process, "_processes", [])
    start_suites()
    (process,) = suite_process._processes
    yield process._process.pid
    process.stop()


def test_the_process_gives_the_checks_that_the_library_gives_here(process_id: int) -> None:
    expected = [result for run in RUNS for result in evaluate(*run)]
    assert not all(result.check.passed for result in expected)
    assert evaluate_suites(RUNS) == expected
    with pytest.raises(IntegrityError):  # a column is missing; the process goes on
        evaluate_suites([SuiteRun("readiness", measure_readiness([]).drop("flat"), {})])
    assert evaluate_suites(RUNS) == expected
    assert suite_process._processes[0]._process.pid == process_id


def test_a_process_that_was_killed_is_replaced(process_id: int) -> None:
    os.kill(process_id, signal.SIGKILL)
    assert evaluate_suites(RUNS) == [check for run in RUNS for check in evaluate(*run)]
    (process,) = suite_process._processes
    assert process._process.pid != process_id
    process.stop()


def test_the_process_renders_the_charts_of_a_page_and_they_need_not_it(process_id: int) -> None:
    chart = {"mark": "bar", "data": {"values": [{"a": 3}]}, "encoding": {"x": {"field": "a"}}}
    expected = render_svg(chart)
    assert "<svg" in expected
    assert render_chart(chart) == expected
    assert suite_process._processes[0]._process.pid == process_id
    os.kill(process_id, signal.SIGKILL)
    assert render_chart(chart) == expected
    assert suite_process._processes == []


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_command_that_writes_a_page_starts_the_process_for_charts_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(suite_process, "_processes", [])
    chart = {"mark": "bar", "data": {"values": []}}
    with chart_process():
        (process,) = suite_process._processes
        assert charts._render(chart).startswith("<svg")
        maps = Path(f"/proc/{process._process.pid}/maps").read_text()
        assert "vl_convert" in maps
        assert "pandas" not in maps  # of Great Expectations
        assert evaluate_suites(RUNS) == [check for run in RUNS for check in evaluate(*run)]
        assert suite_process._processes == [process]
    assert suite_process._processes == []
    assert process._process.poll() is not None


@pytest.mark.usefixtures("process_id")
def test_processes_that_die_again_and_again_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suite_process._SuiteProcess, "evaluate", die)
    with pytest.raises(TransientError, match="died 2 times"):
        evaluate_suites(RUNS)
    assert suite_process._processes == []


def die(process: suite_process._SuiteProcess, _runs: object) -> None:
    process.stop()
    raise EOFError


def run_program(end: str) -> subprocess.CompletedProcess[bytes]:
    """Run a program that starts the process, and then does what `end` says.

    The process holds the program's stderr, so that waiting for the end of that is waiting for both.
    """
    code = (
        "import os, signal, time\n"
        "from bedrock_sluice.flows.running.suite_process import start_suites\n"
        f"start_suites()\n{end}\n"
    )
    return subprocess.run(
        [sys.executable, "-c", code],
        stderr=subprocess.PIPE,
        timeout=60,
        check=False,
        start_new_session=True,
    )


@pytest.mark.parametrize("end", ["", "os.kill(os.getpid(), signal.SIGKILL)"])
def test_the_process_ends_with_the_program(end: str) -> None:
    program = run_program(end)
    assert program.stderr == b""
    assert program.returncode == (-signal.SIGKILL if end else 0)


def test_the_process_does_not_answer_ctrl_c() -> None:
    """The terminal sends the signal to the whole group; what it means is for the build to say."""
    program = run_program(
        "from bedrock_sluice.flows.running import suite_process\n"
        "signal.signal(signal.SIGINT, lambda *_: None)\n"
        "os.killpg(0, signal.SIGINT)\n"
        "time.sleep(1)\n"
        "assert suite_process._processes[0]._process.poll() is None"
    )
    assert (program.returncode, program.stderr) == (0, b"")


def test_programs_leave_out_what_they_do_not_use() -> None:
    """Half a second a process for pandas, and seconds for databases, clouds and charts."""
    code = (
        "import sys\n"
        "from bedrock_sluice.flows.running import imports, suite_process\n"
        "suite_process.load_engine()\n"
        "heavy = {'altair.vegalite', 'botocore', 'scipy.stats._stats_py', 'sqlalchemy'}\n"
        "print(sorted(heavy & sys.modules.keys()), 'great_expectations' in sys.modules)\n"
    )
    command = [sys.executable, "-c", code]
    assert subprocess.check_output(command, text=True).split() == ["[]", "True"]
