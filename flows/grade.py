"""`sluice grade`: run the grader over what production answered, and judge whether it can teach.

Requires: for a grader that is deployed, `lambda:InvokeFunction`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, NamedTuple

import msgspec
import polars as pl

from bedrock_sluice.flows.console import people, print_json
from bedrock_sluice.flows.grader_process import LocalGrader
from bedrock_sluice.flows.grading import (
    BATCH_SIZE,
    MEMORY_BYTES,
    TIMEOUT_SECONDS,
    LambdaGrader,
    run_grader,
)
from bedrock_sluice.flows.step import Tick
from bedrock_sluice.rewards.events import EventForm, Sample
from bedrock_sluice.rewards.readiness import (
    SCORED,
    Finding,
    Readiness,
    Scores,
    SliceScores,
    WithinPrompts,
    judge_scores,
)
from bedrock_sluice.rewards.responses import Scored
from bedrock_sluice.transforms.chat import Message
from bedrock_sluice.transforms.printable import printable
from bedrock_sluice.transforms.split import in_stable_order
from bedrock_sluice.transforms.tokens import FRAME_TOKENS_PER_MESSAGE, estimate_tokens

MAX_SAMPLES = 2_000
MAX_RESPONSES_PER_PROMPT = 8
MAX_REPEATED = 500  # samples that are graded twice
PURPOSE = "grade"
FACT_DIGITS = 6

LINES = pl.Schema(
    {
        "id": pl.String,
        "request_id": pl.String,
        "prompt_digest": pl.String,
        "reference_source": pl.String,
        "json": pl.String,
    }
)
"""The lines of a release; each has a prompt of its own."""

_OWN_SOURCES = ("logged", "extracted", "agreement", "feedback")  # that may be the response itself
_MALFORMED = "malformed"  # the metric by which the graders that come with Sluice tell of it
_BARS = " ▁▂▃▄▅▆▇█"


class Logged(NamedTuple):
    """A response that production gave, an assistant's chat message as JSON text."""

    prompt_digest: str
    request_id: str
    response: str
    model_id: str | None
    metadata: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class GradeOptions:
    """Limits, and what the report is sliced by besides the model: keys of the metadata."""

    max_samples: int = MAX_SAMPLES
    max_responses_per_prompt: int = MAX_RESPONSES_PER_PROMPT
    max_repeated: int = MAX_REPEATED
    batch_size: int = BATCH_SIZE
    timeout_seconds: float = TIMEOUT_SECONDS
    memory_bytes: int = MEMORY_BYTES
    form: EventForm = "metadata"
    slice_keys: tuple[str, ...] = ()
    salt: str = ""


class Graded(NamedTuple):
    """The judgement, and the scores it rests on: `readiness.SCORED`, and a column a slice."""

    readiness: Readiness
    scored: pl.DataFrame


class Chosen(NamedTuple):
    """A response to grade, and the line (JSON text) that it is graded with."""

    line_id: str
    line: str
    logged: Logged


