"""`sluice diff`: what changed from one release to another."""

from typing import TYPE_CHECKING, Annotated

import typer

from bedrock_sluice.cli.options import AsJson, Page, ReleaseLake, ReleaseUri, epilog

if TYPE_CHECKING:
    from bedrock_sluice.transforms.review.comparison import Comparison

EPILOG = epilog(
    "sluice diff lake/releases/tutor/2026-10-31-9d0c41f5be27 "
    "lake/releases/tutor/2026-11-01-527776e00615 --words",
    "sluice diff lake/releases/tutor/2026-10-31-9d0c41f5be27 "
    "lake/releases/tutor/2026-11-01-527776e00615 --page changes.html",
    rejected="a line moved between train and validation",
)


def diff(  # noqa: PLR0913, PLR0917 - options of the command line
    before: ReleaseUri,
    after: ReleaseUri,
    lake: ReleaseLake = None,
    words: Annotated[
        bool,
        typer.Option("--words", help="Show the words of questions whose share changed most."),
    ] = False,
    page: Page = None,
    as_json: AsJson = False,
) -> None:
    """Compare the lines of two releases. Exits 1 if one moved between train and validation."""
    from msgspec import to_builtins

    from bedrock_sluice.cli.console import print_json, write_page
    from bedrock_sluice.expectations.pages.review_pages import render_diff
    from bedrock_sluice.flows.review.comparison import compare_releases
    from bedrock_sluice.flows.review.release_names import resolve_release
    from bedrock_sluice.transforms.errors import ExitCode

    old, new = resolve_release(before, lake), resolve_release(after, lake)
    comparison = compare_releases(old, new, has_words=words)
    if as_json:
        print_json({"before": old.uri, "after": new.uri, **to_builtins(comparison)})
    else:
        _show(comparison)
    if page:
        write_page(page, render_diff(old.uri, new.uri, comparison))
    if comparison.changes["moved"].lines:
        raise SystemExit(ExitCode.CHECK_FAILED)


def _show(comparison: "Comparison") -> None:
    from rich.markup import escape
    from rich.table import Table

    from bedrock_sluice.cli.console import people
    from bedrock_sluice.transforms.printable import printable

    lines = f"{comparison.lines_before:,} lines before, {comparison.lines_after:,} after"
    people.print(f"{lines}; {comparison.equal_lines:,} unchanged")
    changes = Table()
    changes.add_column("change", no_wrap=True)
    changes.add_column("lines", justify="right")
    changes.add_column("for example")
    for name, change in comparison.changes.items():
        examples = escape(printable(", ".join(change.examples[:2])))
        changes.add_row(name.replace("_", " "), f"{change.lines:,}", examples)
        for fate, number in change.fates.items():
            when = "before" if name == "added" else "after"
            changes.add_row(f"[dim]  {when}: {fate}[/]", f"[dim]{number:,}[/]", "")
    people.print(changes)
    shifts = Table()
    shifts.add_column("measure", no_wrap=True)
    for heading in ("before", "after", "index", "by chance"):
        shifts.add_column(heading, justify="right")
    shifts.add_column("verdict")
    for each in comparison.shifts:
        middles = [
            escape(printable(_middle(value, share)))
            for value, share in (
                (each.before, each.share_before),
                (each.after, each.share_after),
            )
        ]
        measure = each.measure.replace("_", " ")
        shifts.add_row(
            measure, *middles, f"{each.index:.2f}", f"{each.by_chance:.2f}", each.verdict
        )
    people.print(shifts)
    for word in comparison.words:
        share = f"{word.before:.1%} of the lines before, {word.after:.1%} after"
        people.print(f"{printable(word.word)}: {share}", markup=False)


def _middle(value: float | str | None, share: float | None) -> str:
    if isinstance(value, int | float):
        return f"{value:,.0f}"
    return str(value or "–") + ("" if share is None else f" {share:.0%}")
