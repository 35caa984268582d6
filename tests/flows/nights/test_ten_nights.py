"""Ten nights with everything that goes wrong make the same releases as one backfill."""

import os
import signal
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

import pytest
from support.builds import PRELOADED, WAIT_SECONDS, without_checks
from support.logs import make_record, write_logs
from support.protocols import WriteRecipe

from bedrock_sluice.flows.nights.rows import RecipeRow
from bedrock_sluice.flows.nights.run import NightlyOptions, direct_builder, run_nightly
from bedrock_sluice.flows.running.runner import ReportProgress, run_directly

T = TypeVar("T")

FIRST = date(2026, 10, 2)  # the night after the first day
NIGHTS = 10
RECORDS_PER_DAY = 14
SWAPS = {
    "since = 2026-10-01\nuntil = 2026-10-02": "last_days = 3",
    '"lake"': '"../lake"',
    '"logs"': '"../logs"',
}


@pytest.fixture
def folder(tmp_path: Path, recipe: WriteRecipe) -> Path:
    """A folder with one recipe over `logs`."""
    (tmp_path / "recipes").mkdir()
    recipe(swaps=SWAPS, name="recipes/sums.toml")
    return tmp_path / "recipes"


def deliver(folder: Path, number: int) -> None:
    """Deliver what a night finds: the day before it, and what is late.

    Of each day, one record is delivered after midnight, and one two days later.
    """
    day = datetime(2026, 10, 1, 12, tzinfo=UTC) + timedelta(days=number)
    logs = folder / "logs"

    def records(of: datetime, numbers: range) -> list[dict[str, Any]]:
        return [
            make_record(
                ask=f"What is {of.day} plus {n}? End with #### and the number.",
                reply=f"#### {of.day + n}",
                request_id=f"r-{of.day}-{n}",
                at=of + timedelta(seconds=n),
            )
            for n in numbers
        ]

    late = RECORDS_PER_DAY - 2
    write_logs(logs, [records(day, range(late))], f"{day:%Y/%m/%d}/12")
    next_day = day + timedelta(days=1)
    write_logs(logs, [records(day, range(late, late + 1))], f"{next_day:%Y/%m/%d}/00")
    before = day - timedelta(days=2)
    if number >= 2:
        write_logs(logs, [records(before, range(late + 1, late + 2))], f"{day:%Y/%m/%d}/05")


def at_three(number: int) -> NightlyOptions:
    """The run of a night, at 03:00."""
    now = datetime(2026, 10, 2, 3, tzinfo=UTC) + timedelta(days=number)
    return NightlyOptions(clock=lambda: now)


def releases(lake: Path, tree_digest: Callable[[Path], dict[str, str]]) -> dict[str, str]:
    """The digest of every file but what the dead process left half written."""
    files = tree_digest(lake / "releases" / "sums")
    return {name: digest for name, digest in files.items() if "/.sluice-" not in name}


def die_at(folder: Path, options_of: int, nth: int) -> None:
    """Run a night, and send SIGKILL to this process right before its nth file in the lake."""
    files = 0

    def kill(name: str, arguments: tuple[object, ...]) -> None:
        nonlocal files
        if name == "os.link" and "/releases/" in str(arguments[1]):
            files += 1
            if files == nth:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(kill)
    with without_checks():
        run_nightly(folder, direct_builder(), at_three(options_of))


def kill_a_night(folder: Path, number: int) -> int | None:
    context = get_context("forkserver")
    context.set_forkserver_preload([*PRELOADED, "flows.nights.test_ten_nights"])
    process = context.Process(target=die_at, args=(folder, number, 4))
    process.start()
    process.join(WAIT_SECONDS)
    code = process.exitcode
    process.kill()
    return code


def test_ten_nights_with_late_logs_a_missed_one_a_crash_and_a_double_start_equal_a_backfill(
    tmp_path: Path, folder: Path, tree_digest: Callable[[Path], dict[str, str]]
) -> None:
    def run(number: int) -> list[str | None]:
        (row,) = run_nightly(folder, direct_builder(), at_three(number))
        assert row.exit_code == 0, row.why
        return [each.night for each in row.nights]

    with without_checks():
        for number in range(NIGHTS):
            deliver(tmp_path, number)
            if number == 3:
                continue  # nobody ran it
            if number == 6:
                assert kill_a_night(folder, number) == -signal.SIGKILL
                (row,) = run_nightly(folder, direct_builder(), at_three(number))
                assert row.verdict == "skipped"  # until the lease of the dead process expires
                continue
            nights = run(number)
            assert len(nights) == (2 if number in {4, 7} else 1)
            if number == 8:
                assert run(number) == nights
        ten_nights = releases(tmp_path / "lake", tree_digest)

        (tmp_path / "lake").rename(tmp_path / "lake-of-nights")
        last = FIRST + timedelta(days=NIGHTS - 1)
        options = at_three(NIGHTS + 5)
        options = NightlyOptions(clock=options.clock, first=FIRST, last=last)
        (row,) = run_nightly(folder, direct_builder(), options)
    assert len(row.nights) == NIGHTS
    backfill = releases(tmp_path / "lake", tree_digest)
    assert ten_nights == backfill
    assert len({path.split("/")[0] for path in backfill if "/" in path}) == NIGHTS


def test_two_runs_at_once_without_a_lease_publish_the_same_release(
    tmp_path: Path, folder: Path, tree_digest: Callable[[Path], dict[str, str]]
) -> None:
    """The second run begins and ends while the first one is at its gate."""
    for number in range(2):
        deliver(tmp_path, number)
    options = NightlyOptions(clock=at_three(1).clock, has_lease=False)
    inner_rows = list[RecipeRow]()

    def run_stage(name: str, work: Callable[[ReportProgress], T]) -> T:
        if name == "gate" and not inner_rows:
            inner_rows.extend(run_nightly(folder, direct_builder(), options))
        result: T = run_directly(name, work)
        return result

    with without_checks():
        (outer,) = run_nightly(folder, direct_builder(run_stage=run_stage), options)
        both = releases(tmp_path / "lake", tree_digest)
        (tmp_path / "lake").rename(tmp_path / "lake-of-two")
        (alone,) = run_nightly(folder, direct_builder(), options)
    assert [row.release for row in (outer, *inner_rows)] == [alone.release] * 2
    assert both == releases(tmp_path / "lake", tree_digest)
