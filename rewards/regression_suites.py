"""Suites of answers that must not get worse while the score rises: flags per answer.

They look at what a reward function often does not: an answer that is refused, cut into the wrong
shape, in another language than the question, or much longer than those before.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import polars as pl

from bedrock_sluice.rewards.templates.base import Template
from bedrock_sluice.transforms.errors import ConfigError
from bedrock_sluice.transforms.features.languages import tell_languages
from bedrock_sluice.transforms.features.quality_measures import is_refusal

LENGTH_QUANTILE = 0.95  # an answer is too long if it is longer than so many answers of the base

JsonObject = Mapping[str, Any]
Flags = tuple[pl.Series, pl.Series]


def find_failures(
    lines: Sequence[JsonObject],
    base: Sequence[JsonObject],
    tuned: Sequence[JsonObject],
    template: Template,
) -> dict[str, Flags]:
    """Return flags of failing answers by suite, those of the base model first.

    `base` and `tuned` are assistant messages, one per line. A flag is null where the suite does not
    apply: a line without tools, a text whose language cannot be told. A suite that applies nowhere
    is left out.
    """
    answers = base, tuned
    flags: dict[str, Flags] = {
        "format": _pair([_is_unreadable(each, template) for each in side] for side in answers),
        "tools": _pair(
            [_has_wrong_call(line, each) for line, each in zip(lines, side, strict=True)]
            for side in answers
        ),
        "refusals": _pair(is_refusal(_texts(side)).to_list() for side in answers),
        "length": _too_long(*map(_texts, answers)),
        "language": _other_language(lines, *map(_texts, answers)),
    }
    return {name: pair for name, pair in flags.items() if all(each.count() > 0 for each in pair)}


def _pair(sides: Any) -> Flags:
    base, tuned = (pl.Series(side, dtype=pl.Boolean) for side in sides)
    return base, tuned


def answer_text(message: JsonObject) -> str:
    """Return the text of an assistant message; empty where it only calls tools."""
    content = message.get("content")
    return content if isinstance(content, str) else ""


def _texts(messages: Sequence[JsonObject]) -> pl.Series:
    return pl.Series([answer_text(each) for each in messages], dtype=pl.String)


def _is_unreadable(message: JsonObject, template: Template) -> bool:
    """Whether an answer holds nothing that the template can read as one."""
    if not answer_text(message).strip() and not message.get("tool_calls"):
        return True
    return template.from_response(message) is None


def _has_wrong_call(line: JsonObject, message: JsonObject) -> bool | None:
    """Whether a call names a tool that the line does not offer, or its arguments are not JSON."""
    functions = [tool.get("function") or {} for tool in line.get("tools") or ()]
    if not functions:
        return None
    names = {function.get("name") for function in functions}
    calls = [call.get("function") or {} for call in message.get("tool_calls") or ()]
    return any(each.get("name") not in names or not _is_object(each) for each in calls)


def _is_object(function: JsonObject) -> bool:
    arguments = function.get("arguments")
    if isinstance(arguments, dict):
        return True
    try:
        return isinstance(msgspec.json.decode(arguments or ""), dict)
    except (TypeError, ValueError, RecursionError):
        return False


def _too_long(base: pl.Series, tuned: pl.Series) -> Flags:
    sizes = base.str.len_chars(), tuned.str.len_chars()
    limit = sizes[0].quantile(LENGTH_QUANTILE) or 0
    return sizes[0] > limit, sizes[1] > limit


def _other_language(lines: Sequence[JsonObject], base: pl.Series, tuned: pl.Series) -> Flags:
    """Whether an answer is in another language than the last question; null without py3langid."""
    nothing = pl.Series([None] * len(lines), dtype=pl.Boolean)
    questions = pl.Series([question(line) for line in lines], dtype=pl.String)
    try:
        asked_in, *languages = (tell_languages(each) for each in (questions, base, tuned))
    except ConfigError:  # the library is an extra, and nobody asked for this suite by name
        return nothing, nothing
    return languages[0] != asked_in, languages[1] != asked_in


def question(line: JsonObject) -> str:
    """Return the text of the last user message of a line."""
    texts = [each.get("content") for each in line["messages"] if each.get("role") == "user"]
    return texts[-1] if texts and isinstance(texts[-1], str) else ""
