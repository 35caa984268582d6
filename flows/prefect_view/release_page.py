"""A release as Prefect's artifacts show it: numbers, ids of releases and reason codes only.

Prefect stores artifacts in clear. So the examples of a check and the notes of reviewers stay in the
report: both may quote records.
"""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from bedrock_sluice.expectations.checks import Check
from bedrock_sluice.flows.decisions.decisions import find_decisions
from bedrock_sluice.flows.decisions.requirements import (
    is_approved,
    signature,
    unmet_requirements,
)
from bedrock_sluice.flows.papers.markdown import code, plain, prose
from bedrock_sluice.flows.recipe.build_recipe import recipe_of
from bedrock_sluice.lake.releases.manifest import Manifest
from bedrock_sluice.lake.releases.release import Release
from bedrock_sluice.lake.stores.store import S3_SCHEME
from bedrock_sluice.transforms.errors import SluiceError
from bedrock_sluice.transforms.printable import printable

CONSOLE = "https://console.aws.amazon.com/s3/object"
RESULT_ORDER = ("failed", "warned", "passed")

Row = dict[str, Any]


def verdict_page(release: Release, checks: Sequence[Check]) -> str:
    """Return the verdict, the reason for it, the counts and what to do next, as Markdown."""
    manifest = release.manifest
    counts = manifest.counts
    failures = [check for check in _failures_first(checks) if not check.passed]
    blocks = [
        f"# {manifest.name}: {manifest.verdict}",
        _sentence(checks),
        f"Release {code(release.id)} in {code(folder_of(release))}",
        f"{counts.records:,} records gave {counts.train:,} lines to train on and "
        f"{counts.validation:,} to validate with.",
        *map(_paragraph, failures),
        *_decisions(release),
        *_next_step(release),
    ]
    return "\n\n".join(blocks) + "\n"


def check_rows(checks: Sequence[Check]) -> list[Row]:
    """Return a row per check: failures first, then warnings.

    Prefect does not wrap the lines of a table, so that what to do stands on the page alone.
    """
    return [
        {
            "result": check.result,
            "check": check.name,
            "measured": check.measured_in_words,
            "limit": check.limit_in_words,
        }
        for check in _failures_first(checks)
    ]


def stage_rows(manifest: Manifest) -> list[Row]:
    """Return a row per stage: what it took, kept and dropped, and the reasons."""
    return [
        {
            "stage": stage.stage,
            "input": stage.input,
            "dropped": stage.input - stage.kept,
            "kept": stage.kept,
            "reasons": ", ".join(f"{code} {n:,}" for code, n in stage.rejected.items()),
        }
        for stage in manifest.stages
    ]


def folder_of(release: Release) -> str:
    """Return the URI of a release; a path is absolute and without `..`."""
    return release.uri if release.uri.startswith(S3_SCHEME) else str(Path(release.uri).resolve())


def link_to(uri: str) -> str | None:
    """Return a link to an object in the console of AWS; None to a file.

    No browser opens a file for a page that came by HTTP.
    """
    if not uri.startswith(S3_SCHEME):
        return None
    parts = urlsplit(uri)
    return f"{CONSOLE}/{parts.netloc}?prefix={quote(uri.split('/', 3)[3], safe='/')}"


def _sentence(checks: Sequence[Check]) -> str:
    failures = [check for check in checks if check.result == "failed"]
    warnings = [check for check in checks if check.result == "warned"]
    if failures:
        return (
            f"{len(failures)} of {len(checks)} checks failed. The release can be read, but not "
            "trained on. Earlier releases stay as they are."
        )
    if warnings:
        verb = "warns" if len(warnings) == 1 else "warn"
        return f"No check failed; {len(warnings)} of {len(checks)} {verb}."
    return f"All {len(checks)} checks passed."


def _paragraph(check: Check) -> str:
    message, hint = check.message[:1].upper() + check.message[1:], check.hint.rstrip(".")
    return (
        f"**{check.result}** {code(check.name)}: {plain(message)}\n"
        f"- {plain(check.measurement)}\n- what to do: {prose(hint)}."
    )


def _failures_first(checks: Sequence[Check]) -> list[Check]:
    return sorted(checks, key=lambda check: RESULT_ORDER.index(check.result))


def _decisions(release: Release) -> list[str]:
    try:
        decisions = find_decisions(release)
    except SluiceError:
        return ["The decisions about this release cannot be read: see `sluice status`."]
    lines = [f"- {each.verdict} by {plain(signature(each))}, {each.at:%F}" for each in decisions]
    return ["\n".join(["Decisions:", "", *lines])] if lines else []


def _next_step(release: Release) -> list[str]:
    """Return what to do next, and the command for it."""
    folder = folder_of(release)
    if not release.is_passed:
        return [
            "Next: read the report, fix the recipe or the data, and build again. To see records:",
            _command("sluice", "explain", "RECIPE", "--reason", "REASON", "--release", folder),
        ]
    try:
        section = recipe_of(release).approval
        if is_approved(release, section):
            return ["Approved. To train on it:", _command("sluice", "train", folder)]
        needs = unmet_requirements(release, section)
    except SluiceError:
        return ["Next: find out who changed this release (`sluice verify`)."]
    role = ["--role", section.roles[0]] if section.roles else []
    return [
        f"Not approved yet: {plain('; '.join(needs))}. Read the report, then run:",
        _command("sluice", "approve", folder, "--by", "NAME", *role),
    ]


def _command(*words: str) -> str:
    return f"```\n{' '.join(printable(shlex.join(words)).split())}\n```"
