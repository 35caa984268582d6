"""`sluice train`: the training job of an approved release."""

from typing import TYPE_CHECKING, Annotated

import typer

from bedrock_sluice.cli.options import AsJson, JobRecipe, ReleaseLake, ReleaseUri, epilog

if TYPE_CHECKING:
    from pathlib import Path

    from bedrock_sluice.flows.recipe import Recipe
    from bedrock_sluice.flows.training.examination import Job
    from bedrock_sluice.lake.releases.release import Release

EPILOG = epilog(
    "sluice train tutor.toml@approved --dry-run",
    "sluice train s3://acme-sluice/lake/releases/tutor/2026-11-01-527776e00615 --recipe tutor.toml",
    rejected="the release is not approved, or a limit says no",
)


def train(
    release: ReleaseUri,
    recipe: JobRecipe = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Print the exact request and what is still missing; send nothing.",
        ),
    ] = False,
    lake: ReleaseLake = None,
    as_json: AsJson = False,
) -> None:
    """Start the training job of an approved release. Running it again starts no second job.

    A dry run needs no approval.
    """
    from bedrock_sluice.cli.console import people, print_json, print_result
    from bedrock_sluice.flows.recipe import load_recipe
    from bedrock_sluice.flows.review.release_names import resolve_release
    from bedrock_sluice.flows.training.job import prepare, train_on

    source = resolve_release(release, lake, recipe)
    current = load_recipe(recipe) if recipe else None
    base = recipe.absolute().parent if recipe else None
    if dry_run:
        _rehearse(source, current, base)
        return
    job = prepare(source, current, base)
    _show_settings(job, "the recipe of the build" if recipe is None else str(recipe))
    arn = train_on(job)
    if as_json:
        print_json({"job": arn})
    else:
        people.print("started: ", end="")
        print_result(arn)


def _rehearse(release: "Release", current: "Recipe | None", base: "Path | None") -> None:
    """Print the request, and everything that is missing; a missing approval is not an error yet.

    Raises:
        SluiceError: more than an approval is missing.
    """
    from bedrock_sluice.cli.console import people, print_json
    from bedrock_sluice.flows.training.examination import examine

    examination = examine(release, current, base)
    if examination.job:
        target = examination.job.target.name
        people.print(f"request for the target {target}; nothing is sent", markup=False)
        print_json(examination.request)
    if error := examination.error(consent_needed=False):
        raise error
    for problem in examination.problems:
        people.print(f"still missing: {problem.error}", markup=False)
    if not examination.problems:
        people.print("nothing is missing; run again without --dry-run to start the job")


def _show_settings(job: "Job", source: str) -> None:
    """Print the settings that the job is about to be started with, and where they come from."""
    import msgspec

    from bedrock_sluice.cli.console import people
    from bedrock_sluice.flows.training.spending import check_lengths

    train, grader = job.draft.train, job.recipe.grader
    settings = {
        "model": train.model,
        "target": job.target.name,
        "hyperparameters": msgspec.json.encode(train.hyper_parameters).decode(),
        "grader": train.evaluator_arn or (grader.lambda_arn if grader else None),
        "role": train.role_arn,
        "lines": train.data_uri or job.release.uri,
        "length": check_lengths(job.release, train),
        "output": train.output_uri,
        "budget": f"{train.budget:g}" if train.budget else "none",
    }
    people.print(f"job {job.draft.name}, with the settings of {source}", markup=False)
    for name, value in settings.items():
        if value:
            people.print(f"  {name:<16} {value}", markup=False)
