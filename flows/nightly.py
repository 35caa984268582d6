"""Flow `nightly`: rebuild every recipe of a folder, one after the other.

What it moves: for each recipe, what flow `rebuild` moves. One recipe that fails does not stop the
others; the flow fails in the end if one did. A release that the gate rejects is not a
failure: it is an outcome, and stands in the table.
Results: none kept in Prefect; an artifact with a row for each recipe.

Requires:
- what flow `rebuild` requires, for each recipe;
- a Prefect server that keeps the schedule (`prefect.yaml`, or `sluice serve`).
"""

from pathlib import Path
from typing import Any, cast

from prefect import flow
from prefect.states import Completed

from bedrock_sluice.flows.prefect_view.artifacts import show_nightly
from bedrock_sluice.flows.prefect_view.flow_run import end_plainly, folder_run_name
from bedrock_sluice.flows.rebuild import build_release, rebuild
from bedrock_sluice.flows.recipe import load_folder
from bedrock_sluice.flows.running.executor_setting import PROCESSES
from bedrock_sluice.flows.running.prefect_runner import (
    PrefectError,
    without_content,
)
from bedrock_sluice.flows.running.runner import run_directly
from bedrock_sluice.transforms.errors import ConfigError, OutsideError, SluiceError

Row = dict[str, Any]


@flow(persist_result=False, flow_run_name=folder_run_name)
def nightly(recipes: str, executor: str = PROCESSES) -> Any:
    """Rebuild each recipe of a folder, by name; returns a row for each.

    Args:
        recipes: Folder of recipes (`*.toml`), as an absolute path.
        executor: Where to read the logs: `processes`, or `dask://HOST:PORT` for a Dask cluster.

    Raises:
        ConfigError: there is no such folder, or it has no recipe.
        OutsideError: some recipes failed; the others were built.
    """

    def work() -> Any:
        rows = _rebuild_all(Path(recipes), executor)
        return Completed(message=_tally(rows), data=rows)

    return end_plainly("nightly", work)


def _rebuild_all(recipes: Path, executor: str) -> list[Row]:
    rows = [
        _row(path, error=str(recipe))
        if isinstance(recipe, ConfigError)
        else _rebuild(path, executor)
        for path, recipe in load_folder(recipes).items()
    ]
    show_nightly(rows)
    failures = [row["recipe"] for row in rows if row["verdict"] == "failed"]
    if failures:
        raise OutsideError(f"{len(failures)} of {len(rows)} recipes failed: {', '.join(failures)}")
    return rows


def _tally(rows: list[Row]) -> str:
    rejections = [row["recipe"] for row in rows if row["verdict"] == "rejected"]
    names = f": {', '.join(rejections)}" if rejections else ""
    return f"{len(rows) - len(rejections)} passed, {len(rejections)} rejected{names}"


def _rebuild(path: Path, executor: str) -> Row:
    try:
        return _row(path, _summary(path, executor))
    except SluiceError as error:
        return _row(path, error=str(error))


def _summary(path: Path, executor: str) -> dict[str, Any]:
    """Build as a flow of its own; where Prefect itself fails, without it: the release is the same.

    Raises:
        SluiceError: the build failed.
    """
    try:
        return cast(dict[str, Any], rebuild(str(path), executor=executor))
    except PrefectError:
        pass
    except SluiceError:
        raise
    except Exception:  # noqa: S110 - of Prefect, outside of what `rebuild` does
        pass
    return without_content(
        "rebuild", lambda _: build_release(path, run_directly, executor=executor)
    )


def _row(path: Path, facts: dict[str, Any] | None = None, error: str = "") -> Row:
    """A row of the table. All have the same keys: Prefect takes the columns from the first."""
    facts = facts or {"verdict": "failed", "release": "", "counts": {}, "failed_checks": [error]}
    return {
        "recipe": path.name,
        "verdict": facts["verdict"],
        "release": facts["release"],
        "train": facts["counts"].get("train"),
        "validation": facts["counts"].get("validation"),
        "why": ", ".join(facts["failed_checks"]),
    }
