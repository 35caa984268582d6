"""`sluice schema`: the recipe's JSON schema, for editors."""

from bedrock_sluice.cli.options import epilog

EPILOG = epilog("sluice schema > recipe.schema.json")


def schema() -> None:
    """Print the JSON schema of the recipe.

    TOML language servers read it: write `#:schema ./recipe.schema.json` as the first line of a
    recipe.
    """
    import json

    from bedrock_sluice.cli.console import print_result
    from bedrock_sluice.flows.recipe.schema import recipe_schema

    print_result(json.dumps(recipe_schema(), indent=2))
