"""`sluice validate` and `sluice schema`: recipes checked offline, by us and by editors."""

import json
import re
import tomllib
from pathlib import Path

import jsonschema
import pytest
from support.protocols import RunSluice, WriteRecipe

from bedrock_sluice.demo.logs import RECIPE_FILE, demo_files
from bedrock_sluice.flows.recipe.schema import recipe_schema

PAGE = (Path(__file__).parents[2] / "docs" / "recipe.md").read_text(encoding="utf-8")


def test_a_valid_recipe_needs_no_logs_and_no_lake(
    sluice: RunSluice, recipe: WriteRecipe, tmp_path: Path
) -> None:
    result = sluice("validate", recipe())
    assert (result.code, result.out) == (0, "")
    assert result.err.rstrip().endswith("sums.toml: valid")
    assert not (tmp_path / "lake").exists()


def test_every_recipe_of_a_folder_is_checked_and_one_wrong_one_is_exit_code_2(
    sluice: RunSluice, recipe: WriteRecipe
) -> None:
    folder = recipe(name="good.toml").parent
    recipe(swaps={"[template]": "[templates]"}, name="wrong.toml")
    result = sluice("validate", folder, "--json")
    good, wrong = json.loads(result.out)
    assert result.code == 2
    assert (good["valid"], good["errors"]) == (True, [])
    assert not wrong["valid"]
    assert any(
        re.search(r"wrong\.toml:\d+: .*did you mean `template`\?", message)
        for message in wrong["errors"]
    )


def test_a_suite_that_is_not_there_is_named_with_its_recipe(
    sluice: RunSluice, recipe: WriteRecipe
) -> None:
    path = recipe('[checks]\nsuites = ["mine.json"]\n')
    result = sluice("validate", path)
    assert result.code == 2
    assert f"{path}: suite mine.json: no such file" in " ".join(result.err.split())


def test_a_folder_without_recipes_is_wrong_too(sluice: RunSluice, tmp_path: Path) -> None:
    result = sluice("validate", tmp_path)
    assert result.code == 2
    assert str(tmp_path) in result.err


def printed_schema(sluice: RunSluice) -> dict[str, object]:
    schema: dict[str, object] = json.loads(sluice("schema").out)
    jsonschema.Draft7Validator.check_schema(schema)
    return schema


def as_json(text: str) -> object:
    return json.loads(json.dumps(tomllib.loads(text), default=str))  # dates, as editors see them


def test_the_schema_accepts_the_recipes_that_we_show(sluice: RunSluice) -> None:
    schema = printed_schema(sluice)
    examples = re.findall(r"```toml\n(name = .*?)```", PAGE, re.DOTALL)
    demo = next(content.decode() for name, content in demo_files(10) if name == RECIPE_FILE)
    assert examples
    for text in (*examples, demo):
        jsonschema.validate(as_json(text), schema, jsonschema.Draft7Validator)


@pytest.mark.parametrize(
    "wrong", ["lakes = 1", "[source]\nuri = 3", '[curate]\nconversations = "all"']
)
def test_the_schema_marks_what_is_wrong(wrong: str) -> None:
    text = f'name = "a"\nlake = "l"\n{wrong}\n' + (
        "" if "[source]" in wrong else '[source]\nuri = "u"\n'
    )
    text += '[template]\nname = "math"\n'
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(as_json(text), recipe_schema(), jsonschema.Draft7Validator)
