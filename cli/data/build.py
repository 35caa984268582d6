"""`sluice build`: one release from one recipe."""

from bedrock_sluice.cli.log import announce
from bedrock_sluice.cli.options import AsJson, Executor, RecipePath, Since, Until, epilog

EPILOG = epilog(
    "sluice build tutor.toml",
    "sluice build tutor.toml --since 2026-10-01 --until 2026-11-01 --json",
    rejected="the gate rejected the release",
)


def build(
    recipe: RecipePath,
    since: Since = None,
    until: Until = None,
    executor: Executor = "processes",
    as_json: AsJson = False,
) -> None:
    """Fetch new logs and build a release. Exits 1 if the gate rejects it."""
    announce("build", recipe)
    from bedrock_sluice.flows.running.imports import spare_pandas
    from bedrock_sluice.flows.running.suite_process import start_suites

    start_suites()  # before all that is imported here: it takes longest
    spare_pandas()
    from bedrock_sluice.cli.progress import ProgressRunner
    from bedrock_sluice.cli.release_summary import show_outcome
    from bedrock_sluice.flows.context import open_context
    from bedrock_sluice.flows.pipeline import build as build_release

    with open_context(recipe, since, until, executor) as context, ProgressRunner() as run_stage:
        release = build_release(context, run_stage)
    show_outcome(release, as_json)
