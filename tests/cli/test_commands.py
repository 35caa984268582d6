"""Commands as the README shows them: the demo, the doctor, approval and a dry run."""

import json
from pathlib import Path
from typing import Any

import pytest
from support.command_line import TRAIN
from support.protocols import RunSluice, WriteRecipe
from typer.main import get_command

from bedrock_sluice.cli.app import app

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def test_the_demo_shows_the_funnel_of_the_readme_and_what_to_open(
    tmp_path: Path, sluice: RunSluice
) -> None:
    result = sluice("demo", "--out", tmp_path / "demo")
    funnel = result.err[result.err.index("demo: from records") : result.err.index("release passed")]
    paths = [line.removeprefix("open ") for line in result.err.splitlines() if "open " in line]
    assert result.code == 0
    assert funnel.strip() in README
    assert len(paths) == 3
    assert all(Path(path).is_file() for path in paths)
    assert Path(result.out.strip(), "manifest.json").is_file()


def test_the_doctor_finds_a_good_recipe_well(sums: Path, sluice: RunSluice) -> None:
    result = sluice("doctor", sums, "--json")
    assert result.code == 0
    checks = {each["check"]: each["ok"] for each in json.loads(result.out)}
    assert checks["logs can be listed"] is True
    assert checks["labels can be read"] is None
    assert False not in checks.values()
    assert "– labels can be read: the recipe names none" in sluice("doctor", sums).err


def test_the_doctor_says_what_is_missing(
    sums: Path, recipe: WriteRecipe, sluice: RunSluice
) -> None:
    result = sluice("doctor", recipe('[answer]\nfrom = ["labels"]\nlabels = "none.csv"\n'))
    assert result.code == 1
    assert "✗ labels can be read: label table none.csv: no such file" in result.err


@pytest.mark.parametrize(
    ("old", "new", "name"),
    [
        ('uri = "logs"', 'uri = "nowhere"', "logs can be listed"),
        ('lake = "lake"', 'lake = "gs://lake"', "the lake can be written"),
    ],
)
def test_the_doctor_goes_on_after_a_bad_place(
    sums: Path, sluice: RunSluice, old: str, new: str, name: str
) -> None:
    text = sums.read_text()
    assert old in text
    sums.write_text(f'{text.replace(old, new)}[answer]\nfrom = ["labels"]\nlabels = "none.csv"\n')
    result = sluice("doctor", sums, "--json")
    checks = {each["check"]: each["ok"] for each in json.loads(result.out)}
    assert result.code == 1
    assert checks[name] is False
    assert checks["labels can be read"] is False
    others = {"logs can be listed", "the lake can be written"} - {name}
    assert all(checks[each] for each in others)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("", "", "✓ the training request is valid: by Bedrock's"),
        ("role/rft", "user/rft", "roleArn: must match"),
        ('data_uri = "s3://data/rft"', "", "set data_uri in [train]"),
    ],
)
def test_the_doctor_tries_the_training_request(
    sums: Path, recipe: WriteRecipe, sluice: Any, old: str, new: str, message: str
) -> None:
    assert message in sluice("doctor", recipe(TRAIN.replace(old, new) if old else TRAIN)).err


def test_the_readme_shows_every_command_and_help_loses_no_words() -> None:
    commands = get_command(app).commands  # type: ignore[attr-defined]
    assert [name for name in commands if f"sluice {name}" not in README] == []
    for command in commands.values():
        texts = [command.help, command.epilog]
        texts += [getattr(each, "help", None) for each in command.params]
        assert "[" not in "".join(each or "" for each in texts)  # rich reads it as markup


def test_only_an_approved_release_can_be_trained_on(
    sums: Path, recipe: WriteRecipe, sluice: RunSluice
) -> None:
    release = sluice("build", recipe(TRAIN)).out.strip()
    result = sluice("train", release)
    output = json.loads(sluice("approve", release, "--by", "A. Person", "--json").out)
    request = json.loads(sluice("train", release, "--dry-run").out)
    manifest = json.loads((Path(release) / "manifest.json").read_text())
    assert (result.code, "is not approved" in result.err) == (1, True)
    assert (output["by"], output["digest"]) == ("A. Person", manifest["digest"])
    assert request["customizationType"] == "REINFORCEMENT_FINE_TUNING"
    assert request["trainingDataConfig"]["s3Uri"].endswith(f"{manifest['id']}/train.jsonl")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("build",), "Missing argument"),
        (("frobnicate",), "No such command"),
        (("train", "/no/such/release"), "is not a release"),
        (("approve", "/a/releases/b/c", "--by", "me"), "there is no whole release"),
    ],
)
def test_wrong_usage_exits_2(sluice: RunSluice, arguments: tuple[str, ...], message: str) -> None:
    result = sluice(*arguments)
    assert result.code == 2
    assert message in result.err
