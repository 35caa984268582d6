"""Stop reasons: only what ended well is good, in the words of every API."""

from collections.abc import Callable
from typing import Any

import botocore.session
import polars as pl
import pytest

from bedrock_sluice.transforms.chat.messages import GOOD_STOP_REASONS, stop_word
from bedrock_sluice.transforms.curate.rules import drop_unteachable
from bedrock_sluice.transforms.readers.exchanges import read_bodies

Make = Callable[[list[dict[str, Any]]], pl.DataFrame]
Bodies = Callable[..., tuple[Any, Any]]

REASONS: dict[str, str | None] = {
    "end_turn": None,
    "tool_use": None,
    "stop_sequence": None,
    "max_tokens": "curate_cut_off",
    "model_context_window_exceeded": "curate_cut_off",
    "guardrail_intervened": "curate_guardrail",
    "content_filtered": "curate_guardrail",
    "malformed_model_output": "curate_malformed",
    "malformed_tool_use": "curate_malformed",
}

WORDS: dict[str, str | None] = {
    # Anthropic Messages and Text Completions
    "pause_turn": "curate_unfinished",
    "refusal": "curate_refusal",
    # OpenAI, and servers of its kind
    "stop": None,
    "tool_calls": None,
    "function_call": None,
    "length": "curate_cut_off",
    "content_filter": "curate_guardrail",
    "error": "curate_unfinished",
    "abort": "curate_unfinished",
    "insufficient_system_resource": "curate_unfinished",
    "cancelled": "curate_unfinished",
    "in_progress": "curate_unfinished",
    "queued": "curate_unfinished",
    # Mistral AI, and AI21
    "model_length": "curate_cut_off",
    "endoftext": None,
    "eos_token": None,
    # Cohere
    "COMPLETE": None,
    "TOOL_CALL": None,
    "STOP_SEQUENCE": None,
    "MAX_TOKENS": "curate_cut_off",
    "ERROR_LIMIT": "curate_cut_off",
    "ERROR_TOXIC": "curate_guardrail",
    "ERROR": "curate_unfinished",
    "TIMEOUT": "curate_unfinished",
    "USER_CANCEL": "curate_unfinished",
    # Amazon Titan
    "FINISH": None,
    "FINISHED": None,
    "STOP_CRITERIA_MET": None,
    "LENGTH": "curate_cut_off",
    "CONTENT_FILTERED": "curate_guardrail",
    "RAG_QUERY_WHEN_RAG_DISABLED": "curate_unfinished",
}


def test_each_stop_reason_of_bedrock_is_settled() -> None:
    model = botocore.session.get_session().get_service_model("bedrock-runtime")
    assert set(model.shape_for("StopReason").metadata["enum"]) == REASONS.keys()


@pytest.mark.parametrize(("word", "reason"), [*REASONS.items(), *WORDS.items()])
def test_only_what_ended_well_is_good(exchanges: Make, word: str, reason: str | None) -> None:
    stop = stop_word(word)
    frame = exchanges([{"stop_reason": stop}])
    result = drop_unteachable(frame, max_prompt_tokens=100, takes_history=False)
    assert result.rejected["reason"].to_list() == ([reason] if reason else [])
    assert (stop in GOOD_STOP_REASONS) == (reason is None)


_CHAT = {"messages": [{"role": "user", "content": "?"}]}
_SAID = {"role": "assistant", "content": "4"}


@pytest.mark.parametrize(
    ("request_body", "response", "stop_reason"),
    [
        (b'{"messages": []}', b'{"choices": [{"message": {"role": "assistant"}}]}', "unfinished"),
        (b'{"messages": []}', b'{"role": "assistant", "content": []}', "unfinished"),
        (b'{"input": "?"}', b'{"output": []}', "unfinished"),
        (b'{"message": "?"}', b'{"text": "4"}', "unfinished"),
        (b'{"prompt": "?"}', b'{"generation": "4"}', "unstated"),
        (b'{"prompt": "?"}', b'[{"generation": "4"}]', "broken_off"),
        (b'{"prompt": "?"}', b'"[{\\"generation\\": \\"4\\"}]"', "broken_off"),
        (b'{"prompt": "?"}', b'{"generation": "4", "stop_reason": 128001}', "stop_sequence"),
    ],
)
def test_where_no_stop_reason_is_stated(
    request_body: bytes, response: bytes, stop_reason: str
) -> None:
    assert read_bodies(request_body, response)[1].stop_reason == stop_reason
