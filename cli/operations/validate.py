"""`sluice validate`: recipes checked without a network."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bedrock_sluice.cli.options import AsJson, epilog

if TYPE_CHECKING:
    from bedrock_sluice.transforms.errors import ConfigError

EPILOG = epilog("sluice validate tutor.toml", "sluice validate recipes/ --json")


def validate(
    recipes: Annotated[
        list[Path], typer.Argument(metavar="RECIPE…", help="Recipes, or folders of recipes.")
    ],
    as_json: AsJson = False,
) -> None:
    """Check recipes offline. Exits 2 if one is wrong.

    Only the files are read: whether the places that a recipe names exist is checked by
    `sluice doctor`.
    """
    from bedrock_sluice.cli.console import people, print_json
    from bedrock_sluice.flows.recipe.validation import validate_recipes
    from bedrock_sluice.transforms.errors import ExitCode

    errors = validate_recipes(recipes)
    if as_json:
        print_json([_facts(path, error) for path, error in errors.items()])
    for name, fault in errors.items():
        people.print(str(fault) if fault else f"{name}: valid", markup=False)
    if any(errors.values()):
        raise SystemExit(ExitCode.CONFIG)


def _facts(path: str, error: "ConfigError | None") -> dict[str, object]:
    messages = str(error).splitlines() if error else []
    return {"recipe": path, "valid": error is None, "errors": messages}
