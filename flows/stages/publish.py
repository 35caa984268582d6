"""The last step of a build: write the files of a release, and publish them whole."""

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq

from bedrock_sluice.expectations.checks import Check, encode_checks, is_passed
from bedrock_sluice.expectations.report import render_report
from bedrock_sluice.flows.context import MINUTE, BuildContext
from bedrock_sluice.flows.stages.lineage import Facts, input_facts
from bedrock_sluice.lake.logs.source import partition_of
from bedrock_sluice.lake.releases.release import (
    ID_DIGITS,
    REPORT,
    Release,
    file_digests,
    newest_release,
    release_digest,
)
from bedrock_sluice.lake.releases.release import publish as publish_files
from bedrock_sluice.lake.releases.split_history import SPLIT_RULES
from bedrock_sluice.transforms.release_content import (
    count_fates,
    encode_lines,
    provenance_of,
    unknown_shapes,
)
from bedrock_sluice.transforms.split import TRAIN, VALIDATION

FORMAT = 1
OPEN_DATE = "0000-00-00"  # of logs that do not lie in folders by the hour
LIBRARIES = (
    *("duckdb", "great-expectations", "jinja2", "jmespath", "jsonschema", "msgspec", "numpy"),
    *("polars", "pyarrow", "scipy"),
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a build came to: its lines, the fate of every record, the gate's checks, the counts."""

    lines: pl.DataFrame
    fates: pl.DataFrame
    checks: Sequence[Check]
    stages: Sequence[Facts]
    matched_without_key: int
    tags: Mapping[str | None, int]
    facts: Facts


def publish(context: BuildContext, outcome: Outcome) -> Release:
    """Write an outcome as a release; the same outcome publishes the same one."""
    counts = count_fates(outcome.fates)
    facts = {
        "verdict": "passed" if is_passed(outcome.checks) else "rejected",
        "stages": list(outcome.stages),
        "matched_without_key": outcome.matched_without_key,
        "untagged": outcome.tags.get(None, 0),
        "tags": {key: number for key, number in outcome.tags.items() if key is not None},
        "unknown_shapes": unknown_shapes(outcome.fates),
        **outcome.facts,
    }
    record_counts = {name: counts[name] for name in ("records", TRAIN, VALIDATION)}
    files = _write(context, outcome)
    inputs = input_facts(context)
    digest = release_digest(inputs["recipe_digest"], file_digests(files))
    release_id = f"{_until(context)}-{digest[:ID_DIGITS]}"
    page = render_report(
        _about(context, release_id, digest) | facts | record_counts, outcome.checks
    )
    files[REPORT] = context.work / REPORT
    files[REPORT].write_text(page, encoding="utf-8")
    manifest = {
        "format": FORMAT,
        "name": context.recipe.name,
        "id": release_id,
        "digest": digest,
        "recipe": context.recipe.dump(),
        **inputs,
        "counts": counts,
        "files": file_digests(files),
        "versions": _versions(),
        "parent": _parent(context, release_id),
        **{name: fact for name, fact in facts.items() if name != "slices"},  # whose prompts
    }
    return publish_files(context.lake, manifest, files)


def _write(context: BuildContext, outcome: Outcome) -> dict[str, Path]:
    """The files of the release in the work folder, by name: all but its report."""
    lines = outcome.lines
    texts = {
        "train.jsonl": encode_lines(lines, TRAIN),
        "validation.jsonl": encode_lines(lines, VALIDATION),
        "checks.json": encode_checks(outcome.checks),
    }
    for name, content in texts.items():
        (context.work / name).write_bytes(content)
    salt = context.recipe.split.salt
    tables = {"fates.parquet": outcome.fates, "provenance.parquet": provenance_of(lines, salt)}
    for name, frame in tables.items():
        pq.write_table(frame.to_arrow(), context.work / name, compression="zstd")
    return {name: context.work / name for name in (*texts, *tables)}


def _about(context: BuildContext, release_id: str, digest: str) -> Facts:
    window = context.recipe.window
    return {
        "id": release_id,
        "digest": digest,
        "approve": f"sluice approve LAKE/releases/{context.recipe.name}/{release_id} --by NAME",
        "name": context.recipe.name,
        "template": context.recipe.template.name,
        "since": window.since and f"{window.since:{MINUTE}}",
        "until": window.until and f"{window.until:{MINUTE}}",
        "privacy": context.recipe.privacy.actions(),
    }


def _until(context: BuildContext) -> str:
    """The date in a release's id: the end of the window, or the day of the last delivery."""
    if context.recipe.window.until:
        return f"{context.recipe.window.until:%Y-%m-%d}"
    hours = [
        partition_of(landed_object.key).split("/")[2:5]
        for landed_object in context.landed.objects()
    ]
    return "-".join(max(hours)) or OPEN_DATE


def _versions() -> dict[str, str]:
    library_versions = {name: version(name) for name in ("bedrock-sluice", *LIBRARIES)}
    return {"python": platform.python_version(), **library_versions}


def _parent(context: BuildContext, release_id: str) -> str | None:
    """The newest release of the same dataset: of this name, and split by the same rules."""
    rules = {SPLIT_RULES: context.recipe.split_rules()}
    parent = newest_release(context.lake, context.recipe.name, rules)
    return parent.id if parent and parent.id != release_id else None
