"""`sluice validate`: recipes checked without a network."""

from pathlib import Path
from typing import Annotated

import typer

from bedrock_sluice.cli.options import AsJson, epilog

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
        facts = [
            {"recipe": path, "valid": fault is None, "errors": str(fault or "").splitlines()}
            for path, fault in errors.items()
        ]
        print_json(facts)
    for name, fault in errors.items():
        people.print(str(fault) if fault else f"{name}: valid", markup=False)
    if any(errors.values()):
        raise SystemExit(ExitCode.CONFIG)
