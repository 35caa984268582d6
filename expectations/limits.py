"""The limits that the suites compare with: bind parameters of the JSON files, by name."""

import polars as pl

from bedrock_sluice.expectations.measures import count_groups, share_tolerance
from bedrock_sluice.transforms.settings import MAX_LINES, MIN_LINES


def gate_limits(
    lines: pl.DataFrame, *, evictions: int, validation: float, max_prompt_tokens: int
) -> dict[str, float]:
    """Return the limits for lines (`group`), beside `evictions` that were taken from train.

    `validation` is the share of groups that the recipe asks for; how far chance may move it depends
    on the number of groups.
    """
    tolerance = share_tolerance(count_groups(lines, evictions), validation)
    return {
        "min_lines": MIN_LINES,
        "max_lines": MAX_LINES,
        "max_prompt_tokens": max_prompt_tokens,
        "asked_percent": 100 * validation,
        "min_validation_percent": 100 * max(validation - tolerance, 0),
        "max_validation_percent": 100 * (validation + tolerance),
    }
