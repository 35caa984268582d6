"""The stage `grade`: run the grader over logged responses, and judge whether it can teach.

Requires: for a deployed grader, `lambda:InvokeFunction`.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import msgspec
import polars as pl

from bedrock_sluice.flows.context import BuildContext
from bedrock_sluice.flows.recipe.sections import GraderSection
from bedrock_sluice.flows.running.runner import ReportProgress
from bedrock_sluice.rewards.readiness import (
    GRADER_RESULTS,
    Readiness,
    evaluate_scores,
    zero_variance_prompts,
)
from bedrock_sluice.rewards.running.events import EventForm, Sample
from bedrock_sluice.rewards.running.grader_results import GraderResult
from bedrock_sluice.rewards.running.logged_responses import (
    GraderInput,
    LoggedResponse,
    ResponseLimits,
    sample_responses,
)
from bedrock_sluice.rewards.running.process import LocalGrader
from bedrock_sluice.rewards.running.run import (
    BATCH_SIZE,
    MEMORY_BYTES,
    TIMEOUT_SECONDS,
    Caller,
    run_grader,
)
from bedrock_sluice.transforms.chat.messages import Message
from bedrock_sluice.transforms.chat.tokens import FRAME_TOKENS_PER_MESSAGE, estimate_tokens
from bedrock_sluice.transforms.derived_metadata import model_name
from bedrock_sluice.transforms.errors import ConfigError
from bedrock_sluice.transforms.fates import FilterResult, apply_rules
from bedrock_sluice.transforms.reasons import Reason

_BYTES_PER_MB = 1 << 20
_COLUMNS = ("exchange", "prompt_digest", "request_id", "model_id", "request_metadata")
MAX_REPEATED = 500  # samples that are graded twice

_MALFORMED = "malformed"  # the metric by which the graders that come with Sluice tell of it


@dataclass(frozen=True, slots=True, kw_only=True)
class GradeOptions(ResponseLimits):
    """Limits, and what the report is sliced by besides the model: keys of the metadata."""

    max_repeated: int = MAX_REPEATED
    batch_size: int = BATCH_SIZE
    timeout_seconds: float = TIMEOUT_SECONDS
    memory_bytes: int = MEMORY_BYTES
    form: EventForm = "metadata"
    slice_keys: tuple[str, ...] = ()


class GradeResult(NamedTuple):
    """The readiness, and the scores it rests on: `GRADER_RESULTS`, and a column a slice."""

    readiness: Readiness
    results: pl.DataFrame


def grade(
    lines: pl.DataFrame,
    responses: Iterable[LoggedResponse],
    grader: LocalGrader | Caller,
    options: GradeOptions | None = None,
    report_progress: ReportProgress | None = None,
) -> GradeResult:
    """Grade what was logged for the prompts of `lines` (`LINES`), some of it twice, and judge.

    `responses` are all responses to these prompts, those of dropped duplicates too, in any order;
    others are passed over. The second run has the samples in another order and in other batches:
    a score must not depend on them.

    Raises:
        ConfigError: the grader is not there or can't be loaded.
        OutsideError, TransientError: AWS, or the machine, did not do its part.
    """
    limits = options or GradeOptions()
    inputs, circular = sample_responses(lines, responses, limits)
    repeats = inputs[: limits.max_repeated][::-1]
    counter = _Counter(len(inputs) + len(repeats), report_progress)
    results = _run(inputs, grader, limits, counter)
    again = _run(repeats, grader, limits, counter) if repeats else None
    return GradeResult(evaluate_scores(results, again, circular=circular), results)


class _Counter:
    """Counts samples over both runs."""

    def __init__(self, total: int, report_progress: ReportProgress | None) -> None:
        self._done, self._total, self._report_progress = 0, total, report_progress

    def add(self) -> None:
        """One more is done."""
        self._done += 1
        if self._report_progress:
            self._report_progress(self._done, self._total)


def _run(
    inputs: Sequence[GraderInput],
    grader: LocalGrader | Caller,
    options: GradeOptions,
    counter: _Counter,
) -> pl.DataFrame:
    """Grade them in this order; lines are decoded as they are needed."""
    schema = pl.Schema(
        [*GRADER_RESULTS.items(), *((name, pl.String()) for name in _slices(options))]
    )
    if not inputs:
        return pl.DataFrame(schema=schema)
    results = run_grader(
        grader,
        map(_sample, inputs),
        batch_size=options.batch_size,
        timeout_seconds=options.timeout_seconds,
        memory_bytes=options.memory_bytes,
        form=options.form,
    )
    rows = list[tuple[object, ...]]()
    for each, result in zip(inputs, results, strict=True):
        rows.append(_row(each, result, options))
        counter.add()
    return pl.DataFrame(rows, schema=schema, orient="row")


def _slices(options: GradeOptions) -> list[str]:
    """Columns besides `GRADER_RESULTS`; their prefix keeps a key off the names of others."""
    return ["model_id", *(f"metadata.{key}" for key in dict.fromkeys(options.slice_keys))]


def _sample(grader_input: GraderInput) -> Sample:
    return Sample(
        msgspec.json.decode(grader_input.line),
        msgspec.json.decode(grader_input.logged_response.response),
    )


def _row(
    grader_input: GraderInput, result: GraderResult, options: GradeOptions
) -> tuple[object, ...]:
    response = grader_input.logged_response
    is_malformed = bool(result.metrics.get(_MALFORMED))
    values = [response.metadata.get(key) for key in dict.fromkeys(options.slice_keys)]
    return (
        grader_input.line_id,
        response.prompt_digest,
        response.request_id,
        None if is_malformed else result.score,
        "the grader can't read the line (its metric says malformed)"
        if is_malformed
        else result.problem,
        _tokens(response.response),
        response.model_id,
        *values,
    )


def _tokens(response: str) -> int:
    """Estimated tokens of a response, as a model generates it."""
    message = msgspec.json.decode(response, type=Message)
    return estimate_tokens([message]) - FRAME_TOKENS_PER_MESSAGE


def try_grader(
    context: BuildContext,
    lines: pl.DataFrame,
    candidate_responses: pl.DataFrame,
    report_progress: ReportProgress,
) -> GradeResult:
    """Grade the logged responses to the prompts of the lines, those of exact duplicates too.

    `candidate_responses` are the exchanges whose responses count.

    Raises:
        ConfigError: the recipe names no grader, or it can't be loaded.
        OutsideError, TransientError: AWS, or the machine, did not do its part.
    """
    section = grader_section(context)
    options = GradeOptions(
        max_samples=section.max_samples,
        batch_size=section.batch_size,
        timeout_seconds=section.timeout_seconds,
        memory_bytes=section.memory_mb * _BYTES_PER_MB,
        form=section.form,
        slice_keys=section.slices,
        salt=context.recipe.split.salt,
    )
    lines_with_id = lines.with_columns(id=pl.col("request_id"))
    responses = _logged_responses(
        context, candidate_responses.join(lines, on="prompt_digest", how="semi")
    )
    return grade(lines_with_id, responses, _grader(context, section), options, report_progress)


def drop_zero_variance(
    context: BuildContext, lines: pl.DataFrame, grading: GradeResult
) -> FilterResult:
    """Drop prompts whose logged responses all score the same, where the recipe asks for that."""
    is_asked = grader_section(context).drop_zero_variance
    flat = zero_variance_prompts(grading.results) if is_asked else pl.Series([], dtype=pl.String)
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


def _grader(context: BuildContext, section: GraderSection) -> LocalGrader | Caller:
    if section.python is not None:
        return LocalGrader(section.python, context.base)
    assert section.lambda_arn is not None
    from bedrock_sluice.flows.graders.lambda_grader import (  # noqa: PLC0415 - botocore
        LambdaGrader,
    )

    return LambdaGrader(section.lambda_arn, section.timeout_seconds)


def _logged_responses(context: BuildContext, exchanges: pl.DataFrame) -> Iterator[LoggedResponse]:
    columns = exchanges.select(_COLUMNS).with_columns(
        pl.col("request_metadata").map.entries(), model_name(pl.col("model_id"))
    )
    for piece in context.exchanges.read(("response",), exchanges["exchange"]):
        rows = piece.join(columns, on="exchange", how="left", maintain_order="left")
        for row in rows.iter_rows(named=True):
            metadata = {each["key"]: each["value"] for each in row["request_metadata"] or ()}
            yield LoggedResponse(
                row["prompt_digest"], row["request_id"], row["response"], row["model_id"], metadata
            )
