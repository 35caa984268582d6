"""`sluice grader export`: a grader of ours, ready to deploy."""

from pathlib import Path
from typing import Annotated

import typer

from bedrock_sluice.cli.options import AsJson, epilog

EPILOG = epilog(
    "sluice grader export math --out deploy/",
    "sluice grader export judge --model amazon.nova-pro-v1:0",
)


def export(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="math, qa, text, format, tool or judge.")
    ],
    out: Annotated[Path, typer.Option(help="The folder to write to.")] = Path(),
    model: Annotated[str | None, typer.Option(help="The model that judges, for judge.")] = None,
    as_json: AsJson = False,
) -> None:
    """Write a grader as a zip for AWS Lambda, and the least policy that its role needs."""
    from bedrock_sluice.cli.console import people, print_json, print_result
    from bedrock_sluice.flows.graders.export import export_grader

    files = export_grader(name, out, model=model)
    settings = f"set JUDGE_MODEL_ID={model}, and JUDGE_RUBRIC to what a good response is"
    if as_json:
        paths = {"archive": str(files.archive), "policy": str(files.policy)}
        print_json({"grader": name, **paths, "handler": files.handler, "model": model})
        return
    if model:
        people.print(settings, markup=False)
    people.print(f"handler {files.handler}; policy of its role: {files.policy}", markup=False)
    print_result(str(files.archive))
