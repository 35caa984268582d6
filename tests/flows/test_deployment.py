"""`sluice deployment`: files that the usual tools take, with the policies of `sluice iam`."""

import json
import re
import shutil
import subprocess
import sys
import tomllib
from configparser import RawConfigParser
from pathlib import Path
from typing import Any

import hcl2
import pytest
from support.protocols import RunSluice
from typer.main import get_command

from bedrock_sluice.cli.app import app

RECIPE = """\
name = "{name}"
lake = "s3://acme-sluice/lake"
[source]
uri = "s3://acme-logs/{logs}"
last_days = 30
[template]
name = "math"
[grader]
lambda_arn = "arn:aws:lambda:us-east-1:111122223333:function:grade"
[train]
model = "amazon.nova-2-lite-v1:0:256k"
role_arn = "arn:aws:iam::111122223333:role/service/rft"
kms_key_id = "arn:aws:kms:us-east-1:111122223333:key/1234"
output_uri = "s3://acme-models/rft"
data_uri = "s3://acme-data/rft"
"""
ROOT = Path(__file__).parents[2]


@pytest.fixture
def recipes(tmp_path: Path) -> Path:
    """Two recipes with a lake, a log bucket and a role in common, in a folder with odd letters."""
    folder = tmp_path / "100% $HOME"
    folder.mkdir()
    for name, logs in {"chat": "a", "tutor": "b"}.items():
        (folder / f"{name}.toml").write_text(RECIPE.format(name=name, logs=logs))
    return folder


def write(sluice: RunSluice, kind: str, recipes: Path) -> Path:
    """Write the files of a kind, twice: the second time changes nothing."""
    folder = recipes.parent / kind
    for _ in range(2):
        assert sluice("deployment", kind, recipes, "--out", folder).code == 0
    return folder


def statements(sluice: RunSluice, recipes: Path, *documents: str) -> list[str]:
    """The statements that `sluice iam` prints for both recipes, each once."""
    texts = set[str]()
    for path in recipes.glob("*.toml"):
        policies = json.loads(sluice("iam", path).out)
        for name in documents or policies:
            texts |= {json.dumps(each, sort_keys=True) for each in policies[name]["Statement"]}
    return sorted(texts)


def distinct(policies: list[Any]) -> list[str]:
    """The statements of policies, each once."""
    return sorted(
        {json.dumps(each, sort_keys=True) for policy in policies for each in policy["Statement"]}
    )


def test_terraform_has_the_policies_of_iam(recipes: Path, sluice: RunSluice) -> None:
    folder = write(sluice, "terraform", recipes)
    text = (folder / "main.tf").read_text()
    assert hcl2.loads(text)["resource"]
    names = re.findall(r'file\("\$\{path\.module\}/(policies/[^"]+)"\)', text)
    names += re.findall(r"^# Add .* (policies/\S+\.json)", text, re.MULTILINE)
    files = {path.relative_to(folder).as_posix() for path in folder.glob("policies/*")}
    assert set(names) == files
    policies = [json.loads((folder / name).read_text()) for name in files]
    assert distinct(policies) == statements(sluice, recipes)
    buckets = [json.loads(path.read_text()) for path in folder.glob("policies/*log-bucket.json")]
    assert len(buckets) == 1  # a bucket has one policy, and here both recipes need it
    assert distinct(buckets) == statements(sluice, recipes, "log-bucket")
    for address in re.findall(r"= (aws_\w+\.[\w-]+)\.", text):
        kind, name = address.split(".")
        assert f'resource "{kind}" "{name}"' in text


def test_cloudformation_has_the_policies_of_iam(recipes: Path, sluice: RunSluice) -> None:
    path = write(sluice, "cloudformation", recipes) / "sluice.template.json"
    linter = [str(Path(sys.executable).with_name("cfn-lint")), "--regions", "us-east-1", "--"]
    lint = subprocess.run([*linter, path], capture_output=True, text=True, check=False)
    assert (lint.returncode, lint.stdout) == (0, "")
    template = json.loads(path.read_text())
    values = [json.loads(each["Value"]) for each in template["Outputs"].values()]
    policies: list[Any] = [{"Statement": values}]  # of keys, which no stack can change
    for each in template["Resources"].values():
        properties = each["Properties"]
        policies += [properties["PolicyDocument"]] if "PolicyDocument" in properties else []
        policies += [policy["PolicyDocument"] for policy in properties.get("Policies", [])]
        if each["Type"] == "AWS::IAM::Role" and "Path" in properties:
            policies.append(properties["AssumeRolePolicyDocument"])
            assert (properties["Path"], properties["RoleName"]) == ("/service/", "rft")
    assert distinct(policies) == statements(sluice, recipes)
    assert distinct([{"Statement": values}]) == statements(sluice, recipes, "model-key")


