"""The outcome of `sluice check`: tables and sentences for people, facts for machines."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from bedrock_sluice.cli.console import people, print_result
from bedrock_sluice.flows.file_check import FileCheck, FixSummary
from bedrock_sluice.rewards.conformance.check import Report, Violation


def as_facts(
    path: Path, result: FileCheck, layout: Sequence[str], summary: FixSummary | None
) -> dict[str, Any]:
    """Return what `check --json` prints."""
    report = result.report
    profiles = [
        {
            "profile": verdict.profile.name,
            "kind": verdict.profile.kind,
            "passed": verdict.is_passed,
            "lines_passing": verdict.passing,
            "lines_failing": report.lines - verdict.passing,
            "findings": verdict.findings,
        }
        for verdict in report.verdicts
    ]
    repair = None
    if summary:
        fixes = [fix._asdict() for fix in summary.fixes]
        repair = summary._asdict() | {"layout": layout, "fixes": fixes}
    return {
        "file": str(path),
        "lines": report.lines,
        "passed": result.is_passed,
        "findings": report.findings,
        "profiles": profiles,
        "repair": repair,
    }


def show_check(
    result: FileCheck, names: set[str], layout: Sequence[str], summary: FixSummary | None
) -> None:
    """Print the verdicts, the findings, and what a repair changed.

    Without named profiles, the findings of the platforms and validators are shown: a file that
    fits one grader breaks rules of all the others.
    """
    report = result.report
    people.print(_profile_table(report))
    # Of an empty copy, the finding that a file without lines fails says nothing new.
    findings = [] if summary and not summary.lines else list(report.findings)
    for verdict in report.verdicts:
        is_general = verdict.profile.kind in ("platform", "validator")
        if verdict.profile.name in names or (not names and is_general):
            findings += verdict.findings
    _show_findings(sorted(findings, key=lambda violation: violation.severity))
    if not names:
        people.print("use `--profile NAME` to see the findings of one profile, such as a grader's")
    if summary:
        _show_repair(layout, summary)
        print_result(summary.out)
    verdict_text = "[green]passes[/]" if result.is_passed else "does [red]not pass[/]"
    people.print(f"the file {verdict_text}")


def _profile_table(report: Report) -> Table:
    table = Table(title=f"{report.lines:,} lines, by profile", title_justify="left")
    table.add_column("profile")
    table.add_column("pass", justify="right")
    table.add_column("fail", justify="right")
    table.add_column("verdict")
    table.add_column("about")
    for verdict in report.verdicts:
        profile, passing = verdict.profile, verdict.passing
        word = "[green]passed[/]" if verdict.is_passed else "[red]failed[/]"
        counts = (f"{passing:,}", f"{report.lines - passing:,}")
        table.add_row(profile.name, *counts, word, f"[dim]{profile.about}[/]")
    return table


def _show_findings(findings: Sequence[Violation]) -> None:
    """Print each finding once, with all the profiles that share it."""
    profiles: dict[tuple[str, ...], list[str]] = {}
    for each in findings:
        profile, _, name = each.rule.partition("/")
        key = (each.severity, name, each.message, each.hint, _lines_in_words(each))
        profiles.setdefault(key, []).append(profile)
    for (severity, name, message, hint, lines), names in profiles.items():
        word = "[red]error[/]" if severity == "error" else "[yellow]warning[/]"
        by = "" if names == ["file"] else f", by {', '.join(names)}"
        people.print(f"{word} {name}{lines}{by}: ", end="")
        people.print(message, markup=False)
        people.print(f"      {hint}", markup=False)


def _lines_in_words(violation: Violation) -> str:
    lines = [f"{line:,}" for line in violation.lines if line]
    if not lines:
        return ""
    more = f" and {violation.count - len(lines):,} more" if violation.count > len(lines) else ""
    return f" (line{'s' if violation.count > 1 else ''} {', '.join(lines)}{more})"


def _show_repair(layout: Sequence[str], summary: FixSummary) -> None:
    if layout:
        people.print(f"fixed in the file itself: {', '.join(layout)}", markup=False)
    for fix in summary.fixes:
        loss = " (this loses data: keep the original)" if fix.loses else ""
        people.print(f"fixed in {fix.lines:,} lines: {fix.message}{loss}", markup=False)
    people.print(f"lines written: {summary.lines:,}, rejected: {summary.rejected:,}", markup=False)
    if summary.rejects:
        people.print(f"rejected lines and the rules they break: {summary.rejects}", markup=False)
    if summary.rejected and not summary.lines:
        people.print("no line can be fixed: all were rejected")
