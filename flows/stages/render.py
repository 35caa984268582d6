"""The stage `render`: prompts and their answers to lines."""

from functools import partial

import msgspec
import polars as pl

from bedrock_sluice.flows.context import BuildContext
from bedrock_sluice.rewards.conformance.check import line_errors
from bedrock_sluice.rewards.line import instruct
from bedrock_sluice.rewards.line import render as render_lines
from bedrock_sluice.transforms.chat.messages import JsonObject, chat_of
from bedrock_sluice.transforms.chat.tokens import estimate_tokens
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
    parsed_lines = [msgspec.json.decode(line) for line in lines["json"]]
    tokens = [estimate_tokens(chat_of(line), line.get("tools") or ()) for line in parsed_lines]
    checked_lines = lines.with_columns(
        fits=pl.Series(
            [bool(context.template.accepts(line)) for line in parsed_lines], dtype=pl.Boolean
        ),
        detail=pl.Series(map(partial(_broken_rule, context), parsed_lines), dtype=pl.String),
        tokens=pl.Series(tokens, dtype=pl.Int64),
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


def _broken_rule(context: BuildContext, line: JsonObject) -> str | None:
    """The first rule of the profiles that a line breaks, as `profile/rule`."""
    return next(iter(line_errors(line, context.profiles)), None)


def _render_prompts(context: BuildContext, prompts: pl.DataFrame) -> pl.DataFrame:
    recipe = context.recipe
    texts = pl.concat(context.exchanges.read(("messages", "tools"), prompts["exchange"]))
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
