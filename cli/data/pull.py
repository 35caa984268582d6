"""`sluice pull`: new log objects into the lake."""

from bedrock_sluice.cli.log import announce
from bedrock_sluice.cli.options import AsJson, Executor, RecipePath, Since, Until, epilog

EPILOG = epilog("sluice pull tutor.toml", "sluice pull tutor.toml --since 2026-10-01 --json")


def pull(
    recipe: RecipePath,
    since: Since = None,
    until: Until = None,
    executor: Executor = "processes",
    as_json: AsJson = False,
) -> None:
    """Fetch new log objects into the lake without building."""
    announce("pull", recipe)
    from bedrock_sluice.cli.console import people, print_json
    from bedrock_sluice.cli.progress import ProgressRunner
    from bedrock_sluice.flows.context import open_context
    from bedrock_sluice.flows.stages.pull import pull as pull_logs

    with open_context(recipe, since, until, executor) as context, ProgressRunner() as run_stage:
        window = context.recipe.window
        number = run_stage(
            "pull", lambda tick: pull_logs(context.source, context.lake, window, tick)
        )
        lake = context.lake.uri
    if as_json:
        print_json({"objects": number, "lake": lake})
    else:
        people.print(f"fetched {number:,} log objects into {lake}", markup=False)
