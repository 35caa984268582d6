"""`sluice status`: how the training jobs of a recipe ended."""

from typing import Annotated

import typer

from bedrock_sluice.cli.options import AsJson, RecipePath, epilog

EPILOG = epilog("sluice status tutor.toml --json")


def status(
    recipe: RecipePath,
    never_started: Annotated[
        list[str] | None,
        typer.Option(help="A release whose job is known never to have started; repeatable."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Query the jobs of a recipe's lineage, and record which prompts they were trained on."""
    from bedrock_sluice.cli.console import people, print_json
    from bedrock_sluice.flows.recipe import load_recipe
    from bedrock_sluice.flows.training.job import settle
    from bedrock_sluice.lake.stores.opening import open_store

    settings = load_recipe(recipe)
    lake = open_store(settings.lake, recipe.absolute().parent)
    jobs = settle(lake, settings.lineage, never_started=never_started or ())
    if as_json:
        print_json([job._asdict() for job in jobs])
        return
    if not jobs:
        people.print(f"no job of {settings.lineage} has been requested yet")
    for job in jobs:
        message = f"{job.release}  job {job.job or '-'}: {job.status}; its prompts are {job.state}"
        people.print(message, markup=False)
