"""The nightly run: every recipe of a folder, one after the other, whatever becomes of another."""

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from bedrock_sluice.flows.context import MINUTE, open_context
from bedrock_sluice.flows.nights.figures import nightly_figures
from bedrock_sluice.flows.nights.nights import (
    check_backfill,
    find_nights,
    last_closed,
    night_ends,
    nights_between,
    read_releases,
)
from bedrock_sluice.flows.nights.policy import follow_policy
from bedrock_sluice.flows.nights.rows import (
    NightRow,
    RecipeRow,
    build_row,
    describe_failure,
    failure_row,
    summarize,
)
from bedrock_sluice.flows.nights.stage_times import BuildTrace, StageTimes
from bedrock_sluice.flows.nights.telemetry import send
from bedrock_sluice.flows.pipeline import build
from bedrock_sluice.flows.recipe import Recipe, load_folder
from bedrock_sluice.flows.recipe.places import open_lake
from bedrock_sluice.flows.running.executor import keep_processes
from bedrock_sluice.flows.running.executor_setting import PROCESSES
from bedrock_sluice.flows.running.runner import StageRunner, run_directly
from bedrock_sluice.flows.running.stage_log import logger
from bedrock_sluice.flows.summary import summary
from bedrock_sluice.lake.releases.release import open_release
from bedrock_sluice.lake.stores.lease import Clock, Lease, Term, take_lease
from bedrock_sluice.lake.stores.store import Store
from bedrock_sluice.transforms.errors import ConfigError, ExitCode, SluiceError

LEASE = "nightly"

BuildOne = Callable[[Path, date | None, StageTimes], dict[str, Any]]
"""Build a night of a recipe, and return what `sluice build --json` prints."""

RunRecipe = Callable[[str, Callable[[], RecipeRow]], RecipeRow]
"""Do the work of a recipe, by the name of its file: directly, or as a task of Prefect."""


def utc_now() -> datetime:
    """Return the time."""
    return datetime.now(UTC)


@dataclass(frozen=True, kw_only=True)
class NightlyOptions:
    """How a nightly run works: its clock, and the nights of a backfill (None: those missed)."""

    clock: Clock = utc_now
    first: date | None = None
    last: date | None = None
    has_lease: bool = True


@dataclass
class _Leases:
    """The leases of a run, one per lake."""

    clock: Clock
    owner: str = field(default_factory=lambda: f"{socket.gethostname()}:{os.getpid()}")
    by_lake: dict[str, Lease | Term] = field(default_factory=dict)

    def take(self, lake: Store) -> Lease | Term:
        """Take the lease of a lake, or keep it; the term of another process if that has it."""
        lease = self.by_lake.get(lake.uri)
        if lease is None:
            lease = self.by_lake[lake.uri] = take_lease(lake, LEASE, self.owner, self.clock)
        return lease

    def end(self) -> None:
        for lease in self.by_lake.values():
            if isinstance(lease, Lease):
                with suppress(SluiceError):  # it ends by itself
                    lease.end()


def run_nightly(
    folder: Path,
    build_one: BuildOne,
    options: NightlyOptions = NightlyOptions(),
    report: Callable[[RecipeRow], None] = lambda _: None,
    run_recipe: RunRecipe = lambda _, work: work(),
) -> list[RecipeRow]:
    """Build what each `*.toml` of a folder has to build; `report` gets each row once it is done.

    Raises:
        ConfigError: There is no such folder, it has no recipe, or the nights are not possible.
    """
    check_backfill(options.first, options.last, last_closed(options.clock()))
    recipes = load_folder(folder)
    rows, traces = list[RecipeRow](), list[BuildTrace]()

    def build_traced(path: Path, night: date | None, times: StageTimes) -> dict[str, Any]:
        traces.append(BuildTrace(path.name, times.spans))
        return build_one(path, night, times)

    with keep_processes(), _leases(options) as leases:
        for path, recipe in recipes.items():
            work = partial(_run_recipe, path, recipe, build_traced, options, leases)
            row = run_recipe(path.name, work)
            logger.info("nightly: %s %s", row.recipe, row.verdict, extra={"facts": _log_facts(row)})
            report(row)
            rows.append(row)
    send(nightly_figures(rows, options.clock()), traces)
    return rows


def direct_builder(executor: str = PROCESSES, run_stage: StageRunner = run_directly) -> BuildOne:
    """Return a builder that needs no Prefect."""

    def build_one(path: Path, night: date | None, times: StageTimes) -> dict[str, Any]:
        ends = night_ends(night)
        with open_context(path, None, ends.until, executor, ends.delivered_before) as context:
            return summary(build(context, times.wrap(run_stage)))

    return build_one


