"""The files of a deployment, with the paths, buckets and roles of a folder of recipes."""

import json
import re
import shutil
import sys
from collections.abc import Callable
from importlib.metadata import distributions, version
from pathlib import Path
from typing import NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined

from bedrock_sluice.flows.deployment.cloudformation import make_template
from bedrock_sluice.flows.deployment.grants import ROLE_NAMES, grant_recipes
from bedrock_sluice.flows.deployment.kinds import Kind
from bedrock_sluice.flows.recipe import Recipe, load_folder
from bedrock_sluice.lake.stores.store import S3_SCHEME
from bedrock_sluice.transforms.errors import ConfigError

Files = dict[str, bytes]

PYTHON = "3.12.8"  # of the container
PACKAGE = "bedrock-sluice"
TEMPLATE = "sluice.template.json"


class Settings(NamedTuple):
    """What recipes do not say: the AWS account, and the KMS keys of the buckets."""

    account: str | None = None
    keys: tuple[str, ...] = ()


def make_files(kind: Kind, folder: Path, settings: Settings) -> Files:
    """Return the files of a deployment by name, the main one first.

    Raises:
        ConfigError: a recipe of the folder is wrong, or the account of one is not known.
    """
    recipes = dict[Path, Recipe]()
    for path, recipe in load_folder(folder).items():
        if isinstance(recipe, ConfigError):
            raise recipe
        recipes[path] = recipe
    return _MAKERS[kind](folder.absolute(), recipes, settings)


def _systemd(folder: Path, recipes: dict[Path, Recipe], _: Settings) -> Files:
    lakes = [r.lake for r in recipes.values() if not r.lake.startswith(S3_SCHEME)]
    values = {
        "folder": str(folder),
        "program": _program(),
        "lakes": sorted({str((folder / Path(lake).expanduser()).resolve()) for lake in lakes}),
    }
    names = ("sluice-nightly.service", "sluice-nightly.timer")
    return {name: _render(name, **values) for name in names}


def _program() -> str:
    """Return the path of the `sluice` of this installation.

    Raises:
        ConfigError: it is not on the path, either.
    """
    own = Path(sys.executable).with_name("sluice")
    program = str(own) if own.is_file() else shutil.which("sluice")
    if program is None:
        raise ConfigError("the program sluice is not on the PATH; install it, or set the PATH")
    return program


def _dockerfile(_folder: Path, recipes: dict[Path, Recipe], _: Settings) -> Files:
    pins = {_normalise(each.metadata["Name"]): each.version for each in distributions()}
    lines = [f"{name}=={number}" for name, number in sorted(pins.items()) if name != PACKAGE]
    return {
        "Dockerfile": _render("Dockerfile", python=PYTHON, version=version(PACKAGE)),
        "constraints.txt": ("\n".join(lines) + "\n").encode(),
        **{f"recipes/{path.name}": path.read_bytes() for path in recipes},
    }


def _normalise(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _terraform(_folder: Path, recipes: dict[Path, Recipe], settings: Settings) -> Files:
    grants = grant_recipes([*recipes.values()], *settings)
    roles = [{"key": role, "name": ROLE_NAMES[role]} for role in grants.caller_roles]
    main = _render("main.tf", **(grants._asdict() | {"caller_roles": roles}))
    policies = {f"policies/{key}.json": _json(content) for key, content in grants.policies.items()}
    return {"main.tf": main, **policies}


def _cloudformation(_folder: Path, recipes: dict[Path, Recipe], settings: Settings) -> Files:
    grants = grant_recipes([*recipes.values()], *settings)
    return {TEMPLATE: _json(make_template(grants))}


_MAKERS: dict[Kind, Callable[[Path, dict[Path, Recipe], Settings], Files]] = {
    "systemd": _systemd,
    "dockerfile": _dockerfile,
    "terraform": _terraform,
    "cloudformation": _cloudformation,
}


def _render(name: str, **values: object) -> bytes:
    environment = Environment(  # noqa: S701 - none of the files is HTML; each has its own quoting
        loader=PackageLoader("bedrock_sluice.flows.deployment"),
        undefined=StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"systemd": _quote_systemd, "hcl": _quote_hcl}
    return environment.get_template(f"{name}.j2").render(values).encode()


def _quote_systemd(text: str) -> str:
    r"""Escape a path within double quotes: `\`, `"`, `%` of specifiers, `$` of variables.

    Raises:
        ConfigError: it has a line break.
    """
    if not text.isprintable():
        raise ConfigError(f"{text!r} has characters that a unit of systemd cannot hold")
    return re.sub(r'(["\\])', r"\\\1", text).replace("%", "%%").replace("$", "$$")


def _quote_hcl(text: str) -> str:
    """Quote a string of Terraform, in which `${` and `%{` begin expressions."""
    return json.dumps(text).replace("${", "$${").replace("%{", "%%{")


def _json(content: object) -> bytes:
    return (json.dumps(content, indent=2) + "\n").encode()
