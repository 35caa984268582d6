"""What a job over a release would take, and whether that is within the recipe's budget."""

from typing import Any

import msgspec
import polars as pl

from bedrock_sluice.flows.recipe import Recipe
from bedrock_sluice.lake.releases import Release
from bedrock_sluice.rewards.estimate import (
    Estimate,
    Judge,
    estimate,
    over_budget,
    rollouts_asked,
    told,
)
from bedrock_sluice.rewards.template import template_named
from bedrock_sluice.transforms.chat import Message
from bedrock_sluice.transforms.errors import ConfigError, RefusedError
from bedrock_sluice.transforms.split import TRAIN, VALIDATION
from bedrock_sluice.transforms.tokens import estimate_tokens

JUDGE_GRADER = "judge_grader"
JUDGE = Judge(instruction_tokens=400, max_answer_tokens=512)  # as our judge is written


class _Line(msgspec.Struct):
    messages: list[Message]
    tools: list[dict[str, Any]] = []


_LINE = msgspec.json.Decoder(_Line)


def estimate_release(release: Release, recipe: Recipe) -> Estimate:
    """What the job of `[train]` takes over the lines of a release.

    Raises:
        ConfigError: the recipe has no [train], or its hyperparameters are no good.
    """
    if recipe.train is None:
        raise ConfigError(f"the recipe of {recipe.name} has no [train]; add it to have an estimate")
    template = template_named(recipe.template.name, recipe.template.options())
    readiness = release.manifest.get("readiness") or {}
    return estimate(
        _prompt_tokens(release, TRAIN),
        rollouts_asked(recipe.train.hyper_parameters),
        validation_prompt_tokens=(
            _prompt_tokens(release, VALIDATION) if recipe.train.validation else None
        ),
        mean_response_tokens=readiness.get("mean_response_tokens"),
        judge=JUDGE if template.grader == JUDGE_GRADER else None,
        prices=recipe.train.price_table(),
    )


def _prompt_tokens(release: Release, side: str) -> pl.Series:
    with release.file(f"{side}.jsonl").open("rb") as file:
        lines = [_LINE.decode(line) for line in file]
    return pl.Series([estimate_tokens(line.messages, line.tools) for line in lines], dtype=pl.Int64)


def keep_to_budget(release: Release, recipe: Recipe) -> None:
    """See that the job can't cost more than the recipe's budget.

    Raises:
        RefusedError: it could; the message tells the estimate.
        ConfigError: the recipe has no [train], or its hyperparameters are no good.
    """
    budget = recipe.train.budget if recipe.train else None
    if budget is None:
        return
    estimated = estimate_release(release, recipe)
    if over_budget(estimated, budget):
        shown = "\n".join(f"  {line}" for line in told(estimated))
        raise RefusedError(
            f"the job may cost more than the budget of {budget:g} in [train]; raise it, or ask for "
            f"less (max_lines, epochCount, trainingSamplePerPrompt):\n{shown}"
        )
