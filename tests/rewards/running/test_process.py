"""What a local grader is kept from while it runs."""

import ctypes
import sys
from pathlib import Path

import pytest

from bedrock_sluice.rewards.running.process import GraderProcess, LocalGrader

GET_DUMPABLE = 3  # of prctl(2)


@pytest.mark.skipif(sys.platform != "linux", reason="prctl is Linux's")
def test_the_memory_of_sluice_is_closed_to_others_while_a_grader_runs(tmp_path: Path) -> None:
    (tmp_path / "grader.py").write_text("def lambda_handler(event, context):\n    return event\n")
    prctl = ctypes.CDLL(None).prctl
    process = GraderProcess(LocalGrader("grader.py:lambda_handler", tmp_path), 5.0, 512 << 20)
    try:
        assert process.call(b"[]").answer == []
        assert prctl(GET_DUMPABLE, 0, 0, 0, 0) == 0
    finally:
        process.close()
    assert prctl(GET_DUMPABLE, 0, 0, 0, 0) == 1
