"""Releases of logs that are hostile and private, and every page about them.

Payloads (`HOSTILE_TEXTS`) stand in prompts, responses, metadata, model ids, callers, request ids
and names of log objects. Canaries stand in prompts, responses, and values and keys of metadata.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

from typer.testing import CliRunner

from bedrock_sluice.cli import app
from bedrock_sluice.expectations.checks import Check, Limit, Severity
from bedrock_sluice.flows.context import open_context
from bedrock_sluice.flows.pipeline import build
from bedrock_sluice.lake.releases.release import Release
from support.command_line import RECIPE
from support.hostile_texts import HOSTILE_TEXTS
from support.logs import REGION, Json, make_object, make_record, make_records
from support.releases import approve

NOON = datetime(2026, 10, 1, 12, tzinfo=UTC)
OPTIONS = '[privacy]\nsecrets = "report"\npersonal_data = "report"\n'
NO_NEAR = "[curate]\nnear_duplicates = false\n"
NARROW = '[select]\nmetadata = { notEquals = { part = "private" } }\n'

LONG_WORD = "Wide" * 50
COMMON_WORD = "wordcanarycommon"
PRIVATE = tuple(
    text
    for n in range(10)
    for text in (
        f"canary{n}.bird@example.org",
        f"+1415555013{n}",
        f"AKIAIOSFODNN7EXAMQ{n}E",
        f"canary-{n}@mail.example.net",
    )
)
"""40 texts that detectors know: they are masked, whatever the recipe leaves in the lines."""

WORDS = (COMMON_WORD, *(f"wordcanary{letter * 4}" for letter in "abcdefghijklmnopqrstuvwxyz"))
"""Texts that no detector knows: they stand only where text of lines is shown."""


@dataclass(frozen=True, slots=True)
class HostileReleases:
    """An approved release, a rejected one, and the next one, with which private records came in.

    `log` is what the builds logged, at the level DEBUG.
    """

    recipe: Path
    baseline: Release
    newest: Release
    failure: Release
    log: str


def build_hostile_releases(folder: Path) -> HostileReleases:
    """Write the logs below a folder and build three releases of them, with planned checks."""
    _write_logs(folder / "logs")
    recipe = folder / "sums.toml"
    with _log_of_builds() as log:
        recipe.write_text(RECIPE + OPTIONS + NO_NEAR + NARROW)
        baseline = _build(recipe, [_check("fine", is_passed=True)])
        approve(baseline, HOSTILE_TEXTS[0])
        recipe.write_text(RECIPE + OPTIONS + NO_NEAR + "[split]\nmax_lines = 60\n")
        failing = [_check("broken"), _check("doubtful", "warn"), _check("fine", is_passed=True)]
        failure = _build(recipe, failing)
        recipe.write_text(RECIPE + OPTIONS + NO_NEAR)
        newest = _build(recipe, [_check("doubtful", "warn"), _check("fine", is_passed=True)])
    return HostileReleases(recipe, baseline, newest, failure, log.getvalue())


def write_pages(releases: HostileReleases, folder: Path) -> dict[str, Path]:
    """Write every page about the releases to a folder with the command line, and return them."""
    newest, failure = releases.newest.uri, releases.failure.uri
    request_id = f"{HOSTILE_TEXTS[6]}-1006"
    commands: dict[str, Sequence[str]] = {
        **{
            f"report-{content}": ("report", newest, "--no-open", "--content", content, "--out")
            for content in ("full", "masked", "none")
        },
        "rejected": ("report", failure, "--no-open", "--out"),
        "diff": ("diff", releases.baseline.uri, newest, "--page"),
        "explain": ("explain", str(releases.recipe), request_id, "--page"),
        "sheet": ("review", "sheet", newest, "--lines", "60", "--sample", "30", "--out"),
    }
    pages = {name: folder / f"{name}.html" for name in commands}
    for name, command in commands.items():
        result = CliRunner().invoke(app.app, [*command, str(pages[name])])
        assert pages[name].exists(), (name, result.output, result.exception)
    return pages | {"index": Path(releases.newest.uri).parent / "index.html"}


def _write_logs(folder: Path) -> None:
    hour = folder / REGION / "2026/10/01/12"
    hour.mkdir(parents=True)
    plain = [*make_records(60, NOON), *_private(), *_hostile(3_000, LONG_WORD)]
    (hour / "plain.json.gz").write_bytes(make_object(plain))
    for n, payload in enumerate(HOSTILE_TEXTS, start=1_000):
        name = "".join(c for c in payload if c not in "/\0")
        (hour / f"{name}.json.gz").write_bytes(make_object(_hostile(n, payload)))


def _hostile(number: int, payload: str) -> list[Json]:
    """A good record, and one without an id, which is quarantined and named by its log object."""
    good = make_record(
        ask=f"{payload} What is {number} plus {number}? End with #### and the number.",
        reply=f"{payload}\n#### {2 * number}",
        request_id=f"{payload}-{number}",
        metadata={"app": payload, payload: payload},
        modelId=payload,
        identity={"arn": payload},
        at=NOON,
    )
    bad = make_record(request_id="", at=NOON, errorCode=payload, metadata={"app": payload})
    return [good, bad]


def _private() -> Iterator[Json]:
    for n, canary in enumerate(PRIVATE, start=2_000):
        word = WORDS[n % len(WORDS)]
        yield make_record(
            ask=f"{COMMON_WORD} {word} {canary}: what is {n} plus {n}? End with #### number",
            reply=f"{word} {canary} says\n#### {2 * n}",
            request_id=f"private-{n}",
            metadata={"app": canary, canary: "yes", f"key of {canary}": "yes", "part": "private"},
            at=NOON,
        )


@contextmanager
def _log_of_builds() -> Iterator[StringIO]:
    log = StringIO()
    handler, root = logging.StreamHandler(log), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield log
    finally:
        root.setLevel(level)
        root.removeHandler(handler)


def _build(recipe: Path, results: list[SimpleNamespace]) -> Release:
    place = "bedrock_sluice.flows.stages.gate.evaluate_suites"
    with patch(place, lambda _: results), open_context(recipe) as context:
        return build(context)


def _check(name: str, severity: Severity = "fail", *, is_passed: bool = False) -> SimpleNamespace:
    """The result of a check; its examples are request ids, as callers may choose them."""
    check = Check(
        name=name,
        message=f"lines are {name}",
        severity=severity,
        passed=is_passed,
        measured=16.25,
        limit=Limit(5, 15),
        unit="% of lines",
        examples=[] if is_passed else [f"{each}-1" for each in HOSTILE_TEXTS[:9]],
        hint="See them: `sluice explain RECIPE`",
    )
    return SimpleNamespace(check=check, failing_ids=check.examples)
