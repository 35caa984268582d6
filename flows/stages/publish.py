"""The last step of a build: write the files of a release, and publish them whole."""

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from importlib.metadata import version
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq

from bedrock_sluice.expectations.checks import Check, encode_checks, is_passed
from bedrock_sluice.expectations.report import render_report
from bedrock_sluice.flows.context import BuildContext
from bedrock_sluice.flows.stages.lineage import Facts, input_facts
from bedrock_sluice.lake.logs.source import partition_of
from bedrock_sluice.lake.releases.releases import (
    ID_DIGITS,
    REPORT,
    Release,
    file_digests,
    newest_release,
    release_digest,
)
from bedrock_sluice.lake.releases.releases import publish as publish_files
from bedrock_sluice.lake.releases.split_history import SPLIT_RULES
from bedrock_sluice.transforms.reasons import Reason
from bedrock_sluice.transforms.split import TRAIN, VALIDATION
from bedrock_sluice.transforms.tables import PROVENANCE

FORMAT = 1
MAX_SHAPES = 10  # of unknown ones that a report lists
OPEN_DATE = "0000-00-00"  # of logs that do not lie in folders by the hour
LIBRARIES = (
    *("duckdb", "great-expectations", "jinja2", "jsonschema", "msgspec", "numpy", "polars"),
    *("pyarrow", "scipy"),
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
    curation: Facts


def publish(context: BuildContext, outcome: Outcome) -> Release:
    """Write an outcome as a release; the same outcome publishes the same one."""
    counts = _counts(outcome.fates)
    facts = {
        "verdict": "passed" if is_passed(outcome.checks) else "rejected",
        "stages": list(outcome.stages),
        "matched_without_key": outcome.matched_without_key,
        "untagged": outcome.tags.get(None, 0),
        "tags": {key: number for key, number in outcome.tags.items() if key is not None},
        "unknown_shapes": _unknown_shapes(outcome.fates),
        **outcome.curation,
    }
    shown = {name: counts[name] for name in ("records", TRAIN, VALIDATION)}
    files = _write(context, outcome)
    inputs = input_facts(context)
    digest = release_digest(inputs["recipe_digest"], file_digests(files))
    release_id = f"{_until(context)}-{digest[:ID_DIGITS]}"
    page = render_report(_about(context, release_id, digest) | facts | shown, outcome.checks)
    files[REPORT] = context.work / REPORT
    files[REPORT].write_text(page, encoding="utf-8")
    manifest = {
        "format": FORMAT,
        "name": context.recipe.name,
        "id": release_id,
        "digest": digest,
        "recipe": context.recipe.written(),
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
        "train.jsonl": _jsonl(lines, TRAIN),
        "validation.jsonl": _jsonl(lines, VALIDATION),
        "checks.json": encode_checks(outcome.checks),
    }
    for name, content in texts.items():
        (context.work / name).write_bytes(content)
    salt = context.recipe.split.salt
    tables = {"fates.parquet": outcome.fates, "provenance.parquet": _provenance(lines, salt)}
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
        "since": window.since and f"{window.since:%Y-%m-%d %H:%M}",
        "until": window.until and f"{window.until:%Y-%m-%d %H:%M}",
        "privacy": context.recipe.privacy.actions(),
    }


def _jsonl(lines: pl.DataFrame, side: str) -> bytes:
    texts = lines.filter(pl.col("split") == side)["json"]
    return "".join(f"{line}\n" for line in texts).encode()


def _provenance(lines: pl.DataFrame, salt: str) -> pl.DataFrame:
    """The provenance of the lines. A group may be a metadata value, so its keyed hash stands in."""
    names = lines["group"].unique()
    hashes = [blake2b(n.encode(), key=salt.encode(), digest_size=16).hexdigest() for n in names]
    groups = pl.col("group").replace_strict(names, hashes, return_dtype=pl.String)
    named = lines.with_columns(groups, id=pl.col("request_id"))
    return named.select(pl.col(name).cast(kind) for name, kind in PROVENANCE.items())


def _counts(fates: pl.DataFrame) -> Facts:
    sides = dict(fates["fate"].value_counts().iter_rows())

    def reasons(fate: str) -> dict[str, int]:
        of_fate = fates.filter(pl.col("fate") == fate)
        return dict(of_fate["reason"].value_counts().sort("reason").iter_rows())

    return {
        "records": fates.height,
        "train": sides.get(TRAIN, 0),
        "validation": sides.get(VALIDATION, 0),
        "dropped": reasons("dropped"),
        "quarantined": reasons("quarantined"),
    }


def _unknown_shapes(fates: pl.DataFrame) -> list[Facts]:
    """What bodies that no reader knows look like, the most frequent first."""
    unknown = fates.filter(pl.col("reason") == Reason.DECODE_UNKNOWN_SHAPE.value)
    counted = unknown.group_by(shape="detail").agg(records=pl.len())
    return counted.sort("records", "shape", descending=[True, False]).head(MAX_SHAPES).to_dicts()


def _until(context: BuildContext) -> str:
    """The date in a release's id: the end of the window, or the day of the last delivery."""
    if context.recipe.window.until:
        return f"{context.recipe.window.until:%Y-%m-%d}"
    hours = [partition_of(held.key).split("/")[2:5] for held in context.landed.objects()]
    return "-".join(max(hours)) or OPEN_DATE


def _versions() -> dict[str, str]:
    installed = {name: version(name) for name in ("bedrock-sluice", *LIBRARIES)}
    return {"python": platform.python_version(), **installed}


def _parent(context: BuildContext, release_id: str) -> str | None:
    """The newest release of the same dataset: of this name, and split by the same rules."""
    rules = {SPLIT_RULES: context.recipe.split_rules()}
    parent = newest_release(context.lake, context.recipe.name, rules)
    return parent.id if parent and parent.id != release_id else None
