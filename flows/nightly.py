"""Flow `nightly`: rebuild every recipe of a folder, one after the other.

What it moves: for each recipe, what flow `rebuild` moves. One recipe that fails does not stop the
others; the flow fails in the end if one did. A release that the gate rejects is no failure: it is
an outcome, and stands in the table.
Results: none kept in Prefect; an artifact with a row for each recipe.

Requires:
- what flow `rebuild` requires, for each recipe;
- a Prefect server that keeps the schedule (`prefect.yaml`, or `sluice serve`).
"""

from pathlib import Path
from typing import Any

from prefect import flow
from prefect.artifacts import create_table_artifact

from bedrock_sluice.flows.rebuild import rebuild
from bedrock_sluice.transforms.errors import ConfigError, OutsideError, SluiceError


@flow(persist_result=False)
def nightly(recipes: str) -> list[dict[str, Any]]:
    """Rebuild each `*.toml` of the folder `recipes`, by name; returns a row for each.

    Raises:
        ConfigError: the folder has no recipe.
        OutsideError: some recipes failed; the others were built.
    """
    paths = sorted(Path(recipes).glob("*.toml"))
    if not paths:
        raise ConfigError(f"{recipes} has no recipe; name a folder with *.toml files")
    rows = [_row(path) for path in paths]
    create_table_artifact(key="sluice-nightly", table=rows)
    failed = [row["recipe"] for row in rows if row["verdict"] == "failed"]
    if failed:
        raise OutsideError(f"{len(failed)} of {len(rows)} recipes failed: {', '.join(failed)}")
    return rows


def _row(path: Path) -> dict[str, Any]:
    try:
        told = rebuild(str(path))
    except SluiceError as error:
        return {"recipe": path.name, "verdict": "failed", "why": str(error)}
    counts = told["counts"]
    sides = {side: counts[side] for side in ("train", "validation")}
    return {"recipe": path.name, "verdict": told["verdict"], "release": told["release"], **sides}
