"""`sluice train`: the training job of an approved release."""

from typing import TYPE_CHECKING, Annotated

import typer

from bedrock_sluice.cli.options import AsJson, JobRecipe, ReleaseUri, epilog

if TYPE_CHECKING:
    from bedrock_sluice.flows.training.job import Job

EPILOG = epilog(
    "sluice train s3://acme-sluice/lake/releases/tutor/2026-11-01-527776e00615 --dry-run",
    "sluice train s3://acme-sluice/lake/releases/tutor/2026-11-01-527776e00615 --recipe tutor.toml",
    rejected="the release is not approved, or a limit says no",
)


def train(
    release: ReleaseUri,
    recipe: JobRecipe = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the exact request; send nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Start the training job of an approved release. Running it again starts no second job."""
    from bedrock_sluice.cli.console import people, print_json, print_result
    from bedrock_sluice.flows.recipe import load_recipe
    from bedrock_sluice.flows.training.job import prepare, train_on
    from bedrock_sluice.lake.releases.release import open_release

    current = load_recipe(recipe) if recipe else None
    base = recipe.absolute().parent if recipe else None
    job = prepare(open_release(release), current, base)
    if dry_run:
        print_json(job.request())
        return
    _show_settings(job, "the recipe of the build" if recipe is None else str(recipe))
    arn = train_on(job)
    if as_json:
        print_json({"job": arn})
    else:
        people.print("started: ", end="")
        print_result(arn)


def _show_settings(job: "Job", source: str) -> None:
    """Print the settings that the job is about to be started with, and where they come from."""
    import msgspec

    from bedrock_sluice.cli.console import people
    from bedrock_sluice.flows.training.request import train_section
    from bedrock_sluice.flows.training.spending import check_lengths

    request, train = job.request(), train_section(job.recipe)
    rft = request["customizationConfig"]["rftConfig"]
    settings = {
        "model": train.model,
        "hyperparameters": msgspec.json.encode(rft.get("hyperParameters", {})).decode(),
        "grader": rft["graderConfig"]["lambdaGrader"]["lambdaArn"],
        "role": train.role_arn,
        "lines": job.data_uri,
        "length": check_lengths(job.release, train),
        "output": train.output_uri,
        "budget": f"{train.budget:g}" if train.budget else "none",
    }
    people.print(f"job {request['jobName']}, with the settings of {source}", markup=False)
    for name, value in settings.items():
        people.print(f"  {name:<16} {value}", markup=False)
