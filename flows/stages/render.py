"""The stage `render`: prompts and their answers to lines."""

from dataclasses import dataclass
from functools import partial

import polars as pl

from bedrock_sluice.flows.context import BuildContext
from bedrock_sluice.flows.running.exchange_work import map_exchanges
from bedrock_sluice.flows.stages.features import find_sketches
from bedrock_sluice.rewards.conformance.line_rules import LineRules
from bedrock_sluice.rewards.line import instruct
from bedrock_sluice.rewards.line import render as render_lines
from bedrock_sluice.rewards.profiles import profile_named
from bedrock_sluice.rewards.templates.base import Template
from bedrock_sluice.transforms.chat.training_line import TrainingLine, line_tokens
from bedrock_sluice.transforms.dedup.line_marks import digest_messages
from bedrock_sluice.transforms.fates import FilterResult, apply_rules
from bedrock_sluice.transforms.privacy.kinds import SECRETS
from bedrock_sluice.transforms.privacy.masking import escape_lines, mask_lines
from bedrock_sluice.transforms.reasons import Reason

_PROMPT_COLUMNS = (
    *("exchange", "request_id", "request_metadata", "reference_answer", "passthrough", "is_clean"),
)
_RENDERED_LINES = pl.Schema(
    {
        "exchange": pl.UInt32,
        "json": pl.String,
        "is_instructed": pl.Boolean,
        "unclean": pl.String,
        "fits": pl.Boolean,
        "detail": pl.String,
        "tokens": pl.Int64,
        "messages_digest": pl.Binary,
    }
)
"""A line, what speaks against it, and the digest of the messages as they were logged."""


@dataclass(frozen=True)
class LineSettings:
    """What a recipe decides about lines; data to send to workers."""

    template: Template
    profiles: tuple[str, ...]
    fields: tuple[str, ...]
    has_instruction: bool
    escapes_words: bool  # that validators reserve
    salt: str
    mask: tuple[str, ...]  # kinds of personal data and secrets
    drop: tuple[str, ...]


def render(context: BuildContext, prompts: pl.DataFrame) -> FilterResult:
    """Add each prompt's line, as `json`: masked, and with reserved words broken up, as asked.

    What can't be written as it must be is left out: lines that masking did not make clean, whose
    answer it spoilt, that have become too long, or that break a rule of the profiles (`detail`
    names it).
    """
    work = partial(render_rows, _settings(context))
    rows = prompts.select(name for name in _PROMPT_COLUMNS if name in prompts.columns)
    pieces = map_exchanges(context.exchanges, rows, ("messages", "tools"), work)
    rendered_lines = pl.concat([_RENDERED_LINES.to_frame(), *pieces])
    _keep_marks(context, rendered_lines)
    lines = prompts.join(
        rendered_lines.drop("messages_digest"),
        on="exchange",
        how="left",
        maintain_order="left",
        validate="1:1",
    )
    clean = apply_rules(
        lines,
        [
            (Reason.CURATE_SECRET, pl.col("unclean").is_in(SECRETS)),
            (Reason.CURATE_PERSONAL_DATA, pl.col("unclean").is_not_null()),
            (Reason.CURATE_TOO_LONG, pl.col("tokens") > context.recipe.curate.max_prompt_tokens),
            (Reason.ANSWER_UNFIT, ~pl.col("fits")),
            (Reason.RENDER_UNFIT, pl.col("detail").is_not_null()),
        ],
    )
    is_unfit = pl.col("reason") == Reason.RENDER_UNFIT.value
    rejected = clean.rejected.with_columns(detail=pl.when(is_unfit).then("detail"))
    return FilterResult(clean.kept.drop("unclean", "fits", "detail", "tokens"), rejected)


def _settings(context: BuildContext) -> LineSettings:
    recipe = context.recipe
    return LineSettings(
        template=context.template,
        profiles=tuple(profile.name for profile in context.profiles),
        fields=tuple(recipe.template.fields),
        has_instruction=recipe.template.instruct,
        escapes_words=recipe.quality.reserved_words == "escape",
        salt=recipe.split.salt,
        mask=tuple(recipe.privacy.kinds_to("mask")),
        drop=tuple(recipe.privacy.kinds_to("drop")),
    )


def render_rows(settings: LineSettings, prompts: pl.DataFrame) -> pl.DataFrame:
    """Write the lines of prompts that have their `messages` and `tools`; judge each."""
    digests = [digest_messages(text.encode()) for text in prompts["messages"]]
    whole = prompts.with_columns(is_instructed=pl.lit(value=False))
    if settings.has_instruction:
        whole = instruct(whole, settings.template)
    texts = render_lines(whole, settings.fields)
    masking = (settings.salt, settings.mask, settings.drop)
    texts, unclean = mask_lines(texts, prompts["is_clean"], *masking)
    if settings.escapes_words:
        texts = escape_lines(texts)
    lines = [TrainingLine(text) for text in texts]
    rules = LineRules([profile_named(name) for name in settings.profiles])
    fits = [bool(settings.template.accepts(line)) for line in lines]
    return whole.select(
        "exchange",
        texts.alias("json"),
        "is_instructed",
        unclean.alias("unclean"),
        pl.Series("fits", fits, dtype=pl.Boolean),
        pl.Series("detail", map(rules.first_error, lines), dtype=pl.String),
        line_tokens(lines).alias("tokens"),
        pl.Series("messages_digest", digests, dtype=pl.Binary),
    )


def _keep_marks(context: BuildContext, lines: pl.DataFrame) -> None:
    """Keep the marks that were computed of these messages, so that leakage need not again."""
    paths = pl.concat(context.exchanges.read(("path",), lines["exchange"]))["path"]
    sketches = find_sketches(context, lines["exchange"], "turns")
    context.marks.add(lines["messages_digest"].to_list(), paths, sketches)
