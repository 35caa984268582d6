"""What a guardrail did to an exchange, as the response tells it.

Shape: AWS user guide, "Include a guardrail with the Converse API". Native bodies of every family,
or a chunk of their streams, carry `amazon-bedrock-guardrailAction` and, if the caller asked for it,
`amazon-bedrock-trace`. An intervention may be a masked word, no more: only the trace tells.
"""

import re
from collections.abc import Iterable, Iterator

import msgspec

from bedrock_sluice.transforms.readers.reader import Keys

INPUT, OUTPUT, UNKNOWN_SIDE = "guardrail_input", "guardrail_output", "guardrail_intervened"
OUTPUT_MASKED = "guardrail_masked"

_ENDED = "end_turn"

_STOPPED = msgspec.Raw(b'"guardrail_intervened"')
_INTERVENED = msgspec.Raw(b'"INTERVENED"')
_TRACES = ("trace", "amazon-bedrock-trace")
_MARKS = frozenset({"stopReason", "amazon-bedrock-guardrailAction", *_TRACES})
_SIDES = {INPUT: ("inputAssessment", "input"), OUTPUT: ("outputAssessments", "outputs")}
_EVENTS = ("messageStop", "metadata")

_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_WORD = re.compile(rb"guardrail")  # stands in each key and value that tells of one

# The assessments of any policy have an `action`. A text that was matched is not taken for one, for
# quotes inside of JSON strings are escaped.
_ACTION = re.compile(rb'"action"\s*:\s*"(\w+)"')


def verdict(response: Keys | list[msgspec.Raw]) -> str | None:
    """The stop reason that a guardrail gives a response; None if it leaves it as it is.

    `INPUT` if the prompt was blocked, `OUTPUT` if the response was, `OUTPUT_MASKED` if words of the
    response were masked, `UNKNOWN_SIDE` if that is not told. Where words of the prompt alone were
    masked, the response is whole: native bodies still say how it stopped; of Converse, which does
    not, it is taken that it ended its turn.
    """
    if isinstance(response, dict) and not _MARKS.intersection(response):
        return None  # as nearly all responses are
    parts = list(_parts(response))
    is_stopped = any(part.get("stopReason") == _STOPPED for part in parts)
    has_intervened = is_stopped or any(
        part.get("amazon-bedrock-guardrailAction") == _INTERVENED for part in parts
    )
    actions = {side: set(_actions(parts, keys)) for side, keys in _SIDES.items()}
    is_masked = b"ANONYMIZED" in actions[OUTPUT]
    if not has_intervened:
        return OUTPUT_MASKED if is_masked else None
    if blocked_sides := [side for side in _SIDES if b"BLOCKED" in actions[side]]:
        return blocked_sides[0]
    if is_masked:
        return OUTPUT_MASKED
    if {b"ANONYMIZED"} <= actions[INPUT] | actions[OUTPUT] <= {b"ANONYMIZED", b"NONE"}:
        return _ENDED if is_stopped else None
    return UNKNOWN_SIDE


def _parts(response: Keys | list[msgspec.Raw]) -> Iterator[Keys]:
    """What may tell of a guardrail: the response, or each chunk and what stands in its event."""
    if not isinstance(response, list):
        yield response
        return
    for chunk in filter(_WORD.search, response):
        keys = _keys(chunk)
        yield keys
        yield from (_keys(keys[event]) for event in _EVENTS if event in keys)


def _actions(parts: Iterable[Keys], assessments: Iterable[str]) -> Iterator[bytes]:
    """What was done by each policy to one side, in any of the parts' traces."""
    for part in parts:
        for trace in (_keys(part[name]) for name in _TRACES if name in part):
            trace_keys = _keys(trace.get("guardrail", msgspec.Raw()))
            for name in assessments:
                yield from _ACTION.findall(trace_keys.get(name, b""))


def _keys(value: msgspec.Raw) -> Keys:
    return _OBJECT.decode(value) if bytes(value).startswith(b"{") else {}
