"""The log of a build: the seconds of a stage are its own."""

import logging

import polars as pl
import pytest

from bedrock_sluice.flows.running.stage_log import LoggedLedger
from bedrock_sluice.transforms.fates import FilterResult
from bedrock_sluice.transforms.tables import STAGES

NOTHING = pl.DataFrame(schema=STAGES["select"].schema)


def test_a_stage_that_is_booked_after_the_next_has_its_own_seconds(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    times = iter([0.0, 3.0, 10.0])  # the start; `pull` is finished; `select` is booked
    monkeypatch.setattr("time.monotonic", lambda: next(times))
    caplog.set_level(logging.INFO, logger="bedrock_sluice")
    ledger = LoggedLedger()
    ledger.finish("pull")
    for stage in ("pull", "select"):
        ledger.enter(stage, 0, FilterResult(NOTHING, NOTHING))
    facts = [vars(record)["facts"] for record in caplog.records]
    assert {each["stage"]: each["seconds"] for each in facts} == {"pull": 3.0, "select": 7.0}