@contextmanager
def _leases(options: NightlyOptions) -> Iterator[_Leases | None]:
    leases = _Leases(options.clock) if options.has_lease else None
    try:
        yield leases
    finally:
        if leases:
            leases.end()


def _run_recipe(
    path: Path,
    recipe: Recipe | ConfigError,
    build_one: BuildOne,
    options: NightlyOptions,
    leases: _Leases | None,
) -> RecipeRow:
    if isinstance(recipe, ConfigError):
        return summarize(path.name, "", [failure_row(None, recipe)])
    try:
        lake = open_lake(recipe, path)
        lease = leases.take(lake) if leases else None
        if isinstance(lease, Term):
            why = f"{lease.owner} works on this lake until {lease.expires:{MINUTE}} (UTC)"
            return _skip(path, recipe, why)
        nights = _choose_nights(lake, recipe, options)
    except Exception as error:
        _raise_if_stopped(error)
        return summarize(path.name, recipe.name, [failure_row(None, error)])
    if not nights:
        return _skip(path, recipe, "it has no last_days, and so no nights to fill")
    rows = _build_nights(path, nights, build_one, lease)
    row = summarize(path.name, recipe.name, rows)
    row = msgspec.structs.replace(row, last_good=_last_good(lake, recipe.name))
    return _follow_policy(path, recipe, row, options) if row.release else row


def _follow_policy(
    path: Path, recipe: Recipe, row: RecipeRow, options: NightlyOptions
) -> RecipeRow:
    """Add what the policy did about the last night; its failure leaves the release as it is."""
    base, now = path.absolute().parent, options.clock().astimezone(UTC)
    try:
        result = follow_policy(recipe, base, open_release(row.release), now)
    except Exception as error:
        _raise_if_stopped(error)
        code, why = describe_failure(error)
        return msgspec.structs.replace(row, action=why, exit_code=max(code, row.exit_code))
    return msgspec.structs.replace(row, action=result.action, job=result.job)


def _skip(path: Path, recipe: Recipe, why: str) -> RecipeRow:
    row = NightRow(night=None, verdict="skipped", exit_code=ExitCode.DONE, why=f"skipped: {why}")
    return summarize(path.name, recipe.name, [row])


def _choose_nights(lake: Store, recipe: Recipe, options: NightlyOptions) -> list[date | None]:
    """The nights to build; a recipe with a fixed window has one build, and no night."""
    if options.first and options.last:
        return [*nights_between(options.first, options.last)] if recipe.source.last_days else []
    if not recipe.source.last_days:
        return [None]
    today = last_closed(options.clock())
    return [*find_nights(lake, recipe, today, recipe.nightly.catch_up_days)]


def _build_nights(
    path: Path, nights: list[date | None], build_one: BuildOne, lease: Lease | None
) -> list[NightRow]:
    """Build in order. What failed outside is tried again by the next run, so later nights wait."""
    rows = list[NightRow]()
    for number, night in enumerate(nights, start=1):
        if lease:
            with suppress(SluiceError):  # the lease saves work, and nothing relies on it
                lease.renew()
        row = _build_night(path, night, build_one)
        remaining = len(nights) - number
        if row.exit_code == ExitCode.OUTSIDE and remaining:
            why = f"{row.why}; {remaining:,} later nights wait for the next run"
            return [*rows, msgspec.structs.replace(row, why=why)]
        rows.append(row)
    return rows


def _build_night(path: Path, night: date | None, build_one: BuildOne) -> NightRow:
    times, label = StageTimes(), night.isoformat() if night else None
    try:
        facts = build_one(path, night, times)
    except Exception as error:
        _raise_if_stopped(error)
        return failure_row(label, error)
    return build_row(label, facts, times.seconds)


def _raise_if_stopped(error: Exception) -> None:
    """Let a signal end the run: libraries that run our code wrap the exception that it raised."""
    cause = error.__cause__ or error.__context__
    while cause:
        if not isinstance(cause, Exception):
            raise cause
        cause = cause.__cause__ or cause.__context__


def _last_good(lake: Store, name: str) -> str | None:
    with suppress(SluiceError):
        return next((each.uri for each in read_releases(lake, name) if each.is_passed), None)
    return None


def _log_facts(row: RecipeRow) -> dict[str, Any]:
    names = ("recipe", "night", "verdict", "exit_code", "release", "train", "validation", "why")
    return {name: getattr(row, name) for name in names}
