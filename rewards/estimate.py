"""What a training job will take, before it is started: rollouts, tokens, grader calls, money.

Prices change, so none is built in: without a table of prices only quantities are told. What AWS
does not document is told as a range, and listed among the assumptions.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from math import ceil
from typing import Any, NamedTuple

import polars as pl

from bedrock_sluice.rewards.prices import Prices
from bedrock_sluice.rewards.running.events import MAX_BATCH_SIZE
from bedrock_sluice.transforms.chat.tokens import BYTES_PER_TOKEN
from bedrock_sluice.transforms.errors import ConfigError

MONEY_DIGITS = 4
MAX_PROMPT = "maxPromptLength"  # the hyperparameter; longer prompts are skipped
METHOD = f"{BYTES_PER_TOKEN} bytes of UTF-8 a token"

_DEFAULTS = {  # those of AWS's SDK, in the order of `Rollouts`; Bedrock's own are not documented
    "epochCount": 1,
    "trainingSamplePerPrompt": 8,
    "inferenceMaxTokens": 2_048,
    "batchSize": 128,
    "evalInterval": 10,
}

_COUNT = re.compile(r"[1-9][0-9]{0,8}")


class Range(NamedTuple):
    """From what is expected to what it can be at most."""

    low: int
    high: int

    def plus(self, other: "Range") -> "Range":
        """The sum of both."""
        return Range(self.low + other.low, self.high + other.high)

    def times(self, number: int) -> "Range":
        """Both ends so many times."""
        return Range(self.low * number, self.high * number)


class Cost(NamedTuple):
    """A range of money."""

    low: float
    high: float
    currency: str


@dataclass(frozen=True, slots=True)
class Rollouts:
    """How a job samples; `assumed` are the hyperparameters that the recipe does not give.

    Every `eval_interval` batches, the validation lines are answered.
    """

    epochs: int
    samples_per_prompt: int
    max_response_tokens: int
    batch_size: int
    eval_interval: int
    defaults_used: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Judge:
    """A grader that has a model judge each response; the instruction has tokens of its own."""

    instruction_tokens: int
    max_answer_tokens: int


@dataclass(frozen=True, slots=True)
class Quantities:
    """What a job takes; judge tokens are 0 without a judge."""

    rollouts: Range
    input_tokens: Range
    generated_tokens: Range
    grader_calls: Range
    judge_input_tokens: Range
    judge_output_tokens: Range


@dataclass(frozen=True, slots=True)
class Estimate:
    """Quantities, their cost where prices are known, and what was assumed, in plain words."""

    lines: int
    skipped_lines: int
    validation_lines: int
    quantities: Quantities
    cost: Cost | None
    assumptions: tuple[str, ...]


def read_rollouts(hyper_parameters: Mapping[str, object]) -> Rollouts:
    """How a job with these hyperparameters of `rftConfig` samples; others are not looked at.

    Raises:
        ConfigError: one is not a whole number above 0.
    """
    values = {**_DEFAULTS, **hyper_parameters}
    epochs, samples, longest, batch, interval = (_count(name, values[name]) for name in _DEFAULTS)
    defaults_used = tuple(name for name in _DEFAULTS if name not in hyper_parameters)
    return Rollouts(epochs, samples, longest, batch, interval, defaults_used)


def fitting_prompts(prompt_tokens: pl.Series, hyper_parameters: Mapping[str, object]) -> pl.Series:
    """The prompts that a job does not skip: those within its maxPromptLength, if it has one.

    Raises:
        ConfigError: it is not a whole number above 0.
    """
    if MAX_PROMPT not in hyper_parameters:
        return prompt_tokens
    limit = _count(MAX_PROMPT, hyper_parameters[MAX_PROMPT])
    return prompt_tokens.filter(prompt_tokens <= limit)


def _count(name: str, value: object) -> int:
    text = str(value)
    if isinstance(value, bool) or not _COUNT.fullmatch(text):
        raise ConfigError(f"[train.hyper_parameters] {name}: write a whole number above 0")
    return int(text)


def estimate(  # noqa: PLR0913 - what is known of a job, each by its name
    prompt_tokens: pl.Series,
    rollouts: Rollouts,
    *,
    skipped_lines: int = 0,
    validation_prompt_tokens: pl.Series | None = None,
    mean_response_tokens: float | None = None,
    judge: Judge | None = None,
    prices: Prices | None = None,
) -> Estimate:
    """What a job over these lines takes; of each line, `prompt_tokens` are estimated (`METHOD`).

    Low: every response is as long as the logged ones are on average, calls of the grader are as
    full as they can be, and nothing is evaluated. High: every response is as long as it may be and
    is graded in a call of its own, and all validation lines are answered at every evaluation.
    """
    none = pl.Series(dtype=pl.Int64)
    held_out = none if validation_prompt_tokens is None else validation_prompt_tokens
    lines, longest = prompt_tokens.len(), rollouts.max_response_tokens
    # Whether a batch counts prompts or rollouts is not documented. Counted in rollouts there are
    # more batches, so more evaluations; the high end has to cover that.
    batches = ceil(lines * rollouts.samples_per_prompt / rollouts.batch_size) * rollouts.epochs
    evaluations = batches // rollouts.eval_interval + 1

    def over_job(training: int, validation: int) -> Range:
        low = rollouts.epochs * rollouts.samples_per_prompt * training
        return Range(low, low + evaluations * validation)

    responses = over_job(lines, held_out.len())
    input_tokens = over_job(int(prompt_tokens.sum()), int(held_out.sum()))
    expected = longest if mean_response_tokens is None else min(mean_response_tokens, longest)
    generated_tokens = Range(ceil(responses.low * expected), responses.high * longest)
    judge_input = judge_output = Range(0, 0)
    if judge:
        instructions = responses.times(judge.instruction_tokens)
        judge_input = instructions.plus(input_tokens).plus(generated_tokens)
        judge_output = responses.times(judge.max_answer_tokens)
    quantities = Quantities(
        rollouts=responses,
        input_tokens=input_tokens,
        generated_tokens=generated_tokens,
        grader_calls=Range(ceil(responses.low / MAX_BATCH_SIZE), responses.high),
        judge_input_tokens=judge_input,
        judge_output_tokens=judge_output,
    )
    return Estimate(
        lines=lines,
        skipped_lines=skipped_lines,
        validation_lines=held_out.len(),
        quantities=quantities,
        cost=_cost(quantities, prices) if prices else None,
        assumptions=tuple(_assumptions(rollouts, mean_response_tokens, judge)),
    )


def over_budget(job: Estimate, budget: float) -> bool:
    """Whether a job may cost more than `budget`, in the currency of the prices: by the high end.

    Raises:
        ConfigError: there are no prices, so nobody knows.
    """
    if job.cost is None:
        raise ConfigError("a budget needs prices; write [train.prices] beside it")
    return not job.cost.high <= budget  # so that NaN does not pass


def _cost(quantities: Quantities, prices: Prices) -> Cost:
    def at(end: int) -> float:
        thousands = (
            prices.per_1k_input_tokens * quantities.input_tokens[end]
            + prices.per_1k_output_tokens * quantities.generated_tokens[end]
            + prices.per_1k_grader_calls * quantities.grader_calls[end]
            + prices.per_1k_judge_input_tokens * quantities.judge_input_tokens[end]
            + prices.per_1k_judge_output_tokens * quantities.judge_output_tokens[end]
        )
        speed = prices.generated_tokens_per_hour
        hours = quantities.generated_tokens[end] / speed if speed else 0.0
        return thousands / 1_000 + prices.per_hour * hours

    return Cost(round(at(0), MONEY_DIGITS), round(at(1), MONEY_DIGITS), prices.currency)


def _assumptions(rollouts: Rollouts, mean: float | None, judge: Judge | None) -> Iterator[str]:
    yield f"prompts are counted as {METHOD}"
    yield "training runs to its last epoch; stopping early makes it cheaper"
    if rollouts.defaults_used:
        defaults = ", ".join(f"{name} {_DEFAULTS[name]:,}" for name in rollouts.defaults_used)
        yield f"the recipe does not say, so these of AWS's SDK are taken: {defaults}"
    if mean is None:
        yield "no grader was tried, so the low end has responses of full length too"
    else:
        yield f"the low end has responses of {mean:,.0f} tokens, as logged, without any reasoning"
    yield f"the low end has {MAX_BATCH_SIZE} responses in a call of the grader, the high end 1"
    yield "the high end evaluates all validation lines in every interval"
    if judge:
        yield "the judge reads prompt and response whole, and answers at full length"


def facts(job: Estimate) -> dict[str, Any]:
    """The estimate as JSON values."""
    cost, of = job.cost, job.quantities
    return {
        "lines": job.lines,
        "skipped_lines": job.skipped_lines,
        "validation_lines": job.validation_lines,
        **{each.name: getattr(of, each.name)._asdict() for each in fields(of)},
        "cost": cost._asdict() if cost else None,
        "assumptions": list(job.assumptions),
    }


def summary_lines(job: Estimate) -> list[str]:
    """The estimate as lines of text for people; the cost is the last."""
    of = job.quantities
    lines = [f"lines: {job.lines:,} to train, {job.validation_lines:,} to validate"]
    if job.skipped_lines:
        lines.append(f"skipped: {job.skipped_lines:,} lines over maxPromptLength")
    quantities = {
        "rollouts": of.rollouts,
        "prompt tokens read": of.input_tokens,
        "tokens generated": of.generated_tokens,
        "calls of the grader": of.grader_calls,
        "tokens that the judge reads": of.judge_input_tokens,
        "tokens that the judge writes": of.judge_output_tokens,
    }
    for name, (low, high) in quantities.items():
        if high:
            lines.append(f"{name}: {low:,}" if low == high else f"{name}: {low:,} to {high:,}")
    lines += [f"assumed: {each}" for each in job.assumptions]
    if job.cost is None:
        return [*lines, "cost: not told; prices are read from [train.prices]"]
    return [*lines, f"cost: {job.cost.low:,.2f} to {job.cost.high:,.2f} {job.cost.currency}"]
