"""Conversion in Python: log records to chat messages, or to lines of a template."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from msgspec import to_builtins

from bedrock_sluice.flows.conversion import (
    ChatLine,
    Record,
    Row,
    find_logs,
    read_logs,
    read_records,
)
from bedrock_sluice.rewards.response_lines import response_lines
from bedrock_sluice.rewards.templates.base import Template, template_named
from bedrock_sluice.transforms.chat.messages import Exchange
from bedrock_sluice.transforms.reasons import Reason

_MESSAGES = {reason.value: reason.message for reason in Reason}

BATCH = 256  # records; rules are applied to frames, which cost the same for one row


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversion:
    """What one record became: a `line`, or None and the `reason` of docs/reasons.md.

    `object` and `number` say where a record that could not be converted was logged: its log object
    and its line there, or `records` and its number, from 1. `detail` says more than the reason.
    """

    request_id: str | None
    line: dict[str, Any] | None = None
    reason: str | None = None
    detail: str | None = None
    object: str | None = None
    number: int | None = None

    @property
    def message(self) -> str:
        """What happened to the record, in a sentence."""
        return _MESSAGES[self.reason] if self.reason else "it became a line"


def convert(
    source: str | Path | Iterable[Record], *, template: str | None = None
) -> Iterator[Conversion]:
    """Convert log records one by one, without a recipe, a lake or curation.

    `source` is a file, a folder or an `s3://` URI of logs, or an iterable of records: mappings, or
    JSON text. Every record is yielded, converted or not; an object with very many unreadable lines
    counts as one.

    Without a template, a line is what `sluice convert` writes. With one, it is what a build would
    render with the logged response as the reference answer.

        >>> from bedrock_sluice import convert
        >>> lines = [each.line for each in convert("sluice-demo/logs") if each.line]
        >>> list(lines[0])[:3]
        ['request_id', 'timestamp', 'model_id']

        >>> [(each.line, each.reason) for each in convert(["not a record"])]
        [(None, 'decode_bad_json')]

    Raises:
        SluiceError: there are no logs, or no template of that name.
    """
    chosen_template = template_named(template) if template else None
    if isinstance(source, str | Path):
        outcomes = read_logs(find_logs(str(source), []))
    else:
        outcomes = read_records(source)
    return _render(outcomes, chosen_template) if chosen_template else map(_conversion, outcomes)


def _conversion(outcome: ChatLine | Row) -> Conversion:
    if isinstance(outcome, ChatLine):
        return Conversion(request_id=outcome.request_id, line=to_builtins(outcome))
    names = ("request_id", "reason", "detail", "object")
    return Conversion(number=outcome["line"], **{name: outcome[name] for name in names})


def _render(outcomes: Iterator[ChatLine | Row], template: Template) -> Iterator[Conversion]:
    while batch := list(islice(outcomes, BATCH)):
        chats = [each for each in batch if isinstance(each, ChatLine)]
        results = response_lines([(each.request_id, _exchange(each)) for each in chats], template)
        for outcome in batch:
            if isinstance(outcome, ChatLine):
                result = next(results)._asdict()
                yield Conversion(request_id=outcome.request_id, **result)
            else:
                yield _conversion(outcome)


def _exchange(chat: ChatLine) -> Exchange:
    return Exchange(chat.messages, chat.response, chat.tools, chat.stop_reason or "")
