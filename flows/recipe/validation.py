"""Recipes checked offline: those of `sluice validate`, and of the Python API."""

from collections.abc import Iterable
from pathlib import Path

from bedrock_sluice.flows.recipe import Recipe, load_folder, load_recipe
from bedrock_sluice.flows.recipe.suite_files import read_suites
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
            errors |= {str(p): _error_of(p, result) for p, result in results}
            continue
        try:
            errors[str(path)] = _error_of(path, load_recipe(path))
        except ConfigError as error:
            errors[str(path)] = error
    return errors


def _error_of(path: Path, result: Recipe | ConfigError) -> ConfigError | None:
    """Return what is wrong with a recipe or with its suites of checks, but for those on S3."""
    if isinstance(result, ConfigError):
        return result
    try:
        suites = result.checks.suites if result.checks else ()
        read_suites((uri for uri in suites if "://" not in uri), path.absolute().parent)
    except ConfigError as error:
        place = f"{path}: {error.place}"
        return ConfigError(error.message, place=place, value=error.value, hint=error.hint)
    return None
