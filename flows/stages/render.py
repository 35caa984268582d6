"""The stage `render`: prompts and their answers to lines."""

import polars as pl

from bedrock_sluice.flows.context import BuildContext
from bedrock_sluice.rewards.conformance.line_rules import LineRules
from bedrock_sluice.rewards.line import instruct
from bedrock_sluice.rewards.line import render as render_lines
from bedrock_sluice.transforms.chat.training_line import TrainingLine, line_tokens
from bedrock_sluice.transforms.dedup.sketches import read_sketches
from bedrock_sluice.transforms.fates import FilterResult, apply_rules
from bedrock_sluice.transforms.privacy.kinds import SECRETS
from bedrock_sluice.transforms.privacy.masking import escape_lines, mask_lines
from bedrock_sluice.transforms.reasons import Reason


def render(context: BuildContext, prompts: pl.DataFrame) -> FilterResult:
    """Add each prompt's line, as `json`: masked, and with reserved words broken up, as asked.

    What can't be written as it must be is left out: lines that masking did not make clean, whose
    answer it spoilt, that have become too long, or that break a rule of the profiles (`detail`
    names it).
    """
    lines = _render_prompts(context, prompts)
    decoded_lines = [TrainingLine(line) for line in lines["json"]]
    rules = LineRules(context.profiles)
    fits = [bool(context.template.accepts(line)) for line in decoded_lines]
    checked_lines = lines.with_columns(
        fits=pl.Series(fits, dtype=pl.Boolean),
        detail=pl.Series(map(rules.first_error, decoded_lines), dtype=pl.String),
        tokens=line_tokens(decoded_lines),
    )
    clean = apply_rules(
        checked_lines,
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


def _render_prompts(context: BuildContext, prompts: pl.DataFrame) -> pl.DataFrame:
    recipe = context.recipe
    texts = _read_texts(context, prompts["exchange"])
    whole = prompts.join(texts, on="exchange", how="left", maintain_order="left", validate="1:1")
    whole = whole.with_columns(is_instructed=pl.lit(value=False))
    if recipe.template.instruct:
        whole = instruct(whole, context.template)
    lines = render_lines(whole, recipe.template.fields)
    mask, drop = (recipe.privacy.kinds_to(action) for action in ("mask", "drop"))
    lines, unclean = mask_lines(lines, prompts["is_clean"], recipe.split.salt, mask, drop)
    if recipe.quality.reserved_words == "escape":
        lines = escape_lines(lines)
    return prompts.with_columns(lines, unclean, whole["is_instructed"])


def _read_texts(context: BuildContext, exchanges: pl.Series) -> pl.DataFrame:
    """Read messages and tools, and keep the marks that were computed of these messages."""
    pieces = list[pl.DataFrame]()
    columns = ("messages", "tools", "path", "turns_sketch")
    for piece in context.exchanges.read(columns, exchanges):
        context.marks.add(piece["messages"], piece["path"], read_sketches(piece["turns_sketch"]))
        pieces.append(piece.drop("path", "turns_sketch"))
    return pl.concat(pieces)
