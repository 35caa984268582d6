"""`sluice grade`: run the grader over what production answered, and judge whether it can teach.

Requires: for a grader that is deployed, `lambda:InvokeFunction`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import msgspec
import polars as pl

from bedrock_sluice.flows.runner import ReportProgress
from bedrock_sluice.rewards.readiness import (
    GRADER_RESULTS,
    Readiness,
    evaluate_scores,
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


class Graded(NamedTuple):
    """The readiness, and the scores it rests on: `GRADER_RESULTS`, and a column a slice."""

    readiness: Readiness
    scored: pl.DataFrame


def grade(
    lines: pl.DataFrame,
    logged: Iterable[LoggedResponse],
    grader: LocalGrader | Caller,
    options: GradeOptions | None = None,
    report_progress: ReportProgress | None = None,
) -> Graded:
    """Grade what was logged for the prompts of `lines` (`LINES`), some of it twice, and judge.

    `logged` are all responses to these prompts, those of dropped duplicates too, in any order;
    others are passed over. The second run has the samples in another order and in other batches:
    a score must not depend on them.

    Raises:
        ConfigError: the grader is not there or can't be loaded.
        OutsideError, TransientError: AWS, or the machine, did not do its part.
    """
    asked = options or GradeOptions()
    chosen, circular = sample_responses(lines, logged, asked)
    repeated = chosen[: asked.max_repeated][::-1]
    done = _Counter(len(chosen) + len(repeated), report_progress)
    scored = _run(chosen, grader, asked, done)
    again = _run(repeated, grader, asked, done) if repeated else None
    return Graded(evaluate_scores(scored, again, circular=circular), scored)


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
    chosen: Sequence[GraderInput],
    grader: LocalGrader | Caller,
    options: GradeOptions,
    done: _Counter,
) -> pl.DataFrame:
    """Grade them in this order; lines are decoded as they are needed."""
    schema = pl.Schema(
        [*GRADER_RESULTS.items(), *((name, pl.String()) for name in _slices(options))]
    )
    if not chosen:
        return pl.DataFrame(schema=schema)
    results = run_grader(
        grader,
        map(_sample, chosen),
        batch_size=options.batch_size,
        timeout_seconds=options.timeout_seconds,
        memory_bytes=options.memory_bytes,
        form=options.form,
    )
    rows = list[tuple[object, ...]]()
    for each, scored in zip(chosen, results, strict=True):
        rows.append(_row(each, scored, options))
        done.add()
    return pl.DataFrame(rows, schema=schema, orient="row")


def _slices(options: GradeOptions) -> list[str]:
    """Columns besides `GRADER_RESULTS`; their prefix keeps a key off the names of others."""
    return ["model_id", *(f"metadata.{key}" for key in dict.fromkeys(options.slice_keys))]


def _sample(chosen: GraderInput) -> Sample:
    return Sample(msgspec.json.decode(chosen.line), msgspec.json.decode(chosen.logged.response))


def _row(chosen: GraderInput, scored: GraderResult, options: GradeOptions) -> tuple[object, ...]:
    logged = chosen.logged
    is_malformed = bool(scored.metrics.get(_MALFORMED))
    values = [logged.metadata.get(key) for key in dict.fromkeys(options.slice_keys)]
    return (
        chosen.line_id,
        logged.prompt_digest,
        logged.request_id,
        None if is_malformed else scored.score,
        "the grader can't read the line (its metric says malformed)"
        if is_malformed
        else scored.problem,
        _tokens(logged.response),
        logged.model_id,
        *values,
    )


def _tokens(response: str) -> int:
    """Estimated tokens of a response, as a model generates it."""
    message = msgspec.json.decode(response, type=Message)
    return estimate_tokens([message]) - FRAME_TOKENS_PER_MESSAGE
