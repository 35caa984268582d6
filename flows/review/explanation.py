"""Explanation of a record: what happened to it in a release, and why."""

from datetime import datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import ValidationError

from bedrock_sluice.flows.recipe import Recipe, load_recipe
from bedrock_sluice.flows.recipe.places import open_lake, open_target
from bedrock_sluice.flows.review.release_names import resolve_release
from bedrock_sluice.lake.releases.release import Release, list_manifests, open_release
from bedrock_sluice.lake.tombstones import find_moment
from bedrock_sluice.transforms.errors import ConfigError
from bedrock_sluice.transforms.reasons import Reason
from bedrock_sluice.transforms.rights.tombstones import request_digest

Fate = dict[str, Any]


def find_reason(release: Release, reason: str, number: int) -> tuple[int, list[Fate]]:
    """Return the number of records with a reason, and the fates of the first `number` of them.

    They are ordered by log object and line.

    Raises:
        ConfigError: there is no such reason.
    """
    counts = release.manifest.counts.dropped | release.manifest.counts.quarantined
    if reason not in {*counts, *(each.value for each in Reason)}:
        near = get_close_matches(reason, [*counts, *Reason], n=1)
        hint = f"did you mean {near[0]}?" if near else "docs/reasons.md lists them"
        raise ConfigError(f"unknown reason {reason}; {hint}")
    frame = pl.scan_parquet(release.file("fates.parquet"), glob=False)
    rows = frame.filter(pl.col("reason") == reason).head(number).collect().to_dicts()
    return counts.get(reason, 0), [row | _explain(release, row) for row in rows]


def find_fates(release: Release, request_id: str) -> list[Fate]:
    """Return the fates of a request id, explained; more than one if it was delivered again."""
    fates = _read_rows(release, "fates.parquet", request_id)
    return [fate | _explain(release, fate) for fate in fates]


def find_tombstone(path: Path, request_id: str) -> datetime | None:
    """Return when a request was forgotten in the lake of a recipe; None if it was not."""
    lake = open_target(str(path)).lake
    return find_moment(lake, {request_digest(request_id)})


def find_release(path: Path, name: str | None) -> Release:
    """Open the release of a URI, an id or `NAME@…`; without one, the newest that the recipe built.

    Raises:
        ConfigError: there is no such release, or the recipe is wrong.
    """
    recipe = load_recipe(path)
    lake = open_lake(recipe, path)
    if name:
        is_id = not {"/", "@"} & set(name)
        return resolve_release(f"{recipe.name}@{name}" if is_id else name, path)
    manifests = list_manifests(lake, recipe.name)
    newest_first = sorted(manifests, key=lambda e: (e.modified, e.key), reverse=True)
    uris = [f"{lake.uri}/{entry.key.rpartition('/')[0]}" for entry in newest_first]
    if not uris:
        raise ConfigError(f"{recipe.name} has no release yet; run `sluice build {path}` first")
    matches = (release for release in map(open_release, uris) if _builds(recipe, release))
    newest = next(matches, None)
    if newest is None:
        raise ConfigError(
            f"no release of {recipe.name} was built from {path} as it is now; run "
            f"`sluice build {path}`, or name a release: --release {uris[0].rpartition('/')[2]}"
        )
    return newest


def _builds(recipe: Recipe, release: Release) -> bool:
    """Return whether the recipe decides the same data; `last_days` may be any window."""
    try:
        recipe_of_build = Recipe.model_validate(release.manifest.recipe)
    except ValidationError:  # of another version
        return False
    recipes = [recipe_of_build, recipe]
    if recipe.source.last_days:
        window = {"since": None, "until": None, "last_days": None, "delivered_before": None}
        sources = [each.source.model_copy(update=window) for each in recipes]
        recipes = [
            each.model_copy(update={"source": source})
            for each, source in zip(recipes, sources, strict=True)
        ]
    return recipes[0].digest() == recipes[1].digest()


def _explain(release: Release, fate: Fate) -> Fate:
    """Return what a fate means: a sentence, the survivor in the end, or the line's provenance."""
    reason = fate["reason"]
    if reason is None:
        columns = ("reference_source", "group", "duplicates")
        (row,) = _read_rows(release, "provenance.parquet", fate["request_id"])
        return {"message": "it became a line", **{name: row[name] for name in columns}}
    messages = {each.value: each.message for each in Reason}
    message = messages.get(reason, f"{reason}, a reason of another version of Sluice")
    survivors = _later_survivors(release, fate)
    return {"message": message} | ({"final_survivor": " → ".join(survivors)} if survivors else {})


def _later_survivors(release: Release, fate: Fate) -> list[str]:
    """Follow the survivors of a survivor that was dropped too, down to the last one."""
    names, request_ids = list[str](), {fate["request_id"]}
    while (name := fate["survivor"]) and name not in request_ids:
        request_ids.add(name)
        names.append(name)
        fate = next(iter(_read_rows(release, "fates.parquet", name)), {"survivor": None})
    return names[1:]


def _read_rows(release: Release, file: str, request_id: str) -> list[Fate]:
    frame = pl.scan_parquet(release.file(file), glob=False)
    return frame.filter(pl.col("request_id") == request_id).collect().to_dicts()
