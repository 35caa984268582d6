"""`sluice status`: the releases of a recipe or a lake, and how their training jobs ended."""

from typing import Annotated

import typer

from bedrock_sluice.cli.options import AsJson, LakeOrRecipe, epilog

EPILOG = epilog("sluice status tutor.toml --json", "sluice status s3://acme-sluice/lake")


def status(
    target: LakeOrRecipe,
    never_started: Annotated[
        list[str] | None,
        typer.Option(
            help="A release of the recipe whose job is known never to have started; repeatable."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the releases of a recipe, or of a whole lake, and query how their jobs ended.

    Each release has its verdict, lines, decisions and jobs. Which prompts the jobs were trained on
    is recorded in the lake.
    """
    from bedrock_sluice.cli.console import people, print_json
    from bedrock_sluice.cli.training.job_view import show_status
    from bedrock_sluice.cli.training.releases import read_states, release_rows, show_releases
    from bedrock_sluice.flows.recipe.places import open_target
    from bedrock_sluice.flows.review.history import write_index
    from bedrock_sluice.flows.training.job import settle

    place = open_target(target)
    lake, recipe = place.lake, place.recipe
    if never_started and recipe is None:
        raise typer.BadParameter("--never-started needs a recipe, which names the lineage")
    lineages = [recipe.lineage] if recipe else lake.folders("registry/")
    jobs = [
        job for each in lineages for job in settle(lake, each, never_started=never_started or ())
    ]
    states = read_states(lake, recipe)
    for name in states:
        write_index(lake, name)
    if as_json:
        job_rows = [job._asdict() | {"advice": job.advice} for job in jobs]
        print_json({"releases": release_rows(lake, states), "jobs": job_rows})
        return
    show_releases(states)
    if not jobs:
        people.print("no job has been requested yet")
    for job in jobs:
        show_status(job)