def test_the_nightly_starts_jobs_only_if_its_policy_does(recipes: Path, sluice: RunSluice) -> None:
    attachment = '"nightly-{}-caller-train"'
    text = (write(sluice, "terraform", recipes) / "main.tf").read_text()
    assert attachment.format("chat") not in text
    path = recipes / "tutor.toml"
    path.write_text(path.read_text() + '[nightly]\npolicy = "train_when_approved"\n')
    sluice("deployment", "terraform", recipes, "--out", recipes.parent / "starting")
    text = (recipes.parent / "starting" / "main.tf").read_text()
    assert attachment.format("tutor") in text
    assert attachment.format("chat") not in text


def test_systemd_takes_the_units(recipes: Path, sluice: RunSluice) -> None:
    folder = write(sluice, "systemd", recipes)
    units = [folder / f"sluice-nightly.{kind}" for kind in ("service", "timer")]
    service = RawConfigParser(strict=False, interpolation=None)
    service.optionxform = str  # type: ignore[assignment,method-assign]
    service.read(units[0])
    command = service["Service"]["ExecStart"]
    assert f'nightly "{recipes.parent}/100%% $$HOME" --json --metrics-file' in command
    assert service["Service"]["User"] == "sluice"
    if analyze := shutil.which("systemd-analyze"):
        run = subprocess.run(
            [analyze, "verify", *units], capture_output=True, text=True, check=False
        )
        assert (run.returncode, run.stderr) == (0, "")
    local = recipes / "chat.toml"
    local.write_text(local.read_text().replace("s3://acme-sluice/lake", "../lake"))
    sluice("deployment", "systemd", recipes, "--out", recipes.parent / "local")
    text = (recipes.parent / "local" / "sluice-nightly.service").read_text()
    assert f'ReadWritePaths="{recipes.parent}/lake"' in text


def test_the_dockerfile_copies_what_is_there_and_runs_what_exists(
    recipes: Path, sluice: RunSluice
) -> None:
    folder = write(sluice, "dockerfile", recipes)
    if hadolint := shutil.which("hadolint", path=Path(sys.executable).parent):
        run = subprocess.run(
            [hadolint, folder / "Dockerfile"], capture_output=True, text=True, check=False
        )
        assert (run.returncode, run.stdout) == (0, "")
    text = (folder / "Dockerfile").read_text().replace("\\\n", " ")
    lines = [line.split(None, 1) for line in text.splitlines() if line and line[0] != "#"]
    steps = [(name, rest) for name, rest in lines]
    for rest in (rest for name, rest in steps if name == "COPY"):
        source, target = rest.split()
        assert (folder / source).exists()
        assert target.startswith("/")
    values = dict(steps)
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-\w+", values["FROM"])
    assert values["USER"] not in {"0", "root"}
    arguments = [*json.loads(values["ENTRYPOINT"]), *json.loads(values["CMD"])]
    program, *options, command, recipe_folder, _ = arguments
    assert (program, options) == ("sluice", ["--log-format", "json"])
    assert command in get_command(app).commands  # type: ignore[attr-defined]
    assert f"recipes/ {recipe_folder}/" in text
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pins = (folder / "constraints.txt").read_text().splitlines()
    for requirement in project["dependencies"]:
        name = re.split(r"[\[<>=;~! ]", requirement)[0].lower()
        assert any(pin.startswith(f"{name}==") for pin in pins), name


def test_other_files_are_not_replaced(recipes: Path, sluice: RunSluice) -> None:
    folder = write(sluice, "systemd", recipes)
    unit = folder / "sluice-nightly.service"
    unit.write_text("mine")
    run = sluice("deployment", "systemd", recipes, "--out", folder)
    assert (run.code, unit.read_text()) == (2, "mine")
    (recipes / "wrong.toml").write_text("x = 1")
    assert sluice("deployment", "terraform", recipes).code == 2
