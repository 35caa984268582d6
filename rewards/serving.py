"""What it costs to serve a model, and how soon a training job has paid for itself."""

from dataclasses import dataclass
from math import ceil
from typing import Any, NamedTuple

from bedrock_sluice.rewards.estimate import MONEY_DIGITS, Cost, Range
from bedrock_sluice.rewards.prices import Prices

MONTH_DAYS = 30
HOURS_PER_DAY = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """Requests a day, and the estimated tokens of a prompt and of a response, on average."""

    requests_per_day: float
    prompt_tokens: float
    response_tokens: float


class Serving(NamedTuple):
    """What `MONTH_DAYS` of the traffic cost with each model.

    `payback_days` tells after how many days the tuned model has saved what the job costs, at its
    low and its high end; None if serving it costs no less.
    """

    requests: int
    current_cost: float
    tuned_cost: float
    currency: str
    payback_days: Range | None


def estimate_serving(traffic: Traffic, job_cost: Cost, prices: Prices) -> Serving:
    """Compare what serving the current and the tuned model cost."""
    thousands = traffic.requests_per_day * MONTH_DAYS / 1_000
    current_cost = thousands * (
        prices.current_per_1k_input_tokens * traffic.prompt_tokens
        + prices.current_per_1k_output_tokens * traffic.response_tokens
    )
    tuned_cost = (
        thousands
        * (
            prices.tuned_per_1k_input_tokens * traffic.prompt_tokens
            + prices.tuned_per_1k_output_tokens * traffic.response_tokens
        )
        + prices.tuned_per_hour * HOURS_PER_DAY * MONTH_DAYS
    )
    saving_per_day = (current_cost - tuned_cost) / MONTH_DAYS
    return Serving(
        requests=round(traffic.requests_per_day * MONTH_DAYS),
        current_cost=round(current_cost, MONEY_DIGITS),
        tuned_cost=round(tuned_cost, MONEY_DIGITS),
        currency=prices.currency,
        payback_days=Range(
            ceil(job_cost.low / saving_per_day), ceil(job_cost.high / saving_per_day)
        )
        if saving_per_day > 0
        else None,
    )


def serving_lines(serving: Serving) -> list[str]:
    """The comparison as lines of text for people."""
    lines = [
        f"serving {serving.requests:,} requests in {MONTH_DAYS} days: "
        f"{serving.current_cost:,.2f} {serving.currency} now, "
        f"{serving.tuned_cost:,.2f} {serving.currency} with the tuned model"
    ]
    if serving.payback_days is None:
        return [*lines, "payback: never; the tuned model costs no less to serve"]
    low, high = serving.payback_days
    return [*lines, f"payback: after {low:,} to {high:,} days"]


def serving_facts(serving: Serving) -> dict[str, Any]:
    """The comparison as JSON values."""
    payback = serving.payback_days
    return serving._asdict() | {"payback_days": payback._asdict() if payback else None}
