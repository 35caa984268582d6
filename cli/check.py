"""`sluice check`: would the readers of RFT datasets take this file? And if not, what to fix."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
from rich.table import Table

from bedrock_sluice.cli.console import people, print_json, print_result
from bedrock_sluice.lake.files import replaced_file
from bedrock_sluice.rewards.conformance.check import (
    LAYOUT_FAULTS,
    Report,
    Verdict,
    Violation,
    check_lines,
)
from bedrock_sluice.rewards.conformance.fixes import FixResult, fix_lines
from bedrock_sluice.rewards.conformance.profile import Fix, Profile
from bedrock_sluice.rewards.profiles import profile_named, profiles
from bedrock_sluice.transforms.decode.lines import MAX_LINE_BYTES, MAX_OBJECT_BYTES, read_lines
from bedrock_sluice.transforms.errors import ConfigError, InputError, OutsideError

EXIT_REFUSED = 1
REJECTS_SUFFIX = ".rejects"

_LAYOUT_RULES = {f"file/{fault.name}" for fault in LAYOUT_FAULTS}


def check(path: Path, names: Sequence[str], fix: Path | None, as_json: bool) -> None:
    """Judge a file by the profiles of these names, and with `fix`, write a fixed copy there.

    Named profiles must all pass. Without names, every profile gives its verdict, and the file is
    good if a job of either platform would take it: the validators contradict each other, and no
    file suits every grader. With `fix`, lines are fixed for the profiles that must pass, and the
    verdict is on the copy.

    Raises:
        ConfigError: there is no such file or profile, or `fix` is the file itself.
        OutsideError: the copy can't be written.
        SystemExit: the file does not pass.
    """
    asked = [profile_named(name) for name in dict.fromkeys(names)]
    wanted = asked or list(profiles().values())
    must_pass = asked or [profile for profile in wanted if profile.kind == "platform"]
    with _opened(path) as file:
        report = check_lines(_bounded(file), wanted)
    fixed: dict[str, Any] | None = None
    if fix is not None:
        fixed = {"layout": _layout(report), **_fix(path, fix, must_pass)}
        with _opened(fix) as file:
            report = check_lines(_bounded(file), wanted)
    verdicts = [report.verdict(profile.name) for profile in must_pass]
    is_passed = (all if asked else any)(verdict.is_passed for verdict in verdicts)
    if as_json:
        print_json(_summary(fix or path, report, is_passed, fixed))
    else:
        _show(report, told={profile.name for profile in asked}, is_passed=is_passed, fixed=fixed)
    if not is_passed:
        raise SystemExit(EXIT_REFUSED)


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    try:
        with path.open("rb") as file:
            yield file
    except (FileNotFoundError, NotADirectoryError):
        raise ConfigError(f"{path} is not there; name a file of JSON lines") from None
    except IsADirectoryError:
        raise ConfigError(f"{path} is a folder; name a file in it, such as train.jsonl") from None
    except OSError as error:
        raise OutsideError(f"{path}: {error.strerror}") from None


def _bounded(file: BinaryIO) -> Iterator[bytes]:
    """The lines of a file; of one that is too long, enough to see that it is."""
    limit = MAX_LINE_BYTES + 2  # so that what is cut off is over the limit without its end too
    while line := file.readline(limit):
        yield line
        while len(line) == limit and not line.endswith(b"\n"):
            line = file.readline(limit)


# --- fixing


def _fix(path: Path, out: Path, must_pass: Sequence[Profile]) -> dict[str, Any]:
    """Write the fixed copy and what was set aside; tell how much of which."""
    if not path.is_file():
        raise ConfigError(f"{path} is no regular file, and is read twice; write it to one first")
    out = out.resolve()  # a link stays one
    rejects = out.with_name(out.name + REJECTS_SUFFIX)
    for target in (out, rejects):
        if target.exists() and not target.is_file():
            raise ConfigError(f"{target} is no regular file; name one to write the copy to")
        if target.exists() and target.samefile(path):
            raise ConfigError(f"{target} is the input file; write the copy elsewhere")
    results = list(_fixed_lines(path, must_pass))
    kept = [each.text for each in results if each.text is not None]
    aside = [_reject(each) for each in results if each.text is None]
    _write(out, kept)
    if aside or rejects.exists():
        _write(rejects, [msgspec.json.encode(row) for row in aside])
    done = Counter[Fix](each_fix for each in results for each_fix in each.fixes)
    return {
        "out": str(out),
        "lines": len(kept),
        "rejects": str(rejects) if aside else None,
        "rejected": len(aside),
        "fixes": [{"message": m.message, "loses": m.loses, "lines": n} for m, n in done.items()],
    }


def _layout(report: Report) -> list[str]:
    """What the copy will be rid of because it is written anew, by rule."""
    return [found.rule for found in report.findings if found.rule in _LAYOUT_RULES]


def _fixed_lines(path: Path, must_pass: Sequence[Profile]) -> Iterator[FixResult]:
    with _opened(path) as file:
        raw = file.read(MAX_OBJECT_BYTES + 1)
    if len(raw) > MAX_OBJECT_BYTES:
        raise ConfigError(
            f"{path} is over {MAX_OBJECT_BYTES:,} bytes; split it before you use --fix"
        )
    try:
        yield from fix_lines(read_lines(raw), must_pass)
    except InputError as error:
        raise ConfigError(f"{path} can't be fixed: {error}") from None


def _reject(result: FixResult) -> dict[str, Any]:
    text = result.raw.decode(errors="backslashreplace")
    return {"line": result.line, "rules": result.rules, "text": text}


def _write(path: Path, lines: Sequence[bytes]) -> None:
    with replaced_file(path) as file:
        file.writelines(line + b"\n" for line in lines)


# --- telling


def _show(report: Report, *, told: set[str], is_passed: bool, fixed: dict[str, Any] | None) -> None:
    people.print(_table(report))
    findings = [] if fixed and not fixed["lines"] else list(report.findings)  # no lines: `empty`
    for verdict in report.verdicts:
        if verdict.profile.name in told or (
            not told and verdict.profile.kind in ("platform", "validator")
        ):
            findings += verdict.findings
    _show_findings(sorted(findings, key=lambda found: found.severity))
    if not told:
        people.print("`--profile NAME` tells what one profile wants, such as that of a grader")
    if fixed:
        _show_fixed(fixed)
        print_result(fixed["out"])
        if not fixed["lines"] and fixed["rejected"]:
            people.print("no line can be fixed: all were set aside, with the rules that they break")
    people.print("the file [green]passes[/]" if is_passed else "the file does [red]not pass[/]")


def _table(report: Report) -> Table:
    table = Table(title=f"{report.lines:,} lines, by who reads them", title_justify="left")
    table.add_column("profile")
    table.add_column("pass", justify="right")
    table.add_column("fail", justify="right")
    table.add_column("verdict")
    table.add_column("what it is")
    for verdict in report.verdicts:
        profile, passing = verdict.profile, verdict.passing
        word = "[green]passed[/]" if verdict.is_passed else "[red]refused[/]"
        counts = (f"{passing:,}", f"{report.lines - passing:,}")
        table.add_row(profile.name, *counts, word, f"[dim]{profile.about}[/]")
    return table


def _show_findings(findings: Sequence[Violation]) -> None:
    """Each thing that is wrong once, with all the profiles that say so."""
    together: dict[tuple[Any, ...], list[str]] = {}
    for found in findings:
        profile, _, name = found.rule.partition("/")
        alike = (found.severity, name, found.message, found.hint, _where(found))
        together.setdefault(alike, []).append(profile)
    for (severity, name, message, hint, where), names in together.items():
        word = "[red]error[/]" if severity == "error" else "[yellow]warning[/]"
        by = "" if names == ["file"] else f", by {', '.join(names)}"
        people.print(f"{word} {name}{where}{by}: ", end="")
        people.print(message, markup=False)
        people.print(f"      {hint}", markup=False)


def _where(found: Violation) -> str:
    lines = [f"{line:,}" for line in found.lines if line]
    if not lines:
        return ""
    more = f" and {found.count - len(lines):,} more" if found.count > len(lines) else ""
    return f" (line{'s' if found.count > 1 else ''} {', '.join(lines)}{more})"


def _show_fixed(fixed: dict[str, Any]) -> None:
    if fixed["layout"]:
        people.print(f"fixed in the file itself: {', '.join(fixed['layout'])}", markup=False)
    for each in fixed["fixes"]:
        loss = " (they are lost: keep the original)" if each["loses"] else ""
        people.print(
            f"fixed in {each['lines']:,} of the lines: {each['message']}{loss}", markup=False
        )
    people.print(
        f"lines written: {fixed['lines']:,}, set aside: {fixed['rejected']:,}", markup=False
    )
    if fixed["rejects"]:
        people.print(f"set aside, with the rules they break: {fixed['rejects']}", markup=False)


def _summary(
    path: Path, report: Report, is_passed: bool, fixed: dict[str, Any] | None
) -> dict[str, Any]:
    """What `check --json` prints."""
    return {
        "file": str(path),
        "lines": report.lines,
        "passed": is_passed,
        "findings": report.findings,
        "profiles": [_told(report, verdict) for verdict in report.verdicts],
        "fixed": fixed,
    }


def _told(report: Report, verdict: Verdict) -> dict[str, Any]:
    return {
        "profile": verdict.profile.name,
        "kind": verdict.profile.kind,
        "passed": verdict.is_passed,
        "lines_passing": verdict.passing,
        "lines_failing": report.lines - verdict.passing,
        "findings": verdict.findings,
    }
