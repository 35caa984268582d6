"""The log of a build: the seconds of a stage are its own."""

import logging
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import TypeVar

import pytest
from support.protocols import WriteRecipe

from bedrock_sluice.flows.context import open_context
from bedrock_sluice.flows.pipeline import prepare
from bedrock_sluice.flows.running.runner import ReportProgress, run_directly

Result = TypeVar("Result")

SECONDS = {"pull": 3.0, "select": 5.0, "curate": 7.0}


def test_each_stage_has_its_own_seconds(
    sums: Path,
    recipe: WriteRecipe,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    times = [0.0]
    clock = SimpleNamespace(monotonic=lambda: times[-1])
    monkeypatch.setattr("bedrock_sluice.flows.running.stage_log.time", clock)

    def run_stage(name: str, work: Callable[[ReportProgress], Result]) -> Result:
        times.append(times[-1] + SECONDS.get(name, 0.0))
        return run_directly(name, work)

    caplog.set_level(logging.INFO, logger="bedrock_sluice")
    with open_context(recipe()) as context:
        prepare(context, run_stage)
    facts = [vars(record)["facts"] for record in caplog.records]
    seconds = {each["stage"]: each["seconds"] for each in facts if "stage" in each}
    assert seconds == dict.fromkeys(seconds, 0.0) | SECONDS
