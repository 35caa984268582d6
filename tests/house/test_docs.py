"""The documents and the program agree: commands, targets, reasons, recipe keys, generated parts."""

import re
from pathlib import Path

import pytest
from house.generated import CLI_PAGE, block, cli_page, demo_output

from bedrock_sluice.cli.app import app
from bedrock_sluice.flows.recipe import Recipe, load_recipe
from bedrock_sluice.flows.recipe.sections import Section
from bedrock_sluice.rewards.templates.base import template_named
from bedrock_sluice.transforms.readers.registry import readers
from bedrock_sluice.transforms.reasons import Reason

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "tests").rglob("*.md")]
TEXT = "".join(page.read_text(encoding="utf-8") for page in sorted(PAGES) if page != CLI_PAGE)
COMMANDS = sorted(
    [command.callback.__name__ for command in app.registered_commands if command.callback]
    + [str(group.name) for group in app.registered_groups]
)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_in_the_documents(name: str) -> None:
    assert f"sluice {name}" in TEXT


def test_every_command_in_the_documents_exists() -> None:
    assert set(re.findall(r"^\$ sluice (\w+)", TEXT, re.MULTILINE)) <= set(COMMANDS)


def test_every_make_target_in_the_documents_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"^\$ make ([\w-]+)", TEXT, re.MULTILINE)
    assert {"demo", "test", "check", "bench", "fuzz"} <= set(targets)
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets)


def test_the_architecture_page_names_every_folder_and_no_other() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`[\w/]+/`.*?) \|", page, re.MULTILINE)
    names = {name for row in rows for name in re.findall(r"`([\w/]+)/`", row)}
    tops = {name for name in names if "/" not in name}
    folders = {p.parent.relative_to(ROOT) for top in tops for p in (ROOT / top).rglob("*.*")}
    rooms = {"/".join(folder.parts[:2]) for folder in folders if "__pycache__" not in folder.parts}
    assert names == tops | rooms


def test_files_that_the_architecture_page_names_exist() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    paths = set(re.findall(r"`((?:\w+/)+\w+\.\w+)`", page))
    assert paths
    assert {path for path in paths if not (ROOT / path).exists()} == set()


def test_ci_runs_the_test_command_of_the_readme() -> None:
    assert "make test" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_the_readme_shows_what_the_demo_prints() -> None:
    assert block(README, "demo") == demo_output(), "run `make readme`"


def test_the_page_of_commands_is_what_help_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"COLUMNS": "40", "FORCE_COLOR": "1", "LC_ALL": "tr_TR"}.items():
        monkeypatch.setenv(name, value)
    assert CLI_PAGE.read_text(encoding="utf-8") == cli_page(), "run `make readme`"


def test_the_page_of_commands_has_every_command_with_its_exit_codes() -> None:
    page = CLI_PAGE.read_text(encoding="utf-8")
    sections = re.findall(r"^### `sluice (\w+)", page, re.MULTILINE)
    assert sorted(set(sections)) == COMMANDS
    assert page.count("\nExit codes: 0 done, ") == len(sections)


def test_every_reason_is_in_its_table_with_its_sentence() -> None:
    page = (ROOT / "docs" / "reasons.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (.+) \|$", page, re.MULTILINE)
    assert rows == [(reason.value, reason.fate, reason.message) for reason in Reason]


def test_every_key_of_a_recipe_is_explained() -> None:
    page = (ROOT / "docs" / "recipe.md").read_text(encoding="utf-8")
    sections = [
        option
        for field in Recipe.model_fields.values()
        for option in (getattr(field.annotation, "__args__", None) or (field.annotation,))
        if isinstance(option, type) and issubclass(option, Section)
    ]
    every: list[type[Section]] = [Recipe, *sections]
    keys = {
        field.alias or name for section in every for name, field in section.model_fields.items()
    }
    assert {key for key in keys if not re.search(rf"\b{key}\b", page)} == set()


@pytest.mark.parametrize(
    ("page", "number"),
    [("README.md", 1), ("docs/recipe.md", 1), ("docs/tutorial.md", 1), ("docs/tutorial.md", 2)],
)
def test_the_recipes_of_the_documents_are_valid(page: str, number: int, tmp_path: Path) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    blocks = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    assert blocks[0].startswith("name = ")
    recipe = "\n".join(blocks[:number])  # the second block of the tutorial adds to the first
    (tmp_path / "r.toml").write_text(recipe, encoding="utf-8")
    template = load_recipe(tmp_path / "r.toml").template
    template_named(template.name, template.options())


def test_links_between_documents_lead_somewhere() -> None:
    links = [
        (page, link)
        for page in PAGES
        for link in re.findall(r"\]\(([\w./-]+)\)", page.read_text(encoding="utf-8"))
    ]
    assert len(links) > 20
    assert [str(each) for each in links if not (each[0].parent / each[1]).exists()] == []


def test_every_dialect_and_every_test_of_its_table_exists() -> None:
    page = (ROOT / "docs" / "dialects.md").read_text(encoding="utf-8")
    names = set(re.findall(r"`(test_\w+)[\[`]", page))
    tests = "".join(p.read_text(encoding="utf-8") for p in (ROOT / "tests").rglob("test_*.py"))
    assert {reader.DIALECT for reader in readers() if reader.DIALECT not in page} == set()
    assert {name for name in names if f"def {name}(" not in tests} == set()
