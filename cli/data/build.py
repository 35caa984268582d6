"""`sluice build`: one release from one recipe."""

from typing import Annotated

import typer

from bedrock_sluice.cli.log import announce
from bedrock_sluice.cli.options import AsJson, Executor, RecipePath, Since, Until, epilog

EPILOG = epilog(
    "sluice build tutor.toml",
    "sluice build tutor.toml --dry-run",
    "sluice build tutor.toml --since 2026-10-01 --until 2026-11-01 --json",
    rejected="the gate rejected the release",
)


def build(  # noqa: PLR0913, PLR0917 - options of the command line
    recipe: RecipePath,
    since: Since = None,
    until: Until = None,
    executor: Executor = "processes",
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Show what a build would publish, and publish nothing. Fetched logs stay.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Fetch new logs and build a release. Exits 1 if the gate rejects it."""
    announce("build", recipe)
    from bedrock_sluice.flows.running.imports import spare_pandas
    from bedrock_sluice.flows.running.suite_process import start_suites

    start_suites()  # before all that is imported here: it takes longest
    spare_pandas()
    from functools import partial

    from bedrock_sluice.cli.progress import ProgressRunner
    from bedrock_sluice.cli.release_summary import show_draft, show_outcome
    from bedrock_sluice.flows.context import open_context
    from bedrock_sluice.flows.nights.telemetry import measure_build
    from bedrock_sluice.flows.pipeline import build as build_release
    from bedrock_sluice.flows.pipeline import rehearse

    with open_context(recipe, since, until, executor) as context:
        if dry_run:
            with ProgressRunner() as run_stage:
                draft = rehearse(context, run_stage)
            show_draft(draft, as_json)  # its files go with the context
            return
        with ProgressRunner() as run_stage:
            release = measure_build(recipe.name, run_stage, partial(build_release, context))
    show_outcome(release, as_json)
