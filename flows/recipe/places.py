"""The lake of a recipe, and what a command line names by one: `LAKE|RECIPE`."""

from dataclasses import dataclass
from pathlib import Path

from bedrock_sluice.flows.recipe import Recipe, load_recipe
from bedrock_sluice.lake.stores.opening import open_store
from bedrock_sluice.lake.stores.store import Store

RECIPE_SUFFIX = ".toml"


@dataclass(frozen=True)
class Target:
    """A lake; and the recipe that named it and its folder, if one did."""

    lake: Store
    recipe: Recipe | None
    base: Path


def open_lake(recipe: Recipe, path: Path) -> Store:
    """Open the lake of the recipe that is read from `path`.

    Raises:
        ConfigError: the recipe names neither a folder nor an `s3://` URI.
    """
    return open_store(recipe.lake, path.absolute().parent)


def open_target(target: str) -> Target:
    """Open a lake by its path or `s3://` URI, or by a recipe (`*.toml`).

    Raises:
        ConfigError: the recipe is wrong, or there can be no such lake.
    """
    if not target.endswith(RECIPE_SUFFIX):
        return Target(open_store(target), None, Path.cwd())
    path = Path(target)
    recipe = load_recipe(path)
    return Target(open_lake(recipe, path), recipe, path.absolute().parent)
