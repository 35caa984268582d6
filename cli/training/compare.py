"""`sluice compare`: tuned models beside their base."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bedrock_sluice.cli.options import AsJson, JobRecipe, Page, ReleaseLake, ReleaseUri, epilog

if TYPE_CHECKING:
    from bedrock_sluice.flows.running.runner import ReportProgress as Progress
    from bedrock_sluice.flows.training.proof.compare import ComparisonReport
    from bedrock_sluice.flows.training.proof.job_models import CallableModel
    from bedrock_sluice.flows.training.proof.model_calls import AnswerFile, CallLine, CallOptions
    from bedrock_sluice.lake.releases.release import Release
    from bedrock_sluice.transforms.training.model_comparison import Difference, ModelComparison

EPILOG = epilog(
    "sluice compare lake/releases/tutor/2026-11-01-527776e00615 --recipe tutor.toml "
    "--responses base=base.jsonl --responses tuned=tuned.jsonl --page models.html",
    "sluice compare tutor.toml@latest --recipe tutor.toml --model base=amazon.nova-2-lite-v1:0 "
    "--model tuned=arn:aws:bedrock:us-east-1:111122223333:custom-model-deployment/ab0123456789",
    "sluice compare tutor.toml@approved --recipe tutor.toml --job tutor-527776e00615",
    rejected="a model is worse than the base",
)

Answers = Annotated[
    Path, typer.Option(metavar="FOLDER", help="Where answers of called models are kept.")
]
Job = Annotated[
    str | None,
    typer.Option(help="Call the base, the tuned model and the checkpoints of this job."),
]
Confidence = Annotated[
    float, typer.Option(min=0.5, max=0.999, help="Confidence of all verdicts together.")
]
MaxTokens = Annotated[
    int, typer.Option(min=1, max=1_000_000, help="Limit of the answers of called models.")
]
COLORS = {"promote": "green", "keep": "yellow", "roll back": "red"}


def compare(  # noqa: PLR0913, PLR0917 - the options of the command
    release: ReleaseUri,
    responses: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=FILE",
            help="Answers of a model: JSONL with id and response; repeatable, one is base.",
        ),
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=MODEL",
            help="Call this model (an id, or the ARN of a deployment) for its answers; repeatable.",
        ),
    ] = None,
    job: Job = None,
    answers: Answers = Path("answers"),
    max_tokens: MaxTokens = 2_048,
    recipe: JobRecipe = None,
    prices: Annotated[
        tuple[float, float] | None,
        typer.Option(metavar="INPUT OUTPUT", help="Prices of 1,000 tokens, for cost per answer."),
    ] = None,
    confidence: Confidence = 0.95,
    lake: ReleaseLake = None,
    page: Page = None,
    as_json: AsJson = False,
) -> None:
    """Score models on the validation lines, and say whether to promote, keep or roll back.

    Exits 1 if a model is worse than the base.
    """
    from bedrock_sluice.cli.progress import ProgressRunner
    from bedrock_sluice.flows.recipe import load_recipe
    from bedrock_sluice.flows.review.release_names import resolve_release
    from bedrock_sluice.flows.training.proof.compare import (
        CompareOptions,
        TokenPrices,
        check_comparison,
        compare_models,
    )
    from bedrock_sluice.flows.training.proof.model_calls import CallOptions
    from bedrock_sluice.transforms.errors import ExitCode

    source = resolve_release(release, lake, recipe)
    current, base = (load_recipe(recipe), recipe.absolute().parent) if recipe else (None, None)
    region = current.train.region if current and current.train else None
    calls = CallOptions(answers, region, max_tokens)
    files, models = _name_models(responses, model)
    if job:
        region, job_models = _find_job_models(source, job, max_tokens)
        models = {k: v for k, v in job_models.items() if k not in files} | models
        calls = calls._replace(region=region)
    check_comparison(source, [*files, *models], current, base)
    files |= _call_models(source, models, calls, prices)
    options = CompareOptions(TokenPrices(*prices) if prices else None, confidence)
    with ProgressRunner() as run_stage:
        report = run_stage(
            "grade", lambda tick: compare_models(source, files, current, base, options, tick)
        )
    _write_report(report, page, as_json=as_json)
    if any(each.verdict == "roll back" for each in report.comparisons):
        raise SystemExit(ExitCode.CHECK_FAILED)


def _find_job_models(
    release: "Release", job: str, max_tokens: int
) -> "tuple[str, dict[str, CallableModel]]":
    """Return the Region of a job, and its models by name; say which checkpoints there are."""
    from bedrock_sluice.cli.console import people
    from bedrock_sluice.flows.training.proof.job_models import find_models

    models, region, note = find_models(release.lake, job, max_tokens)
    people.print(note, markup=False)
    return region, models


def _name_models(
    responses: Sequence[str] | None, models: Sequence[str] | None
) -> "tuple[dict[str, Path], dict[str, CallableModel]]":
    """Return the response files, and the models to call, by their names.

    Raises:
        ConfigError: As `_pairs` does.
    """
    from bedrock_sluice.flows.training.proof.job_models import CallableModel

    files = {name: Path(file) for name, file in _pairs("--responses", responses or ()).items()}
    pairs = _pairs("--model", models or (), files)
    return files, {name: CallableModel(each) for name, each in pairs.items()}


def _pairs(option: str, texts: Sequence[str], others: Collection[str] = ()) -> dict[str, str]:
    """Read `NAME=VALUE` arguments.

    Raises:
        ConfigError: One is not of this form, or a name comes twice.
    """
    from bedrock_sluice.transforms.errors import ConfigError

    values = dict[str, str]()
    for each in texts:
        name, equals, value = each.partition("=")
        if not (name and equals and value):
            kind = "MODEL" if option == "--model" else "FILE, such as base=base.jsonl"
            raise ConfigError(f"{option} {each}: write NAME={kind}")
        if name in values or name in others:
            raise ConfigError(f"{option} {name}: the name comes twice")
        values[name] = value
    return values


def _call_models(
    release: "Release",
    models: "dict[str, CallableModel]",
    options: "CallOptions",
    prices: tuple[float, float] | None,
) -> dict[str, Path]:
    """Have models answer, and print what that took; response files by name."""
    from bedrock_sluice.cli.console import people
    from bedrock_sluice.cli.progress import ProgressRunner
    from bedrock_sluice.flows.training.proof.model_calls import answer_lines

    files = dict[str, Path]()
    for name, (model, call) in models.items():

        def answer(
            tick: "Progress", name: str = name, model: str = model, call: "CallLine | None" = call
        ) -> "AnswerFile":
            return answer_lines(release, name, model, options, tick, call)

        with ProgressRunner() as run_stage:
            result = run_stage("answer", answer)
        files[name] = result.path
        tokens = f"{result.input_tokens:,} tokens read, {result.output_tokens:,} written"
        cost = ""
        if prices:
            per_input, per_output = prices
            money = per_input * result.input_tokens + per_output * result.output_tokens
            cost = f", cost {money / 1_000:,.4f}"
        people.print(f"{name}: {result.calls:,} calls, {tokens}{cost}; {result.path}", markup=False)
    return files


def _write_report(report: "ComparisonReport", page: Path | None, *, as_json: bool) -> None:
    """Print the report, or its JSON without pairs of answers, and write the page if it is named."""
    from msgspec import to_builtins

    from bedrock_sluice.cli.console import print_json, write_page
    from bedrock_sluice.expectations.pages.model_pages import render_models

    values = to_builtins(report)
    if as_json:
        print_json({key: value for key, value in values.items() if key != "pairs"})
    else:
        _show(report)
    if page:
        write_page(page, render_models(values))


def _show(report: "ComparisonReport") -> None:
    from bedrock_sluice.cli.console import people

    for use in report.models:
        score = "not graded" if use.mean_score is None else f"mean score {use.mean_score:.4f}"
        cost = "" if use.cost is None else f", {use.cost:.6f} per answer"
        people.print(f"{use.name}: {score} over {use.graded_lines:,} lines{cost}", markup=False)
    for problem, number in report.problems.items():
        people.print(f"grader: {number:,} answers: {problem}", markup=False)
    for each in report.comparisons:
        _show_comparison(each)


def _show_comparison(comparison: "ModelComparison") -> None:
    from rich.markup import escape
    from rich.table import Table

    from bedrock_sluice.cli.console import people
    from bedrock_sluice.transforms.printable import printable

    table = Table()
    table.add_column("lines of")
    for heading in ("lines", "base", "tuned", "difference", "interval"):
        table.add_column(heading, justify="right")
    for row in (comparison.overall, *comparison.slices):
        name = f"{row.slice} = {row.value}" if row.value else row.slice
        style = "red" if row.is_worse else None
        table.add_row(escape(printable(name)), *_numbers(row), style=style)
    people.print(table)
    for suite in comparison.suites:
        counts = f"{suite.base_failures:,} answers of base fail, {suite.tuned_failures:,} of tuned"
        worse = "; worse" if suite.is_worse else ""
        people.print(f"suite {suite.suite}: {counts} (p = {suite.p_value:.3g}){worse}")
    name, reasons = (
        escape(printable(text)) for text in (comparison.model, "; ".join(comparison.reasons))
    )
    color = COLORS[comparison.verdict]
    people.print(f"{name}: [{color}]{comparison.verdict}[/] ({reasons})")
    people.print(f"{comparison.rule} Confidence: {comparison.confidence:.1%}.", markup=False)


def _numbers(row: "Difference") -> list[str]:
    interval = "too few lines" if row.low is None else f"{row.low:+.4f} to {row.high:+.4f}"
    return [
        f"{row.lines:,}",
        f"{row.base:.4f}",
        f"{row.tuned:.4f}",
        f"{row.difference:+.4f}",
        interval,
    ]
