"""Exchanges to lines whose reference answer is the logged response: no labels, no curation."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec
import polars as pl

from bedrock_sluice.rewards.conformance.check import line_errors
from bedrock_sluice.rewards.conformance.profile import Profile
from bedrock_sluice.rewards.line import render
from bedrock_sluice.rewards.profiles import profile_named
from bedrock_sluice.rewards.templates.base import Reference, Template
from bedrock_sluice.transforms.chat.messages import Exchange, JsonObject, json_text
from bedrock_sluice.transforms.curate.rules import drop_unteachable
from bedrock_sluice.transforms.readers.normalise import measure
from bedrock_sluice.transforms.reasons import Reason

_NO_LIMIT = 2**62  # of prompt tokens: the limit is a recipe's
_PROMPT_COLUMNS = ("request_id", "messages", "tools", "reference_answer", "request_metadata")
_PROMPTS = pl.Schema({name: pl.String() for name in _PROMPT_COLUMNS})


class ResponseLine(NamedTuple):
    """The line of an exchange, or the code of the reason why it has none."""

    line: JsonObject | None
    reason: str | None = None
    detail: str | None = None


def response_lines(
    exchanges: Sequence[tuple[str, Exchange]], template: Template
) -> Iterator[ResponseLine]:
    """Yield what each exchange becomes, given with its request id, as a build would render it.

    The prompt and the response must be such that a build would take them, and the line must fit the
    template's grader and its profiles.
    """
    chats = [exchange for _, exchange in exchanges]
    rows = [
        {**measures._asdict(), "stop_reason": exchange.stop_reason, "has_media": exchange.has_media}
        for exchange, measures in zip(chats, measure(chats), strict=True)
    ]
    # The rules read flags and counts; the marks of conversations are of no use here.
    flags = [{k: v for k, v in row.items() if isinstance(v, bool | int | str)} for row in rows]
    frame = pl.DataFrame(flags, infer_schema_length=None).with_row_index("row")
    result = drop_unteachable(
        frame.with_columns(label=pl.lit(None, pl.String)),
        max_prompt_tokens=_NO_LIMIT,
        takes_history=True,
    )
    reasons = dict(result.rejected.select("row", "reason").iter_rows())
    references = [
        None if row in reasons else template.from_response(msgspec.to_builtins(exchange.response))
        for row, (_, exchange) in enumerate(exchanges)
    ]
    prompts = [
        _prompt(request_id, exchange, reference)
        for (request_id, exchange), reference in zip(exchanges, references, strict=True)
        if reference is not None
    ]
    texts = iter(render(pl.DataFrame(prompts, schema=_PROMPTS), fields=()))
    profiles = [profile_named(name) for name in template.profiles]
    for row, reference in enumerate(references):
        if row in reasons:
            yield ResponseLine(None, reasons[row])
        elif reference is None:
            yield ResponseLine(None, Reason.ANSWER_UNFIT.value)
        else:
            yield _fit(msgspec.json.decode(next(texts)), template, profiles)


def _prompt(request_id: str, exchange: Exchange, reference: Reference) -> dict[str, str | None]:
    return {
        "request_id": request_id,
        "messages": json_text(exchange.messages),
        "tools": json_text(exchange.tools) if exchange.tools else None,
        "reference_answer": json_text(reference),
        "request_metadata": None,
    }


def _fit(line: JsonObject, template: Template, profiles: Sequence[Profile]) -> ResponseLine:
    if not template.accepts(line):
        return ResponseLine(None, Reason.ANSWER_UNFIT.value)
    rule = next(iter(line_errors(line, profiles)), None)
    return ResponseLine(None, Reason.RENDER_UNFIT.value, rule) if rule else ResponseLine(line)
