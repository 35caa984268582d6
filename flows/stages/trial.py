"""The grader tried on what production answered: is there anything to learn from its scores?"""

from collections.abc import Iterator

import polars as pl

from bedrock_sluice.flows.context import BuildContext
from bedrock_sluice.flows.recipe.sections import GraderSection
from bedrock_sluice.flows.runner import ReportProgress
from bedrock_sluice.flows.stages.grade import Graded, GradeOptions, grade
from bedrock_sluice.rewards.readiness import zero_variance_prompts
from bedrock_sluice.rewards.running.logged_responses import LoggedResponse
from bedrock_sluice.rewards.running.process import LocalGrader
from bedrock_sluice.rewards.running.run import Caller
from bedrock_sluice.transforms.derived_metadata import model_name
from bedrock_sluice.transforms.errors import ConfigError
from bedrock_sluice.transforms.fates import FilterResult, apply_rules
from bedrock_sluice.transforms.reasons import Reason

_BYTES_PER_MB = 1 << 20
_TOLD = ("exchange", "prompt_digest", "request_id", "model_id", "request_metadata")


def try_grader(
    context: BuildContext,
    lines: pl.DataFrame,
    candidate_responses: pl.DataFrame,
    report_progress: ReportProgress,
) -> Graded:
    """Grade the logged responses to the prompts of the lines, those of exact duplicates too.

    `voters` are the exchanges whose responses count.

    Raises:
        ConfigError: the recipe names no grader, or it can't be loaded.
        OutsideError, TransientError: AWS, or the machine, did not do its part.
    """
    asked = grader_section(context)
    options = GradeOptions(
        max_samples=asked.max_samples,
        batch_size=asked.batch_size,
        timeout_seconds=asked.timeout_seconds,
        memory_bytes=asked.memory_mb * _BYTES_PER_MB,
        form=asked.form,
        slice_keys=asked.slices,
        salt=context.recipe.split.salt,
    )
    named = lines.with_columns(id=pl.col("request_id"))
    responses = _logged(context, candidate_responses.join(lines, on="prompt_digest", how="semi"))
    return grade(named, responses, _grader(context, asked), options, report_progress)


def drop_flat(context: BuildContext, lines: pl.DataFrame, tried: Graded) -> FilterResult:
    """Drop prompts whose logged responses all score the same, where the recipe asks for that."""
    is_asked = grader_section(context).drop_zero_variance
    flat = zero_variance_prompts(tried.scored) if is_asked else pl.Series([], dtype=pl.String)
    is_flat = pl.col("prompt_digest").is_in(flat.implode())
    return apply_rules(lines, [(Reason.GRADE_ZERO_VARIANCE, is_flat)])


def grader_section(context: BuildContext) -> GraderSection:
    """The recipe's grader.

    Raises:
        ConfigError: it names none.
    """
    if context.recipe.grader is None:
        raise ConfigError('the recipe has no [grader]; add python = "grader.py:lambda_handler"')
    return context.recipe.grader


def _grader(context: BuildContext, asked: GraderSection) -> LocalGrader | Caller:
    if asked.python is not None:
        return LocalGrader(asked.python, context.base)
    assert asked.lambda_arn is not None
    from bedrock_sluice.flows.lambda_grader import (  # noqa: PLC0415 - botocore
        LambdaGrader,
    )

    return LambdaGrader(asked.lambda_arn, asked.timeout_seconds)


def _logged(context: BuildContext, wanted: pl.DataFrame) -> Iterator[LoggedResponse]:
    told = wanted.select(_TOLD).with_columns(
        pl.col("request_metadata").map.entries(), model_name(pl.col("model_id"))
    )
    for piece in context.exchanges.read(("response",), wanted["exchange"]):
        rows = piece.join(told, on="exchange", how="left", maintain_order="left")
        for row in rows.iter_rows(named=True):
            metadata = {each["key"]: each["value"] for each in row["request_metadata"] or ()}
            yield LoggedResponse(
                row["prompt_digest"], row["request_id"], row["response"], row["model_id"], metadata
            )
