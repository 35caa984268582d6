"""A recipe of the nightly run as a task, which ends as the recipe did."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from bedrock_sluice.flows.nights.rows import RecipeRow
from bedrock_sluice.flows.prefect_view.flow_run import REJECTED

SKIPPED = "Skipped"


def has_failed(row: RecipeRow) -> bool:
    """Whether a night or the policy failed; that the gate rejects a release is an outcome."""
    is_built = all(night.verdict != "failed" for night in row.nights)
    return not is_built or row.exit_code > max(night.exit_code for night in row.nights)


def run_recipe_task(name: str, work: Callable[[], RecipeRow]) -> RecipeRow:
    """Do the work of a recipe in a task that ends as the recipe did; without one if Prefect fails.

    The work is done once, and its own stages are retried where that helps.
    """
    rows = list[RecipeRow]()

    @task(name=name, task_run_name=name, cache_policy=NO_CACHE, persist_result=False)
    def run() -> State[Any]:
        rows.append(work())
        return _end_state(rows[0])

    with suppress(Exception):  # of Prefect: `work` answers with a row
        run(return_state=True)
    return rows[0] if rows else work()


def _end_state(row: RecipeRow) -> State[Any]:
    texts = [row.why, row.action]
    message = "; ".join(filter(None, texts)) or row.release
    if has_failed(row):
        return Failed(message=message)
    name = {"rejected": REJECTED, "skipped": SKIPPED}.get(row.verdict)
    return Completed(name=name, message=message)
