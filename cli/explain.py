"""`sluice explain`: what happened to a record, and why."""

from difflib import get_close_matches
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import ValidationError

from bedrock_sluice.cli.console import people, print_json
from bedrock_sluice.flows.recipe import Recipe, load_recipe
from bedrock_sluice.lake.releases.releases import Release, list_manifests, open_release
from bedrock_sluice.lake.stores.opening import open_store
from bedrock_sluice.lake.stores.store import Store
from bedrock_sluice.transforms.errors import ConfigError
from bedrock_sluice.transforms.printable import printable
from bedrock_sluice.transforms.reasons import Reason

EXIT_NEVER_SEEN = 1

Fate = dict[str, Any]


def explain(path: Path, request_id: str, release_name: str | None, as_json: bool) -> None:
    """Print every fate of a request id in a release of a recipe, by default the newest.

    Raises:
        ConfigError: there is no such release.
    """
    release = _find_release(path, release_name)
    fates = find_fates(release, request_id)
    _show({"request_id": request_id}, release, fates, as_json)
    if not fates:
        records = release.manifest["counts"]["records"]
        people.print(f"no record of that id among the {records:,} of release {release.id}")
        raise SystemExit(EXIT_NEVER_SEEN)


def explain_reason(
    path: Path, reason: str, number: int, release_name: str | None, as_json: bool
) -> None:
    """Print the fates of the first records with a reason, by log object and line.

    Raises:
        ConfigError: there is no such release, or no such reason.
    """
    release = _find_release(path, release_name)
    reasons = release.manifest["counts"]["dropped"] | release.manifest["counts"]["quarantined"]
    if reason not in {*reasons, *(each.value for each in Reason)}:
        near = get_close_matches(reason, [*reasons, *Reason], n=1)
        hint = f"did you mean {near[0]}?" if near else "docs/reasons.md lists them"
        raise ConfigError(f"unknown reason {reason}; {hint}")
    frame = pl.scan_parquet(release.file("fates.parquet"), glob=False)
    rows = frame.filter(pl.col("reason") == reason).head(number).collect().to_dicts()
    total = reasons.get(reason, 0)
    facts = {"reason": reason, "records": total}
    _show(facts, release, [row | _meaning(release, row) for row in rows], as_json)
    people.print(f"{len(rows):,} of {total:,} records with the reason {reason}", markup=False)
    if not rows:
        raise SystemExit(EXIT_NEVER_SEEN)


def _find_release(path: Path, name: str | None) -> Release:
    """The release of a URI or id, or without one the newest that the recipe made."""
    recipe = load_recipe(path)
    lake = open_store(recipe.lake, path.absolute().parent)
    if name:
        return open_release(name if "/" in name else f"{lake.uri}/releases/{recipe.name}/{name}")
    uris = _release_uris(lake, recipe.name)
    if not uris:
        raise ConfigError(f"{recipe.name} has no release yet; run `sluice build {path}` first")
    matches = (release for release in map(open_release, uris) if _is_made_by(recipe, release))
    newest = next(matches, None)
    if newest is None:
        raise ConfigError(
            f"no release of {recipe.name} was built from {path} as it is now; run "
            f"`sluice build {path}`, or name a release: --release {uris[0].rpartition('/')[2]}"
        )
    return newest


def _release_uris(lake: Store, name: str) -> list[str]:
    """The releases of a name, the newest first."""
    manifests = sorted(list_manifests(lake, name), key=lambda e: (e.modified, e.key), reverse=True)
    return [f"{lake.uri}/{entry.key.rpartition('/')[0]}" for entry in manifests]


def _is_made_by(recipe: Recipe, release: Release) -> bool:
    """Whether the recipe decides the same data; `last_days` may stand for any window."""
    try:
        built = Recipe.model_validate(release.manifest["recipe"])
    except ValidationError:  # of another version
        return False
    if recipe.source.last_days:
        recipe, built = _without_window(recipe), _without_window(built)
    return built.digest() == recipe.digest()


def _without_window(recipe: Recipe) -> Recipe:
    source = recipe.source.model_copy(update={"since": None, "until": None, "last_days": None})
    return recipe.model_copy(update={"source": source})


def find_fates(release: Release, request_id: str) -> list[Fate]:
    """The fates of a request id (more than one if it was delivered again), with their meaning."""
    fates = _rows(release, "fates.parquet", request_id)
    return [fate | _meaning(release, fate) for fate in fates]


def _meaning(release: Release, fate: Fate) -> Fate:
    if fate["reason"]:
        message = {"message": _describe(fate["reason"])}
        further = _further(release, fate)
        return message | {"final_survivor": " → ".join(further)} if further else message
    return {"message": "it became a line"} | _provenance(release, fate["request_id"])


def _describe(reason: str) -> str:
    texts = {each.value: each.message for each in Reason}
    return texts.get(reason, f"{reason}, a reason of another version of Sluice")


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


def _show(facts: dict[str, Any], release: Release, fates: list[Fate], as_json: bool) -> None:
    if as_json:
        print_json({"release": release.uri, **facts, "fates": fates})
        return
    for fate in fates:
        fields = {k: v for k, v in fate.items() if v is not None and k not in ("message", "fate")}
        people.print(f"{fate['fate']}: {fate['message']}", markup=False)
        for name, value in fields.items():
            people.print(f"  {name:<16} {printable(str(value))}", markup=False)
    people.print(f"in release {release.uri}", markup=False)
