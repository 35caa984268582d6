"""The steps of a build: each takes a plan and frames, asks the pure core, gives frames back."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from bedrock_sluice.expectations.checks import Check
from bedrock_sluice.expectations.gate import judge
from bedrock_sluice.expectations.measures import (
    Wanted,
    chat_of,
    count_groups,
    measure_leakage,
    measure_lines,
    measure_readiness,
    measure_sources,
    measure_split,
    share_tolerance,
)
from bedrock_sluice.flows.grade import Graded
from bedrock_sluice.flows.plan import KEYS, Plan, Reading
from bedrock_sluice.flows.recipe_sections import NormaliseSection
from bedrock_sluice.flows.splitting import split_similarity
from bedrock_sluice.flows.step import Tick
from bedrock_sluice.flows.workers import in_order
from bedrock_sluice.lake.duck import query
from bedrock_sluice.rewards.conformance import line_errors
from bedrock_sluice.rewards.line import instruct
from bedrock_sluice.rewards.line import render as render_lines
from bedrock_sluice.sql import statement
from bedrock_sluice.transforms.budget import MAX_LINES, MIN_LINES
from bedrock_sluice.transforms.chat import JsonObject
from bedrock_sluice.transforms.contamination import index_evaluation
from bedrock_sluice.transforms.fates import Sifted, sift
from bedrock_sluice.transforms.line_changes import escape_lines, mask_lines
from bedrock_sluice.transforms.metadata_filter import describe, parse_filter
from bedrock_sluice.transforms.normalise import normalise as normalise_rows
from bedrock_sluice.transforms.personal_data import SECRETS
from bedrock_sluice.transforms.reasons import Reason
from bedrock_sluice.transforms.tables import BODY_COLUMNS, EXCHANGES, LANDED, TEXT_COLUMNS
from bedrock_sluice.transforms.tokens import estimate_tokens

MAX_TAG_KEYS = 20  # that a report lists
MAX_EVICTED_PERCENT = 10  # of prompts, without a warning
MAX_UNFIT_PERCENT = 10  # of lines that break a rule of the profiles and are dropped
MAX_UNFIT_PERCENT_UNWARNED = 1
MIN_MATCHED_PERCENT = 10  # of prompts that a named source of answers has one for, likewise

_NARROW_LANDED = tuple(name for name in LANDED.names if name not in BODY_COLUMNS)
_NARROW_EXCHANGES = [name for name in EXCHANGES.names if name not in TEXT_COLUMNS]


def select(plan: Plan) -> pl.DataFrame:
    """Judge every landed record of the window: its keys, and the `reason` if it is left out."""
    asked = plan.recipe.select
    clauses = parse_filter(asked.metadata) if asked.metadata else ()
    parameters = {
        "since": plan.recipe.window.since,
        "until": plan.recipe.window.until,
        "operations": list(asked.operations),
        "models": list(asked.models),
        "clauses": [[test.as_parameter() for test in clause] for clause in clauses],
    }
    judged = _ask(plan, "select_v1", parameters)
    failures = {n: f"fails {describe(clause)}" for n, clause in enumerate(clauses, start=1)}
    failed = pl.col("failed_clause").replace_strict(failures, default=None, return_dtype=pl.String)
    return judged.with_columns(pl.coalesce("detail", failed)).drop("failed_clause")


def tag_coverage(plan: Plan) -> dict[str | None, int]:
    """How many records of the window carry each metadata key, the most frequent first.

    None stands for no key at all.
    """
    window = plan.recipe.window
    parameters = {"since": window.since, "until": window.until, "max_keys": MAX_TAG_KEYS}
    return dict(_ask(plan, "tag_coverage_v1", parameters).iter_rows())


def _ask(plan: Plan, name: str, parameters: dict[str, Any]) -> pl.DataFrame:
    """The answer of a statement over the landed rows of the window, without their bodies."""
    problems = list[Exception]()
    landed = plan.landed_reader(_NARROW_LANDED, problems)
    return query(statement(name), {"landed": landed}, parameters, problems)


def normalise(plan: Plan, selected: pl.DataFrame, tick: Tick) -> Sifted:
    """Read the selected records into exchanges, on disk.

    Kept rows are those without their text, with their row number there as `exchange`.
    """
    of_part = [(held.key, n) for n, (_, objects) in enumerate(plan.chosen) for held in objects]
    parts = pl.DataFrame(of_part, schema={"object": pl.String, "part": pl.UInt32}, orient="row")
    lines = selected.select(KEYS).join(parts, on="object").partition_by("part", as_dict=True)
    none = selected.select(KEYS).clear()
    tasks = [
        Normalising(reading, lines.get((n,), none), plan.exchanges_path(n), plan.recipe.normalise)
        for n, reading in enumerate(plan.reading())
    ]
    size = sum(part.entry.size for part, _ in plan.chosen)
    rejected = list[pl.DataFrame]()
    for frame in in_order(normalise_part, tasks, size):
        rejected.append(frame)
        tick(len(rejected), len(tasks))
    narrow = [pq.read_table(task.out, columns=_NARROW_EXCHANGES) for task in tasks]
    kept = pl.DataFrame(pa.concat_tables(narrow)).with_row_index("exchange")
    return Sifted(kept=kept, rejected=pl.concat(rejected))


@dataclass(frozen=True)
class Normalising:
    """One part to read into exchanges: which lines (`object, line`) of it, and where to."""

    reading: Reading
    lines: pl.DataFrame
    out: Path
    asked: NormaliseSection


def normalise_part(task: Normalising) -> pl.DataFrame:
    """Write the exchanges of one part to their file; returns the rows that gave none."""
    rejected = list[pl.DataFrame]()
    with pq.ParquetWriter(task.out, EXCHANGES, compression="zstd") as writer:
        for table in task.reading.rows(LANDED.names):
            rejected.append(_normalise_rows(task, table, writer))
            del table  # it may be large; the next one is read without it
    pa.default_memory_pool().release_unused()
    return pl.concat(rejected)


def _normalise_rows(task: Normalising, table: pa.Table, writer: pq.ParquetWriter) -> pl.DataFrame:
    wanted = pl.DataFrame(table.select(KEYS)).with_row_index("row")
    rows = wanted.join(task.lines, on=KEYS, how="semi", maintain_order="left")["row"]
    landed = table if len(rows) == table.num_rows else table.take(rows.to_arrow())
    read = normalise_rows(landed, keep_reasoning=task.asked.keep_reasoning)
    writer.write_table(read.exchanges)
    return read.rejected


def render(plan: Plan, prompts: pl.DataFrame) -> Sifted:
    """Add each prompt's line, as `json`: masked, and with reserved words broken up, as asked.

    What can't be written as it must be is left out: lines that masking did not make clean, whose
    answer it spoilt, that have become too long, or that break a rule of the profiles (`detail`
    names it).
    """
    lines = _rendered(plan, prompts)
    decoded = [msgspec.json.decode(line) for line in lines["json"]]
    tokens = [estimate_tokens(chat_of(line), line.get("tools") or ()) for line in decoded]
    judged = lines.with_columns(
        fits=pl.Series([bool(plan.template.takes(line)) for line in decoded], dtype=pl.Boolean),
        detail=pl.Series(map(partial(_broken_rule, plan), decoded), dtype=pl.String),
        tokens=pl.Series(tokens, dtype=pl.Int64),
    )
    clean = sift(
        judged,
        [
            (Reason.CURATE_SECRET, pl.col("unclean").is_in(SECRETS)),
            (Reason.CURATE_PERSONAL_DATA, pl.col("unclean").is_not_null()),
            (Reason.CURATE_TOO_LONG, pl.col("tokens") > plan.recipe.curate.max_prompt_tokens),
            (Reason.ANSWER_UNFIT, ~pl.col("fits")),
            (Reason.RENDER_UNFIT, pl.col("detail").is_not_null()),
        ],
    )
    is_unfit = pl.col("reason") == Reason.RENDER_UNFIT.value
    rejected = clean.rejected.with_columns(detail=pl.when(is_unfit).then("detail"))
    return Sifted(clean.kept.drop("unclean", "fits", "detail", "tokens"), rejected)


def _broken_rule(plan: Plan, line: JsonObject) -> str | None:
    """The first rule of the profiles that a line breaks, as `profile/rule`."""
    return next(iter(line_errors(line, plan.profiles)), None)


def _rendered(plan: Plan, prompts: pl.DataFrame) -> pl.DataFrame:
    asked = plan.recipe
    texts = pl.concat(plan.exchanges(("messages", "tools"), prompts))
    whole = prompts.join(texts, on="exchange", how="left", maintain_order="left", validate="1:1")
    whole = whole.with_columns(is_instructed=pl.lit(value=False))
    if asked.template.instruct:
        whole = instruct(whole, plan.template)
    lines = render_lines(whole, asked.template.fields)
    mask, drop = (asked.privacy.kinds_to(action) for action in ("mask", "drop"))
    lines, unclean = mask_lines(lines, prompts["is_clean"], asked.split.salt, mask, drop)
    if asked.quality.reserved_words == "escape":
        lines = escape_lines(lines)
    return prompts.with_columns(lines, unclean, whole["is_instructed"])


@dataclass(frozen=True)
class Judged:
    """What the gate said, and what it counted for the manifest and the report."""

    checks: list[Check]
    facts: dict[str, Any]


def _limits(plan: Plan, lines: pl.DataFrame, evicted: int) -> dict[str, float]:
    share = plan.recipe.split.validation
    tolerance = share_tolerance(count_groups(lines, evicted), share)
    return {
        "min_lines": MIN_LINES,
        "max_lines": MAX_LINES,
        "max_prompt_tokens": plan.recipe.curate.max_prompt_tokens,
        "asked_percent": 100 * share,
        "min_validation_percent": 100 * max(share - tolerance, 0),
        "max_validation_percent": 100 * (share + tolerance),
        "max_evicted_percent": MAX_EVICTED_PERCENT,
        "max_unfit_percent": MAX_UNFIT_PERCENT,
        "max_unfit_percent_unwarned": MAX_UNFIT_PERCENT_UNWARNED,
        "min_matched_percent": MIN_MATCHED_PERCENT,
    }


def gate(
    plan: Plan,
    lines: pl.DataFrame,
    count: Callable[[Reason], int],
    tried: Graded | None,
    facts: Mapping[str, Any],
) -> Judged:
    """Run the suites over the lines as they were rendered.

    `count` tells how many records were dropped for a reason; `tried` is what the grader gave, where
    it was run; `facts` are those of the step `answer`.
    """
    asked, template = plan.recipe, plan.template
    evicted, unfit = count(Reason.SPLIT_JOINED_VALIDATION), count(Reason.RENDER_UNFIT)
    private = asked.privacy.kinds_to("mask") + asked.privacy.kinds_to("drop")
    wanted = Wanted(
        takes=template.takes,
        conforms=lambda line: not line_errors(line, plan.profiles),
        marker=template.marker,
        private=frozenset(private),
    )
    measures = measure_lines(lines["json"], wanted)
    limits = _limits(plan, lines, evicted)
    halves = measure_split(lines, asked.split.validation, evicted, unfit)
    sets = plan.evaluation.items["text"]
    index = index_evaluation(sets) if len(sets) else None
    leaks = measure_leakage(lines, split_similarity(plan), index)
    checks = [
        *judge("lines", measures, limits, lines["request_id"]),
        *judge("split", halves, limits),
        *judge("leakage", leaks, {}, lines["request_id"]),
    ]
    if tried:
        findings = [finding.name for finding in tried.readiness.findings]
        checks += judge("readiness", measure_readiness(findings), {})
    if sources := facts["answer_sources"]:
        measured = measure_sources(sources, facts["answerable"])
        checks += judge("answers", measured, limits, pl.Series(list(sources)))
    certificate = {
        kind: int(leaks[kind].sum()) for kind in ("exact", "prefix", "near", "evaluated")
    }
    certificate["group"] = lines.filter(leaks["group"])["group"].n_unique()
    by_source = lines["reference_source"].value_counts().sort("reference_source")
    counts = {"certificate": certificate, "answers_by_source": dict(by_source.iter_rows())}
    return Judged(checks, counts)