def grade(
    lines: pl.DataFrame,
    logged: Iterable[Logged],
    grader: LocalGrader | LambdaGrader,
    options: GradeOptions | None = None,
    tick: Tick | None = None,
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
    chosen, circular = choose_responses(lines, logged, asked)
    repeated = chosen[: asked.max_repeated][::-1]
    done = _Counter(len(chosen) + len(repeated), tick)
    scored = _run(chosen, grader, asked, done)
    again = _run(repeated, grader, asked, done) if repeated else None
    return Graded(judge_scores(scored, again, circular=circular), scored)


# --- choosing


def choose_responses(
    lines: pl.DataFrame, logged: Iterable[Logged], options: GradeOptions
) -> tuple[list[Chosen], int]:
    """At most `max_samples` responses: those of whole prompts, in a stable order of the prompts.

    The same text again says nothing new, and is graded once. Where the reference answer of a line
    is a logged response, that one is left out, and counted: it would be compared with itself.

    First responses come first, then second ones, so that batches are full: none has a line twice.
    """
    ordered = in_stable_order(lines.select(LINES.names()), options.salt, PURPOSE)
    held = _Held(ordered, options)
    for each in logged:
        held.add(each)
    held.trim()
    ids, texts = ordered["id"], ordered["json"]
    ranked = sorted(
        (rank, place, digest)
        for place, responses in held.responses.items()
        for rank, digest in enumerate(sorted(responses))
    )[: options.max_samples]
    chosen = [Chosen(ids[p], texts[p], held.responses[p][digest]) for _, p, digest in ranked]
    return chosen, held.circular


class _Held:
    """What may yet be chosen: of each prompt, by its place, a few responses by their digests.

    Digests are keyed, and the lowest are kept: so the choice depends on no order of the log.
    """

    def __init__(self, ordered: pl.DataFrame, options: GradeOptions) -> None:
        self.responses: dict[int, dict[bytes, Logged]] = {}
        self._options, self._key = options, options.salt.encode()
        self._places = {digest: place for place, digest in enumerate(ordered["prompt_digest"])}
        is_own = ordered["reference_source"].is_in(_OWN_SOURCES)
        self._own = set(ordered.filter(is_own).select("prompt_digest", "request_id").iter_rows())
        self._own_places = set[int]()
        self._last = ordered.height  # places behind it are full of what can't be chosen any more
        self._size = 0

    @property
    def circular(self) -> int:
        """How many responses are the reference answer of their own line."""
        return sum(place <= self._last for place in self._own_places)

    def add(self, logged: Logged) -> None:
        """Take a response, if it may be chosen."""
        place = self._places.get(logged.prompt_digest)
        if place is None or place > self._last:
            return
        if (logged.prompt_digest, logged.request_id) in self._own:
            self._own_places.add(place)
            return
        here = self.responses.setdefault(place, {})
        digest = blake2b(logged.response.encode(), key=self._key, digest_size=16).digest()
        self._size -= len(here)
        here[digest] = min(here.get(digest, logged), logged, key=lambda each: each.request_id)
        if len(here) > self._options.max_responses_per_prompt:
            del here[max(here)]
        self._size += len(here)
        if self._size >= 2 * self._options.max_samples:
            self.trim()

    def trim(self) -> None:
        """Forget prompts behind those that have enough responses already: these only gain."""
        self._size = 0
        for place in sorted(self.responses):
            if self._size >= self._options.max_samples:
                del self.responses[place]
                continue
            self._size += len(self.responses[place])
            if self._size >= self._options.max_samples:
                self._last = place


# --- grading


class _Counter:
    """Counts samples over both runs."""

    def __init__(self, total: int, tick: Tick | None) -> None:
        self._done, self._total, self._tick = 0, total, tick

    def add(self) -> None:
        """One more is done."""
        self._done += 1
        if self._tick:
            self._tick(self._done, self._total)


def _run(
    chosen: Sequence[Chosen],
    grader: LocalGrader | LambdaGrader,
    options: GradeOptions,
    done: _Counter,
) -> pl.DataFrame:
    """Grade them in this order; lines are decoded as they are needed."""
    schema = pl.Schema([*SCORED.items(), *((name, pl.String()) for name in _slices(options))])
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
    """Columns besides `SCORED`; the prefix keeps a key from taking the name of another column."""
    return ["model_id", *(f"metadata.{key}" for key in dict.fromkeys(options.slice_keys))]


def _sample(chosen: Chosen) -> Sample:
    return Sample(msgspec.json.decode(chosen.line), msgspec.json.decode(chosen.logged.response))


def _row(chosen: Chosen, scored: Scored, options: GradeOptions) -> tuple[object, ...]:
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


# --- telling


def show_readiness(readiness: Readiness, *, as_json: bool) -> None:
    """Print the judgement: for people on stderr, or as facts on stdout."""
    if as_json:
        print_json(facts(readiness, with_slices=True))
        return
    for line in told(readiness):
        people.print(line, markup=False)


def facts(readiness: Readiness, *, with_slices: bool = False) -> dict[str, Any]:
    """The judgement as JSON values, rounded, and without content.

    Slices hold values of the logs' metadata, so they are there only when asked for.
    """
    measures: dict[str, Any] = _rounded(msgspec.to_builtins(readiness.measures))
    if not with_slices:
        del measures["slices"]
    return {
        "verdict": readiness.verdict,
        "findings": [each._asdict() for each in readiness.findings],
        "warnings": [each._asdict() for each in readiness.warnings],
        **measures,
    }


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, FACT_DIGITS)
    if isinstance(value, dict):
        return {key: _rounded(held) for key, held in value.items()}
    return [_rounded(held) for held in value] if isinstance(value, list | tuple) else value


def told(readiness: Readiness) -> list[str]:
    """The judgement as lines of text for people; the verdict is the last."""
    of = readiness.measures
    lines = [f"responses graded: {of.responses:,}, of {of.prompts:,} prompts"]
    lines += _told_scores(of.scores) if of.scores else []
    lines += [f"problem, {number:,} times: {printable(text)}" for text, number in of.problems.kinds]
    if of.repeat:
        lines.append(f"graded twice: {of.repeat.compared:,}, differing: {of.repeat.differing:,}")
    lines.append(f"score and length: {of.length.says}")
    lines += _told_within(of.within_prompts)
    lines += [_told_slice(each) for each in of.slices]
    lines += [_told_finding("warning", each) for each in readiness.warnings]
    verdict, *others = readiness.findings
    lines += [_told_finding("also", each) for each in others]
    return [*lines, _told_finding("verdict", verdict)]


def _told_finding(word: str, found: Finding) -> str:
    return f"{word} {found.name}: {found.says}"


def _told_scores(scores: Scores) -> list[str]:
    most = max(scores.histogram)
    bars = "".join(_BARS[-(-number * 8 // most)] for number in scores.histogram)
    (low, high), median = scores.edges, scores.deciles[5]
    return [
        f"score: mean {scores.mean:.3f}, std {scores.std:.3f}, median {median:.3g}, "
        f"{scores.share_zero:.1%} are 0, {scores.share_one:.1%} are 1",
        f"scores from {low:g} to {high:g}: |{bars}|",
    ]


def _told_within(within: WithinPrompts) -> list[str]:
    if within.zero_variance_share is None:
        return ["prompts with several responses: none"]
    return [
        f"prompts with several responses: {within.prompts:,}, all scores the same in "
        f"{within.zero_variance_share:.1%}, mean std {within.mean_std:.3f}"
    ]


def _told_slice(of: SliceScores) -> str:
    value = "(none)" if of.value is None else printable(of.value.replace("\n", " "))
    mean = "no score" if of.mean is None else f"mean {of.mean:.3f}"
    return f"{printable(of.slice)} {value}: {of.responses:,} responses, {mean}"
