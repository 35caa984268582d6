"""`sluice deploy`: the deployment of a tuned model."""

from typing import TYPE_CHECKING, Annotated

import typer

from bedrock_sluice.cli.options import AsJson, JobRecipe, ReleaseLake, epilog

if TYPE_CHECKING:
    from pathlib import Path

    from bedrock_sluice.flows.training.proof.deploy import SmokeResult
    from bedrock_sluice.lake.releases.jobs import JobRecord
    from bedrock_sluice.lake.stores.store import Store

EPILOG = epilog(
    "sluice deploy tutor.toml@approved --recipe tutor.toml",
    "sluice deploy tutor-527776e00615 --lake s3://acme-sluice/lake --dry-run",
    rejected="the model answers, but its answer could not be graded",
)


def deploy(  # noqa: PLR0913, PLR0917 - the options of the command
    target: Annotated[
        str,
        typer.Argument(
            metavar="RELEASE|JOB|MODEL_ARN",
            help="A release that was trained on; or a job or a model, with --lake or --recipe.",
        ),
    ],
    recipe: JobRecipe = None,
    lake: ReleaseLake = None,
    line: Annotated[
        str | None, typer.Option(metavar="ID", help="The validation line that is tried.")
    ] = None,
    smoke: Annotated[
        bool, typer.Option("--smoke/--no-smoke", help="Try one validation line and grade it.")
    ] = True,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the exact request; send nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Deploy the model of a job on demand, wait until it can be called, and try one prompt.

    Running it again makes no second deployment. The text of the answer is not shown.
    """
    from bedrock_sluice.cli.console import people, print_json, print_result
    from bedrock_sluice.flows.recipe import load_recipe
    from bedrock_sluice.flows.training.proof import deploy as proof
    from bedrock_sluice.lake.releases.release import open_release
    from bedrock_sluice.transforms.errors import ExitCode

    store, record = _find(target, lake or recipe)
    if dry_run:
        number, _ = proof.find_deployment(store, record)
        people.print(f"request for a deployment in {record.region}; nothing is sent", markup=False)
        print_json(proof.deployment_request(record, number))
        return
    people.print(COSTS)
    with people.status("waiting for the deployment"):
        result = proof.deploy(store, record)
    current, base = (load_recipe(recipe), recipe.absolute().parent) if recipe else (None, None)
    release = open_release(f"{store.uri}/releases/{record.release}")
    grade = proof.try_deployment(release, result.arn, line, current, base) if smoke else None
    if as_json:
        print_json(result._asdict() | {"smoke": grade._asdict() if grade else None})
    else:
        people.print(f"{result.name}: {result.status}", markup=False)
        if grade:
            _show(grade)
        print_result(result.arn)
    if grade and grade.score is None:
        raise SystemExit(ExitCode.CHECK_FAILED)


COSTS = (
    "calls of the model are paid by the token; AWS may also bill the model's storage. No price of "
    "that is known here"
)


def _find(target: str, place: "str | Path | None") -> "tuple[Store, JobRecord]":
    """Find the job whose model is meant, and its lake.

    Raises:
        ConfigError: There is none, or nothing says in which lake it is.
    """
    from bedrock_sluice.flows.recipe.places import open_target
    from bedrock_sluice.flows.review.release_names import resolve_release
    from bedrock_sluice.flows.training.proof.deploy import find_model, find_release_model
    from bedrock_sluice.transforms.errors import ConfigError

    if "@" in target or "/releases/" in target:
        release = resolve_release(target, place)
        return release.lake, find_release_model(release)
    if place is None:
        raise ConfigError(
            f"{target} does not say in which lake; add --lake LAKE or --recipe RECIPE"
        )
    store = open_target(str(place)).lake
    return store, find_model(store, target)


def _show(grade: "SmokeResult") -> None:
    from bedrock_sluice.cli.console import people
    from bedrock_sluice.transforms.printable import printable

    tokens = f"{grade.input_tokens} tokens read, {grade.output_tokens} written"
    verdict = (
        f"score {grade.score:g}" if grade.score is not None else f"not graded: {grade.problem}"
    )
    people.print(printable(f"line {grade.line_id}: {verdict}; {tokens}"), markup=False)
