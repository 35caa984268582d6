"""`sluice grade`: the grader on logged responses."""

from typing import TYPE_CHECKING

from bedrock_sluice.cli.log import announce
from bedrock_sluice.cli.options import AsJson, RecipePath, epilog

if TYPE_CHECKING:
    from bedrock_sluice.rewards.readiness import Readiness

EPILOG = epilog("sluice grade tutor.toml", rejected="the grader gives no usable reward yet")


def grade(recipe: RecipePath, as_json: AsJson = False) -> None:
    """Run the grader on logged responses and report whether its rewards can be learned from.

    Exits 1 if they cannot.
    """
    announce("grade", recipe)
    from bedrock_sluice.cli.progress import ProgressRunner
    from bedrock_sluice.flows.context import open_context
    from bedrock_sluice.flows.pipeline import prepare
    from bedrock_sluice.flows.stages.grade import grader_section, try_grader
    from bedrock_sluice.transforms.errors import ExitCode

    with open_context(recipe) as context, ProgressRunner() as run_stage:
        grader_section(context)
        prompts = prepare(context, run_stage)
        trial = run_stage(
            "grade",
            lambda tick: try_grader(context, prompts.lines, prompts.candidate_responses, tick),
        )
    show_readiness(trial.readiness, as_json=as_json)
    if not trial.readiness.is_ready:
        raise SystemExit(ExitCode.CHECK_FAILED)


def show_readiness(readiness: "Readiness", *, as_json: bool) -> None:
    """Print the readiness: for people on stderr, or as facts on stdout."""
    from bedrock_sluice.cli.console import people, print_json
    from bedrock_sluice.rewards.readiness_report import facts, summary_lines

    if as_json:
        print_json(facts(readiness, with_slices=True))
        return
    for line in summary_lines(readiness):
        people.print(line, markup=False)
