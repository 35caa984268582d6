"""Comparison of models on the validation lines of a release, scored by the recipe's grader.

Requires: for a deployed grader, `lambda:InvokeFunction`.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import polars as pl

from bedrock_sluice.flows.recipe import Recipe
from bedrock_sluice.flows.recipe.build_recipe import job_recipe
from bedrock_sluice.flows.recipe.sections import GraderSection
from bedrock_sluice.flows.training.proof.responses import ModelResponse, read_responses
from bedrock_sluice.lake.releases.release import Release
from bedrock_sluice.rewards.regression_suites import answer_text, find_failures, question
from bedrock_sluice.rewards.running.events import Sample
from bedrock_sluice.rewards.running.grader_results import GraderResult
from bedrock_sluice.rewards.running.process import LocalGrader
from bedrock_sluice.rewards.running.run import Caller, run_grader
from bedrock_sluice.rewards.templates.base import OWN_KEYS, template_named
from bedrock_sluice.transforms.chat.messages import chat_of, json_text
from bedrock_sluice.transforms.chat.tokens import estimate_tokens
from bedrock_sluice.transforms.errors import ConfigError
from bedrock_sluice.transforms.privacy.detection import mask_json
from bedrock_sluice.transforms.sampling import LENGTH_BANDS
from bedrock_sluice.transforms.settings import Content
from bedrock_sluice.transforms.training.model_comparison import (
    CONFIDENCE,
    MIN_LINES,
    SCORES,
    ComparisonOptions,
    ModelComparison,
    compare_scores,
)

BASE = "base"
SCHEMA_VERSION = 1
MAX_PAIRS = 20  # pairs of answers of a model on the page: half lost most, half gained most
MAX_TEXT_CHARACTERS = 4_000  # of one text on the page
_BYTES_PER_MB = 1 << 20

Line = dict[str, Any]
Progress = Callable[[int, int], None]


class ModelUse(msgspec.Struct, frozen=True, kw_only=True):
    """The mean score of a model, and what an answer takes; None where tokens are not known.

    `cost` is per answer, in the currency of the given prices.
    """

    name: str
    mean_score: float | None
    graded_lines: int
    input_tokens: float | None = None
    output_tokens: float | None = None
    cost: float | None = None


class AnswerPair(msgspec.Struct, frozen=True, kw_only=True):
    """The answers of both models to one line, with their scores."""

    model: str
    id: str
    question: str
    reference: str
    base: str
    tuned: str
    base_score: float
    tuned_score: float


class ComparisonReport(msgspec.Struct, frozen=True, kw_only=True):
    """All models beside the base. `pairs` holds record content: for pages alone."""

    schema_version: int
    release: str
    digest: str
    models: list[ModelUse]
    comparisons: list[ModelComparison]
    problems: dict[str, int]
    pairs: list[AnswerPair] = []


class TokenPrices(msgspec.Struct, frozen=True):
    """What 1,000 tokens of input and output cost, in any one currency."""

    input: float
    output: float


class CompareOptions(NamedTuple):
    """Prices of tokens, the confidence of all verdicts, and how much text the pairs show."""

    prices: TokenPrices | None = None
    confidence: float = CONFIDENCE
    content: Content | None = None  # without it, what [report] content says


def check_comparison(
    release: Release, names: Collection[str], current: Recipe | None, base: Path | None
) -> None:
    """See that models of these names can be compared, before anything is paid for their answers.

    Raises:
        ConfigError: No base or no other model; too few lines; or there is no grader.
    """
    if BASE not in names or len(names) < 2:
        raise ConfigError("name the answers of base and of at least one other model")
    read_lines(release)
    find_grader(job_recipe(release, current), base)


def compare_models(  # noqa: PLR0913, PLR0917 - what to compare, and how
    release: Release,
    files: Mapping[str, Path],
    current: Recipe | None = None,
    base: Path | None = None,
    options: CompareOptions | None = None,
    report_progress: Progress | None = None,
) -> ComparisonReport:
    """Score the answers of each model, and compare each with those of `base`.

    `files` are response files by the name of the model; `current` is the recipe as it is now, and
    `base` its folder, from which a local grader is found.

    Raises:
        ConfigError: No answers of the base or of another model; too few lines; a file or the grader
            is wrong.
        IntegrityError: The release is not what was written.
        OutsideError, TransientError: AWS, the disk or the machine failed.
    """
    check_comparison(release, files, current, base)
    settings, recipe = options or CompareOptions(), job_recipe(release, current)
    lines = read_lines(release)
    ids = [str(line["id"]) for line in lines]
    answers = {name: read_responses(path, ids) for name, path in files.items()}
    messages = {name: [each[i].message for i in ids] for name, each in answers.items()}
    results = _grade(lines, messages, find_grader(recipe, base), report_progress)
    scores = {name: [each.score for each in rows] for name, rows in results.items()}
    comparisons = _compare(release, recipe, lines, messages, scores, settings.confidence)
    content = settings.content or (current or recipe).report.content
    mask_key = recipe.split.salt if content == "masked" else None
    uses = [
        _use(name, scores[name], [answers[name][i] for i in ids], settings.prices) for name in files
    ]
    return ComparisonReport(
        schema_version=SCHEMA_VERSION,
        release=f"{release.name}/{release.id}",
        digest=release.manifest.digest,
        models=uses,
        comparisons=comparisons,
        problems=_count_problems(results),
        pairs=[] if content == "none" else _pairs(lines, messages, scores, mask_key),
    )


def _compare(  # noqa: PLR0913, PLR0917 - all that a verdict rests on
    release: Release,
    recipe: Recipe,
    lines: Sequence[Line],
    messages: Mapping[str, Sequence[Line]],
    scores: Mapping[str, Sequence[float | None]],
    confidence: float,
) -> list[ModelComparison]:
    """One comparison with the base per other model; they share the allowed share of errors."""
    ids = [str(line["id"]) for line in lines]
    template = template_named(recipe.template.name, recipe.template.options())
    fields, groups = _slices(release, lines), _groups(release, ids)
    options = ComparisonOptions(confidence, models=len(messages) - 1)
    comparisons = list[ModelComparison]()
    for name in _others(messages):
        values = {"id": ids, "group": groups, "base": scores[BASE], "tuned": scores[name]}
        failures = find_failures(lines, messages[BASE], messages[name], template)
        frame = pl.DataFrame(values, schema=SCORES)
        try:
            comparisons.append(compare_scores(name, frame, fields, failures, options))
        except ValueError as error:
            raise ConfigError(f"model {name}: {error}") from None
    return comparisons


def _others(names: Iterable[str]) -> list[str]:
    return [name for name in names if name != BASE]


def read_lines(release: Release) -> list[Line]:
    """Return the validation lines of a release.

    Raises:
        ConfigError: There are fewer than a comparison needs.
        IntegrityError: They are not what was written.
    """
    text = release.file("validation.jsonl").read_bytes()
    lines = [msgspec.json.decode(line) for line in text.splitlines()]
    if len(lines) < MIN_LINES:
        raise ConfigError(
            f"{len(lines)} validation lines; a comparison needs at least {MIN_LINES}",
            place=release.uri,
            hint="build with a larger validation share, [split] validation",
        )
    return lines


def find_grader(recipe: Recipe, base: Path | None) -> tuple[LocalGrader | Caller, GraderSection]:
    """Return the grader of a recipe, and its section; a local one is found from the folder `base`.

    Raises:
        ConfigError: the recipe has no grader, or it cannot be found.
    """
    section = recipe.grader
    if section is None:
        raise ConfigError(
            "the recipe has no [grader]; add it, and name the recipe: --recipe RECIPE"
        )
    if section.python is not None:
        if base is None and not Path(section.python).is_absolute():
            raise ConfigError(
                f"the grader {section.python} is relative to the recipe; add --recipe RECIPE"
            )
        return LocalGrader(section.python, base or Path()), section
    assert section.lambda_arn is not None
    from bedrock_sluice.flows.graders.lambda_grader import LambdaGrader  # noqa: PLC0415 - botocore

    return LambdaGrader(section.lambda_arn, section.timeout_seconds), section


def _grade(
    lines: Sequence[Line],
    messages: Mapping[str, Sequence[Line]],
    grader: tuple[LocalGrader | Caller, GraderSection],
    report_progress: Progress | None,
) -> dict[str, list[GraderResult]]:
    """Grade all answers of all models in one run; one model after the other."""
    caller, section = grader
    samples = (
        Sample(line, message)
        for answers in messages.values()
        for line, message in zip(lines, answers, strict=True)
    )
    total, results = len(lines) * len(messages), list[GraderResult]()
    for result in run_grader(
        caller,
        samples,
        batch_size=section.batch_size,
        timeout_seconds=section.timeout_seconds,
        memory_bytes=section.memory_mb * _BYTES_PER_MB,
        form=section.form,
    ):
        results.append(result)
        if report_progress:
            report_progress(len(results), total)
    size = len(lines)
    return {name: results[n * size : (n + 1) * size] for n, name in enumerate(messages)}


def _slices(release: Release, lines: Sequence[Line]) -> pl.DataFrame:
    """Passthrough fields that are short texts, the length of the prompt, the source of answers."""
    keys = sorted({key for line in lines for key in line if key not in OWN_KEYS})
    columns = {key: [_label(line.get(key)) for line in lines] for key in keys}
    columns["prompt length"] = [_band(estimate_tokens(chat_of(line))) for line in lines]
    rows = _provenance(release, [str(line["id"]) for line in lines])
    for name in ("model_id", "reference_source"):
        if name in rows.columns:
            columns[name] = rows[name].cast(pl.String).to_list()
    return pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String))


def _label(value: object) -> str | None:
    return str(value) if isinstance(value, str | int | bool) else None


def _band(tokens: int) -> str:
    return next(name for name, limit in LENGTH_BANDS if limit is None or tokens < limit)


def _groups(release: Release, ids: Sequence[str]) -> list[str]:
    """The group of each line, by which the split kept dependent lines together."""
    rows = _provenance(release, ids)
    if "group" not in rows.columns:
        return list(ids)
    groups = rows["group"].cast(pl.String).to_list()
    return [group or line_id for group, line_id in zip(groups, ids, strict=True)]


def _provenance(release: Release, ids: Sequence[str]) -> pl.DataFrame:
    """The provenance of these lines, in their order; older releases name them by request id."""
    rows = pl.read_parquet(release.file("provenance.parquet"), glob=False)
    key = "id" if "id" in rows.columns else "request_id"
    wanted_ids = pl.DataFrame({key: ids}, schema={key: pl.String})
    return wanted_ids.join(rows.unique(key), on=key, how="left", maintain_order="left")


def _use(
    name: str,
    scores: Sequence[float | None],
    responses: Sequence[ModelResponse],
    prices: TokenPrices | None,
) -> ModelUse:
    numbers = [score for score in scores if score is not None]
    inputs = _mean([each.input_tokens for each in responses])
    outputs = _mean([each.output_tokens for each in responses])
    cost = None
    if prices and inputs is not None and outputs is not None:
        cost = (inputs * prices.input + outputs * prices.output) / 1_000
    return ModelUse(
        name=name,
        mean_score=_mean(numbers),
        graded_lines=len(numbers),
        input_tokens=inputs,
        output_tokens=outputs,
        cost=cost,
    )


def _mean(values: Sequence[float | None]) -> float | None:
    """The mean; None if a value is not known."""
    numbers = [value for value in values if value is not None]
    return sum(numbers) / len(numbers) if numbers and len(numbers) == len(values) else None


def _count_problems(results: Mapping[str, Sequence[GraderResult]]) -> dict[str, int]:
    """How often the grader gave which problem; its texts are free of content."""
    problems = [each.problem for rows in results.values() for each in rows if each.problem]
    counts = pl.Series("problem", problems, dtype=pl.String).value_counts()
    return dict(counts.sort("count", "problem", descending=[True, False]).iter_rows())


def _pairs(
    lines: Sequence[Line],
    messages: Mapping[str, Sequence[Line]],
    scores: Mapping[str, Sequence[float | None]],
    mask_key: str | None,
) -> list[AnswerPair]:
    """The pairs of each model that lost and gained most; masked if there is a key."""
    pairs = list[AnswerPair]()
    for name in _others(messages):
        rows = [
            (after - before, row)
            for row, (before, after) in enumerate(zip(scores[BASE], scores[name], strict=True))
            if before is not None and after is not None and before != after
        ]
        half = MAX_PAIRS // 2
        losses = sorted(each for each in rows if each[0] < 0)[:half]
        gains = sorted((each for each in rows if each[0] > 0), reverse=True)[:half]
        for _, row in [*losses, *gains]:
            texts = {
                "question": question(lines[row]),
                "reference": _text(lines[row]["reference_answer"]),
                "base": _answer(messages[BASE][row]),
                "tuned": _answer(messages[name][row]),
            }
            pair = texts if mask_key is None else mask_json(texts, mask_key)
            pairs.append(
                AnswerPair(
                    model=name,
                    id=str(lines[row]["id"]),
                    base_score=scores[BASE][row] or 0.0,
                    tuned_score=scores[name][row] or 0.0,
                    **{key: text[:MAX_TEXT_CHARACTERS] for key, text in pair.items()},
                )
            )
    return pairs


def _answer(message: Line) -> str:
    calls = message.get("tool_calls")
    return answer_text(message) + (f"\n{json_text(calls)}" if calls else "")


def _text(value: object) -> str:
    return value if isinstance(value, str) else json_text(value)
