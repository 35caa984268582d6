"""Flow `nightly`: what `sluice nightly` does, with a task for each recipe.

What it moves: for each recipe and night, what flow `rebuild` moves; then what the policy of the
recipe asks for. One recipe that fails does not stop the others; the flow fails in the end if one
did. A release that the gate rejects is not a failure: it is an outcome, and stands in the table.
Results: none kept in Prefect; an artifact with a row for each recipe.

Requires:
- what flow `rebuild` requires, for each recipe, and for a policy that trains what `train` requires;
- a Prefect server that keeps the schedule (`prefect.yaml`, or `sluice serve`).
"""

from datetime import date
from pathlib import Path
from typing import Any, cast

import msgspec
from prefect import flow
from prefect.states import Completed

from bedrock_sluice.flows.nights.nights import NightEnds, night_ends
from bedrock_sluice.flows.nights.rows import RecipeRow, worst_exit_code
from bedrock_sluice.flows.nights.run import NightlyOptions, run_nightly
from bedrock_sluice.flows.nights.stage_times import StageTimes
from bedrock_sluice.flows.prefect_view.artifacts import show_nightly
from bedrock_sluice.flows.prefect_view.flow_run import end_plainly, folder_run_name
from bedrock_sluice.flows.prefect_view.nightly_page import tally
from bedrock_sluice.flows.prefect_view.recipe_task import has_failed, run_recipe_task
from bedrock_sluice.flows.rebuild import build_release, rebuild
from bedrock_sluice.flows.running.executor_setting import PROCESSES
from bedrock_sluice.flows.running.prefect_runner import (
    PrefectError,
    without_content,
)
from bedrock_sluice.flows.running.runner import run_directly
from bedrock_sluice.transforms.errors import (
    ConfigError,
    ExitCode,
    IntegrityError,
    OutsideError,
    SluiceError,
)

_KINDS: dict[ExitCode, type[SluiceError]] = {
    ExitCode.CHECK_FAILED: SluiceError,
    ExitCode.CONFIG: ConfigError,
    ExitCode.OUTSIDE: OutsideError,
}


@flow(persist_result=False, flow_run_name=folder_run_name)
def nightly(
    recipes: str,
    executor: str = PROCESSES,
    first_night: date | None = None,
    last_night: date | None = None,
) -> Any:
    """Build each recipe of a folder; returns the lines of `sluice nightly --json` as objects.

    Args:
        recipes: Folder of recipes (`*.toml`), as an absolute path.
        executor: Where to read the logs: `processes`, or `dask://HOST:PORT` for a Dask cluster.
        first_night: First night of a backfill, with `last_night`; else those that were missed.
        last_night: Last night of a backfill.

    Raises:
        ConfigError: there is no such folder, it has no recipe, or the nights are not possible.
        SluiceError: some recipes failed; the others were built. The kind is that of the worst.
    """

    def work() -> Any:
        options = NightlyOptions(first=first_night, last=last_night)
        rows = _run_all(Path(recipes), executor, options)
        return Completed(message=tally(rows), data=[msgspec.to_builtins(row) for row in rows])

    return end_plainly("nightly", work)


def _run_all(recipes: Path, executor: str, options: NightlyOptions) -> list[RecipeRow]:
    def build_one(path: Path, night: date | None, _: StageTimes) -> dict[str, Any]:
        return _build(path, executor, night_ends(night))

    rows = run_nightly(recipes, build_one, options, run_recipe=run_recipe_task)
    show_nightly(rows)
    if failures := [row for row in rows if has_failed(row)]:
        names = ", ".join(row.recipe for row in failures)
        code = worst_exit_code(failures)
        kind = _KINDS.get(code, IntegrityError)
        raise kind(f"{len(failures)} of {len(rows)} recipes failed: {names} (exit code {code})")
    return rows


def _build(path: Path, executor: str, ends: NightEnds) -> dict[str, Any]:
    """Build as a flow of its own; where Prefect itself fails, without it: the release is the same.

    Raises:
        SluiceError: the build failed.
    """
    try:
        return cast(dict[str, Any], rebuild(str(path), executor=executor, **ends._asdict()))
    except PrefectError:
        pass
    except SluiceError:
        raise
    except Exception:  # noqa: S110 - of Prefect, outside of what `rebuild` does
        pass
    return without_content(
        "rebuild", lambda _: build_release(path, run_directly, executor=executor, **ends._asdict())
    )
