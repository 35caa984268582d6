"""The JSON schema of a recipe, as TOML language servers read it."""

from typing import Any

from bedrock_sluice.flows.recipe import Recipe

DIALECT = "http://json-schema.org/draft-07/schema#"  # the newest that all of these servers read


def recipe_schema() -> dict[str, Any]:
    """Return the JSON schema of a recipe, with the keys as they are written."""
    schema = Recipe.model_json_schema(by_alias=True, ref_template="#/definitions/{model}")
    definitions = schema.pop("$defs")
    return {"$schema": DIALECT, **schema, "title": "Sluice recipe", "definitions": definitions}
