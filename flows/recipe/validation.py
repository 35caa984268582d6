"""Recipes checked offline: those of `sluice validate`, and of the Python API."""

from collections.abc import Iterable
from pathlib import Path

from bedrock_sluice.flows.recipe import load_folder, load_recipe
from bedrock_sluice.transforms.errors import ConfigError


def validate_recipes(paths: Iterable[Path]) -> dict[str, ConfigError | None]:
    """Return what is wrong with each recipe, by its path; None for those that are valid.

    A path may be a folder, which stands for its `*.toml` files.

    Raises:
        ConfigError: a folder has no recipe in it.
    """
    errors = dict[str, ConfigError | None]()
    for path in paths:
        if path.is_dir():
            results = load_folder(path).items()
            errors |= {str(p): r if isinstance(r, ConfigError) else None for p, r in results}
            continue
        try:
            load_recipe(path)
            errors[str(path)] = None
        except ConfigError as error:
            errors[str(path)] = error
    return errors
