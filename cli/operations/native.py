"""`sluice native`: Bedrock's own job over the logs, beside the release."""

from typing import TYPE_CHECKING

import typer

from bedrock_sluice.cli.options import AsJson, RecipePath, epilog

if TYPE_CHECKING:
    from bedrock_sluice.flows.training.native import Comparison

EPILOG = epilog(
    "sluice native tutor.toml",
    rejected="Bedrock cannot take these logs itself",
)


def native(recipe: RecipePath, as_json: AsJson = False) -> None:
    """Print the configuration with which Bedrock trains on the logs themselves, if it can.

    Compares what Bedrock would take with the newest release, and shows why they differ.
    """
    from bedrock_sluice.cli.console import people, print_json
    from bedrock_sluice.flows.context import open_context
    from bedrock_sluice.flows.training.native import native_mode
    from bedrock_sluice.transforms.errors import ExitCode

    with open_context(recipe) as context:
        mode = native_mode(context)
        window = context.recipe.window
    for reason in mode.reasons:
        people.print(f"not possible: {reason}", markup=False)
    if mode.config and (window.since or window.until):
        people.print("Bedrock has no filter by time: it reads every log below the prefix")
    if mode.comparison is None:
        people.print("there is no release yet to compare with; run `sluice build`")
    else:
        _show(mode.comparison)
    if as_json:
        comparison = mode.comparison
        differences = [each._asdict() for each in comparison.differences] if comparison else []
        facts = comparison._asdict() | {"differences": differences} if comparison else None
        print_json({"config": mode.config, "reasons": mode.reasons, "comparison": facts})
    elif mode.config:
        print_json(mode.config)
    if mode.reasons:
        raise typer.Exit(ExitCode.CHECK_FAILED)


def _show(comparison: "Comparison") -> None:
    """Print the counts, and the fates that make the difference."""
    from rich.table import Table
    from rich.text import Text

    from bedrock_sluice.cli.console import people

    low, high = comparison.bedrock_low, comparison.bedrock_high
    span = f"{low:,}" if low == high else f"{low:,} to {high:,}"
    people.print(
        f"of {comparison.records:,} records read for {comparison.release}, Bedrock would take "
        f"{span}; the release keeps {comparison.kept:,}",
        markup=False,
    )
    table = Table("reason", "records", "Bedrock", "what the release leaves out")
    table.columns[1].justify = "right"
    for each in comparison.differences:
        texts = (each.reason, f"{each.records:,}", each.bedrock, each.message)
        table.add_row(*map(Text, texts))
    people.print(table)
