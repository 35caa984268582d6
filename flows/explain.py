"""`sluice explain`: what became of one record, and why."""

from pathlib import Path
from typing import Any

import polars as pl

from bedrock_sluice.flows.console import people, print_json
from bedrock_sluice.flows.recipe import load_recipe
from bedrock_sluice.lake.releases import Release, newest_release
from bedrock_sluice.lake.store import open_store
from bedrock_sluice.transforms.errors import ConfigError
from bedrock_sluice.transforms.printable import printable
from bedrock_sluice.transforms.reasons import Reason

EXIT_NEVER_SEEN = 1

Fate = dict[str, Any]


def explain(path: Path, request_id: str, as_json: bool) -> None:
    """Print every fate of a request id in the newest release of a recipe.

    Raises:
        ConfigError: the recipe has no release yet.
    """
    recipe = load_recipe(path)
    release = newest_release(open_store(recipe.lake, path.absolute().parent), recipe.name)
    if release is None:
        raise ConfigError(f"{recipe.name} has no release yet; run `sluice build {path}` first")
    fates = find_fates(release, request_id)
    if as_json:
        print_json({"release": release.uri, "request_id": request_id, "fates": fates})
    else:
        _show(release, fates)
    if not fates:
        raise SystemExit(EXIT_NEVER_SEEN)


def find_fates(release: Release, request_id: str) -> list[Fate]:
    """The fates of a request id (more than one if it was delivered again), with their meaning."""
    fates = _rows(release, "fates.parquet", request_id)
    return [fate | _meaning(release, fate) for fate in fates]


def _meaning(release: Release, fate: Fate) -> Fate:
    if fate["reason"]:
        says = {"says": Reason[fate["reason"].upper()].says}
        further = _further(release, fate)
        return says | {"kept_instead": " → ".join(further)} if further else says
    return {"says": "it became a line"} | _provenance(release, fate["request_id"])


def _further(release: Release, fate: Fate) -> list[str]:
    """Where a survivor did not survive either: who did instead, and so on."""
    names, seen = list[str](), {fate["request_id"]}
    while (name := fate["survivor"]) and name not in seen:
        seen.add(name)
        names.append(name)
        fate = next(iter(_rows(release, "fates.parquet", name)), {"survivor": None})
    return names[1:]


def _provenance(release: Release, request_id: str) -> Fate:
    columns = ("reference_source", "group", "duplicates")
    (row,) = _rows(release, "provenance.parquet", request_id)
    return {name: row[name] for name in columns}


def _rows(release: Release, file: str, request_id: str) -> list[Fate]:
    frame = pl.scan_parquet(release.file(file), glob=False)
    return frame.filter(pl.col("request_id") == request_id).collect().to_dicts()


def _show(release: Release, fates: list[Fate]) -> None:
    records = release.manifest["counts"]["records"]
    if not fates:
        people.print(f"no record of that id among the {records:,} of release {release.id}")
    for fate in fates:
        told = {k: v for k, v in fate.items() if v is not None and k not in ("says", "request_id")}
        people.print(f"{fate['fate']}: {fate['says']}", markup=False)
        for name, value in told.items():
            people.print(f"  {name:<16} {printable(str(value))}", markup=False)
    people.print(f"in release {release.uri}", markup=False)
