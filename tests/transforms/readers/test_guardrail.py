"""Guardrails: which side was blocked, what was only masked, and where no trace tells."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from bedrock_sluice.transforms.readers.exchanges import read_bodies

Json = dict[str, Any]
Bodies = tuple[Json, Any]
Wrap = Callable[[Json | None], Bodies]

TOPIC = {"topicPolicy": {"topics": [{"name": "Exams", "type": "DENY", "action": "BLOCKED"}]}}
NAME = {"type": "NAME", "match": 'Ann "action": "BLOCKED"', "action": "ANONYMIZED"}
MASK = {"sensitiveInformationPolicy": {"piiEntities": [NAME], "regexes": []}}
SEEN = {"contentPolicy": {"filters": [{"type": "HATE", "action": "NONE", "detected": True}]}}
NOVEL = {"novelPolicy": {"findings": [{"action": "DELAYED"}]}}

CHAT = {"messages": [{"role": "user", "content": "?"}]}
BLOCKS = {"messages": [{"role": "user", "content": [{"text": "?"}]}]}
SAID = {"role": "assistant", "content": [{"text": "4"}]}
EVENTS: list[Json] = [
    {"messageStart": {"role": "assistant"}},
    {"contentBlockDelta": {"delta": {"text": "4"}, "contentBlockIndex": 0}},
]
STOPPED = {"messageStop": {"stopReason": "guardrail_intervened"}}


def _native(guardrail: Json | None) -> Json:
    trace = {} if guardrail is None else {"amazon-bedrock-trace": {"guardrail": guardrail}}
    return {"amazon-bedrock-guardrailAction": "INTERVENED", **trace}


def _trace(guardrail: Json | None) -> Json:
    return {} if guardrail is None else {"trace": {"guardrail": guardrail}}


def converse(guardrail: Json | None) -> Bodies:
    """Bodies of Converse."""
    response = {"output": {"message": SAID}, "stopReason": "guardrail_intervened"}
    return BLOCKS, response | _trace(guardrail)


def converse_events(guardrail: Json | None) -> Bodies:
    """Bodies of ConverseStream, logged as events."""
    return BLOCKS, [*EVENTS, STOPPED, {"metadata": {"usage": {}, **_trace(guardrail)}}]


def nova_stream(guardrail: Json | None) -> Bodies:
    """Bodies of Nova's native stream."""
    stop = {"messageStop": {"stopReason": "end_turn"}}
    return BLOCKS, [*EVENTS, stop, {"metadata": {"usage": {}}, **_native(guardrail)}]


def claude(guardrail: Json | None) -> Bodies:
    """Bodies of Anthropic Messages."""
    block = {"type": "text", "text": "4"}
    response = {"role": "assistant", "content": [block], "stop_reason": "end_turn"}
    return CHAT, response | _native(guardrail)


def claude_stream(guardrail: Json | None) -> Bodies:
    """Bodies of Anthropic's stream."""
    delta = {"type": "text_delta", "text": "The guardrail held."}
    return CHAT, [
        {"type": "message_start", "message": {}},
        {"type": "content_block_delta", "index": 0, "delta": delta},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}},
        {"type": "message_stop", **_native(guardrail)},
    ]


def chat_chunks(guardrail: Json | None) -> Bodies:
    """Bodies of a streamed chat completion; the guardrail stands in its first chunk."""
    choice = {"delta": {"content": "4"}, "finish_reason": "stop"}
    return CHAT, [{"choices": [], **_native(guardrail)}, {"choices": [choice]}]


def stop_reason(bodies: Bodies) -> str | None:
    """How an exchange ended."""
    request, response = (json.dumps(body).encode() for body in bodies)
    return read_bodies(request, response)[1].stop_reason


EVERY = [converse, converse_events, nova_stream, claude, claude_stream, chat_chunks]


@pytest.mark.parametrize("wrap", EVERY)
@pytest.mark.parametrize(
    ("guardrail", "expected"),
    [
        ({"inputAssessment": {"g1": TOPIC}}, "guardrail_input"),
        ({"inputAssessment": {"g1": MASK, "g2": TOPIC}}, "guardrail_input"),
        ({"inputAssessment": {"g1": MASK | TOPIC}, "outputAssessments": {}}, "guardrail_input"),
        ({"outputAssessments": {"g1": [SEEN, TOPIC]}}, "guardrail_output"),
        ({"outputs": [TOPIC], "input": {"g1": TOPIC}}, "guardrail_input"),
        (
            {"inputAssessment": {"g1": MASK}, "outputAssessments": {"g1": [TOPIC]}},
            "guardrail_output",
        ),
        ({"input": {"g1": TOPIC}, "outputs": []}, "guardrail_input"),
        ({"input": {"g1": SEEN}, "outputs": [{"g1": TOPIC}]}, "guardrail_output"),
        ({"inputAssessment": {"g1": MASK}}, "end_turn"),
        (
            {"inputAssessment": {"g1": SEEN}, "outputAssessments": {"g1": [MASK]}},
            "guardrail_masked",
        ),
        ({"inputAssessment": {"g1": MASK}, "outputs": [{"g1": SEEN | MASK}]}, "guardrail_masked"),
        ({"inputAssessment": {"g1": SEEN}}, "guardrail_intervened"),
        ({"inputAssessment": {"g1": MASK | NOVEL}}, "guardrail_intervened"),
        ({"actionReason": "Guardrail blocked.", "input": {}}, "guardrail_intervened"),
        ({}, "guardrail_intervened"),
        (None, "guardrail_intervened"),
    ],
)
def test_the_trace_tells_what_was_done_to_which_side(
    wrap: Wrap, guardrail: Json | None, expected: str
) -> None:
    assert stop_reason(wrap(guardrail)) == expected


@pytest.mark.parametrize("trace", [None, "enabled", [], {}, {"guardrail": None}, {"guardrail": 7}])
def test_a_trace_of_another_shape_tells_nothing(trace: object) -> None:
    request, response = claude(None)
    assert stop_reason((request, response | {"amazon-bedrock-trace": trace})) == (
        "guardrail_intervened"
    )


def test_where_the_prompt_was_masked_native_bodies_still_say_how_they_stopped() -> None:
    request, response = claude({"inputAssessment": {"g1": MASK}})
    assert stop_reason((request, response | {"stop_reason": "max_tokens"})) == "max_tokens"


@pytest.mark.parametrize("stop", ["end_turn", "guardrail_intervened"])
def test_a_masked_response_is_told_by_its_trace_alone(stop: str) -> None:
    request, response = converse({"outputAssessments": {"g1": [MASK]}})
    assert stop_reason((request, response | {"stopReason": stop})) == "guardrail_masked"


@pytest.mark.parametrize("action", ["NONE", None, 7, {"INTERVENED": True}])
def test_a_guardrail_that_did_nothing_changes_nothing(action: object) -> None:
    trace = {"inputAssessment": {"g1": SEEN}}
    for request, response in (claude(trace), claude_stream(trace)):
        last = response[-1] if isinstance(response, list) else response
        last["amazon-bedrock-guardrailAction"] = action
        assert stop_reason((request, response)) == "end_turn"


def test_what_a_model_says_of_guardrails_is_no_verdict() -> None:
    message = '{"amazon-bedrock-guardrailAction": "INTERVENED"}'
    delta = {"contentBlockDelta": {"delta": {"text": message}, "contentBlockIndex": 0}}
    stop = {"messageStop": {"stopReason": "end_turn"}}
    assert stop_reason((BLOCKS, [EVENTS[0], delta, message, stop])) == "end_turn"
