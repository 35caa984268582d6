"""Arguments, options and help texts that several commands share."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer


def check_recipe(context: typer.Context, path: Path | None) -> Path | None:
    """Report an error in the recipe at once: the libraries of a build take seconds to load."""
    if path is not None and not context.resilient_parsing:
        from bedrock_sluice.flows.recipe import load_recipe

        load_recipe(path)
    return path


_RECIPE_HELP = "The recipe, a TOML file."
RecipePath = Annotated[
    Path, typer.Argument(metavar="RECIPE", help=_RECIPE_HELP, callback=check_recipe)
]
# For `sluice doctor`, which reports a wrong recipe as one of its findings.
UncheckedRecipePath = Annotated[Path, typer.Argument(metavar="RECIPE", help=_RECIPE_HELP)]
ReleaseUri = Annotated[
    str,
    typer.Argument(
        metavar="RELEASE",
        help="RECIPE@latest, RECIPE@approved or RECIPE@ID, where RECIPE is a TOML file; NAME@… "
        "with --lake; or <lake>/releases/<name>/<id>, a path or s3:// URI.",
    ),
]
LakeOrRecipe = Annotated[
    str, typer.Argument(metavar="LAKE|RECIPE", help="The lake, or a recipe (*.toml) of it.")
]
ReleaseLake = Annotated[
    str | None,
    typer.Option("--lake", metavar="LAKE|RECIPE", help="The lake in which to look for NAME@…"),
]
JobRecipe = Annotated[
    Path | None,
    typer.Option(
        help="Read the job settings from this recipe instead of that of the build.",
        callback=check_recipe,
    ),
]
Account = Annotated[
    str | None,
    typer.Option(help="The AWS account of logs and jobs; default: that of the job's role."),
]
KmsKeys = Annotated[
    list[str] | None,
    typer.Option(metavar="ARN", help="A KMS key that encrypts a bucket; repeatable."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON on stdout.")]
Page = Annotated[Path | None, typer.Option(help="Write the result to this file, as an HTML page.")]
Since = Annotated[
    datetime | None, typer.Option(help="Start of the window (UTC), instead of the recipe's.")
]
Until = Annotated[
    datetime | None, typer.Option(help="End of the window (UTC), instead of the recipe's.")
]


def _check_executor(context: typer.Context, executor: str) -> str:
    if not context.resilient_parsing:
        from bedrock_sluice.flows.running.executor_setting import scheduler_address

        scheduler_address(executor)
    return executor


Executor = Annotated[
    str,
    typer.Option(
        metavar="processes|dask://HOST:PORT",
        help="Read and derive logs in processes of this machine, or on a Dask cluster.",
        callback=_check_executor,
    ),
]


def epilog(*examples: str, rejected: str | None = None) -> str:
    """Return the end of a help text: examples, and the exit codes of the command.

    `rejected` says what exit code 1 means, for commands that have it. Typer joins single lines
    into paragraphs, hence the blank lines.
    """
    codes = ["0 done", "2 wrong recipe or usage", "3 AWS, disk or network failed"]
    if rejected:
        codes.insert(1, f"1 {rejected}")
    heading = "Example:" if len(examples) == 1 else "Examples:"
    commands = [f"$ {example}" for example in examples]
    return "\n\n".join([heading, *commands, f"Exit codes: {', '.join(codes)}."])
