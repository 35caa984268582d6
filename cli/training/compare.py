"""`sluice compare`: tuned models beside their base."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bedrock_sluice.cli.options import AsJson, JobRecipe, Page, ReleaseLake, ReleaseUri, epilog

if TYPE_CHECKING:
    from bedrock_sluice.flows.training.proof.compare import ComparisonReport
    from bedrock_sluice.transforms.training.model_comparison import Difference, ModelComparison

EPILOG = epilog(
    "sluice compare lake/releases/tutor/2026-11-01-527776e00615 --recipe tutor.toml "
    "--responses base=base.jsonl --responses tuned=tuned.jsonl --page models.html",
    rejected="a model is worse than the base",
)

COLORS = {"promote": "green", "keep": "yellow", "roll back": "red"}


def compare(  # noqa: PLR0913, PLR0917 - the options of the command
    release: ReleaseUri,
    responses: Annotated[
        list[str],
        typer.Option(
            metavar="NAME=FILE",
            help="Answers of a model: JSONL with id and response; repeatable, one is base.",
        ),
    ],
    recipe: JobRecipe = None,
    prices: Annotated[
        tuple[float, float] | None,
        typer.Option(metavar="INPUT OUTPUT", help="Prices of 1,000 tokens, for cost per answer."),
    ] = None,
    confidence: Annotated[
        float, typer.Option(min=0.5, max=0.999, help="Confidence of all verdicts together.")
    ] = 0.95,
    lake: ReleaseLake = None,
    page: Page = None,
    as_json: AsJson = False,
) -> None:
    """Score models on the validation lines, and say whether to promote, keep or roll back.

    Exits 1 if a model is worse than the base.
    """
    from msgspec import to_builtins

    from bedrock_sluice.cli.console import print_json, write_page
    from bedrock_sluice.cli.progress import ProgressRunner
    from bedrock_sluice.expectations.pages.model_pages import render_models
    from bedrock_sluice.flows.recipe import load_recipe
    from bedrock_sluice.flows.review.release_names import resolve_release
    from bedrock_sluice.flows.training.proof.compare import (
        CompareOptions,
        TokenPrices,
        compare_models,
    )
    from bedrock_sluice.transforms.errors import ExitCode

    files, source = _files(responses), resolve_release(release, lake, recipe)
    current, base = (load_recipe(recipe), recipe.absolute().parent) if recipe else (None, None)
    options = CompareOptions(TokenPrices(*prices) if prices else None, confidence)
    with ProgressRunner() as run_stage:
        report = run_stage(
            "grade", lambda tick: compare_models(source, files, current, base, options, tick)
        )
    values = to_builtins(report)
    if as_json:
        print_json({key: value for key, value in values.items() if key != "pairs"})
    else:
        _show(report)
    if page:
        write_page(page, render_models(values))
    if any(each.verdict == "roll back" for each in report.comparisons):
        raise SystemExit(ExitCode.CHECK_FAILED)


def _files(responses: list[str]) -> dict[str, Path]:
    """Read `NAME=FILE` arguments.

    Raises:
        ConfigError: One is not of this form, or a name comes twice.
    """
    from bedrock_sluice.transforms.errors import ConfigError

    files = dict[str, Path]()
    for each in responses:
        name, equals, file = each.partition("=")
        if not (name and equals and file):
            raise ConfigError(f"--responses {each}: write NAME=FILE, such as base=base.jsonl")
        if name in files:
            raise ConfigError(f"--responses {name}: the name comes twice")
        files[name] = Path(file)
    return files


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
