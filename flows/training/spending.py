"""What a job over a release would take, and whether budget and length of prompts allow it."""

from datetime import timedelta
from typing import Any

import msgspec
import polars as pl

from bedrock_sluice.flows.recipe import Recipe
from bedrock_sluice.flows.recipe.sections import TrainSection
from bedrock_sluice.lake.releases.release import Release, ReleaseFiles
from bedrock_sluice.rewards.estimate import (
    MAX_PROMPT,
    Estimate,
    Judge,
    estimate,
    fitting_prompts,
    over_budget,
    read_rollouts,
    summary_lines,
)
from bedrock_sluice.rewards.serving import Serving, Traffic, estimate_serving
from bedrock_sluice.rewards.templates.base import template_named
from bedrock_sluice.transforms.chat.messages import Message
from bedrock_sluice.transforms.chat.tokens import estimate_tokens
from bedrock_sluice.transforms.errors import ConfigError, RefusedError
from bedrock_sluice.transforms.settings import MIN_LINES
from bedrock_sluice.transforms.split import TRAIN, VALIDATION

JUDGE_GRADER = "judge_grader"
JUDGE = Judge(instruction_tokens=400, max_answer_tokens=512)  # as our judge is written


class _Line(msgspec.Struct):
    messages: list[Message]
    tools: list[dict[str, Any]] = []


_LINE = msgspec.json.Decoder(_Line)


def estimate_release(release: ReleaseFiles, recipe: Recipe) -> Estimate:
    """What the job of `[train]` takes over the lines of a release, without those that it skips.

    Raises:
        ConfigError: the recipe has no [train], or its hyperparameters are invalid.
    """
    if recipe.train is None:
        raise ConfigError(f"the recipe of {recipe.name} has no [train]; add it to have an estimate")
    template = template_named(recipe.template.name, recipe.template.options())
    readiness = release.manifest.readiness
    rollouts = read_rollouts(recipe.train.hyper_parameters)
    train = prompt_tokens(release, TRAIN)
    fitting = fitting_prompts(train, recipe.train.hyper_parameters)
    held_out = prompt_tokens(release, VALIDATION) if recipe.train.validation else None
    return estimate(
        fitting,
        rollouts,
        skipped_lines=train.len() - fitting.len(),
        validation_prompt_tokens=held_out,
        mean_response_tokens=readiness.mean_response_tokens if readiness else None,
        judge=JUDGE if template.grader == JUDGE_GRADER else None,
        prices=recipe.train.price_table(),
    )


def compare_serving(release: ReleaseFiles, recipe: Recipe, job: Estimate) -> Serving | str | None:
    """Return what serving costs before and after the job; or in words why that is not known.

    None if the recipe has no prices of serving.

    The traffic is that of the window: all selected records, with prompts as long as those of the
    lines, and responses as long as those that were graded.
    """
    prices = recipe.train.price_table() if recipe.train else None
    if job.cost is None or prices is None or not prices.has_serving:
        return None
    manifest, window = release.manifest, recipe.window
    if window.since is None or window.until is None:
        return "the window of the release has no start or no end"
    if manifest.readiness is None or manifest.readiness.mean_response_tokens is None:
        return "no grader was tried, so the length of responses is not known"
    requests = next(each.kept for each in manifest.stages if each.stage == "select")
    traffic = Traffic(
        requests_per_day=requests / ((window.until - window.since) / timedelta(days=1)),
        prompt_tokens=float(prompt_tokens(release, TRAIN).mean() or 0.0),  # type: ignore[arg-type]
        response_tokens=manifest.readiness.mean_response_tokens,
    )
    return estimate_serving(traffic, job.cost, prices)


def check_lengths(release: Release, train: TrainSection) -> str:
    """See that enough lines are within the job's maxPromptLength; how many are not, in words.

    Raises:
        RefusedError: fewer would remain than Bedrock takes.
        ConfigError: maxPromptLength is not a whole number above 0.
    """
    if MAX_PROMPT not in train.hyper_parameters:
        return "no limit (maxPromptLength)"
    tokens = prompt_tokens(release, TRAIN)
    remaining = fitting_prompts(tokens, train.hyper_parameters).len()
    skip_count = tokens.len() - remaining
    message = (
        f"the job skips {skip_count:,} of {tokens.len():,} lines, which are over maxPromptLength"
    )
    if skip_count and remaining < MIN_LINES:
        raise RefusedError(
            f"{message}; Bedrock needs {MIN_LINES} lines. "
            "Raise maxPromptLength in [train], or build "
            "with a lower max_prompt_tokens in [curate]"
        )
    return message if skip_count else "no line is over maxPromptLength"


def prompt_tokens(release: ReleaseFiles, side: str) -> pl.Series:
    """Return the estimated tokens of each line of one side of a release."""
    with release.file(f"{side}.jsonl").open("rb") as file:
        lines = [_LINE.decode(line) for line in file]
    return pl.Series([estimate_tokens(line.messages, line.tools) for line in lines], dtype=pl.Int64)


def keep_to_budget(release: Release, recipe: Recipe) -> None:
    """See that the job can't cost more than the recipe's budget.

    Raises:
        RefusedError: it could; the message tells the estimate.
        ConfigError: the recipe has no [train], or its hyperparameters are invalid.
    """
    budget = recipe.train.budget if recipe.train else None
    if budget is None:
        return
    estimate = estimate_release(release, recipe)
    if over_budget(estimate, budget):
        estimate_text = "\n".join(f"  {line}" for line in summary_lines(estimate))
        raise RefusedError(
            f"the job may cost more than the budget of {budget:g} in [train]; raise it, or ask for "
            f"less (max_lines, epochCount, trainingSamplePerPrompt):\n{estimate_text}"
        )
