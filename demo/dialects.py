"""Dialects for the demo: one talk with a model, as the request and response bodies of an API.

The shapes are those that `transforms/readers` reads.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

ACCOUNT = "444455556666"
REGION = "us-east-1"
SYSTEM = (
    "You are a patient tutor of arithmetic. Show your work, one step a line, and end with a line "
    "'#### <number>' that holds the result alone."
)
TOPICS = ("Adding and subtracting", "Multiplying and dividing", "Measures", "Money")
MAX_TOKENS = 600
CHARS_PER_TOKEN = 4

Json = dict[str, Any]
Bodies = tuple[Json, Json]  # of the request and the response


class Talk(NamedTuple):
    """Turns of user and assistant, of which the last is the user's, and the reply to them."""

    turns: tuple[str, ...]
    reply: str
    stop: str = "end_turn"  # in Converse's words

    def messages(self, content: Callable[[str], object]) -> list[Json]:
        """Return the turns as messages, with their text wrapped by `content`."""
        roles = ("user", "assistant")
        return [{"role": roles[n % 2], "content": content(t)} for n, t in enumerate(self.turns)]

    def tokens(self) -> tuple[int, int]:
        """Estimate the numbers of input and output tokens."""
        input_chars = sum(map(len, (SYSTEM, *self.turns)))
        return input_chars // CHARS_PER_TOKEN, len(self.reply) // CHARS_PER_TOKEN


def _converse(talk: Talk, model_id: str) -> Bodies:
    request, response = _nova(talk, model_id)
    return request, response | {"metrics": {"latencyMs": 300 + 7 * talk.tokens()[1]}}


def _nova(talk: Talk, _model_id: str) -> Bodies:
    input_tokens, output_tokens = talk.tokens()
    request = {
        "system": [{"text": SYSTEM}],
        "messages": talk.messages(lambda text: [{"text": text}]),
        "inferenceConfig": {"maxTokens": MAX_TOKENS, "temperature": 0.3},
    }
    response = {
        "output": {"message": {"role": "assistant", "content": [{"text": talk.reply}]}},
        "stopReason": talk.stop,
        "usage": {
            "inputTokens": input_tokens,
            "outputTokens": output_tokens,
            "totalTokens": input_tokens + output_tokens,
        },
    }
    return request, response


def _anthropic_text(talk: Talk, _model_id: str) -> Bodies:
    input_tokens, output_tokens = talk.tokens()
    request = {
        "anthropic_version": "bedrock-2023-05-31",
        "max_tokens": MAX_TOKENS,
        "system": SYSTEM,
        "messages": talk.messages(str),
    }
    response = {
        "type": "message",
        "role": "assistant",
        "content": [{"type": "text", "text": talk.reply}],
        "stop_reason": talk.stop,
        "stop_sequence": None,
        "usage": {"input_tokens": input_tokens, "output_tokens": output_tokens},
    }
    return request, response


def _anthropic_blocks(talk: Talk, model_id: str) -> Bodies:
    request, response = _anthropic_text(talk, model_id)
    blocks = talk.messages(lambda text: [{"type": "text", "text": text}])
    return request | {"messages": blocks, "system": [{"type": "text", "text": SYSTEM}]}, response


def _chat(talk: Talk, model_id: str) -> Bodies:
    input_tokens, output_tokens = talk.tokens()
    reasoning = "<reasoning>Take the numbers in order, and check each result.</reasoning>"
    message = {"role": "assistant", "content": reasoning + talk.reply, "refusal": None}
    finish = "length" if talk.stop == "max_tokens" else "stop"
    request = {
        "model": model_id,
        "messages": [{"role": "system", "content": SYSTEM}, *talk.messages(str)],
        "max_completion_tokens": MAX_TOKENS,
    }
    response = {
        "object": "chat.completion",
        "model": model_id,
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
        "usage": {
            "prompt_tokens": input_tokens,
            "completion_tokens": output_tokens,
            "total_tokens": input_tokens + output_tokens,
        },
    }
    return request, response


def _rerank(talk: Talk, _model_id: str) -> Bodies:
    request = {"query": talk.turns[-1], "documents": TOPICS, "top_n": 1, "api_version": 2}
    return request, {"results": [{"index": 0, "relevance_score": 0.41}]}


class Dialect(NamedTuple):
    """An operation, the models that it calls, and the function that shapes the bodies."""

    operation: str
    models: tuple[str, ...]
    bodies: Callable[[Talk, str], Bodies]


_PROFILE = f"arn:aws:bedrock:{REGION}:{ACCOUNT}:inference-profile/"
_HAIKU = "us.anthropic.claude-haiku-4-5-20251001-v1:0"
_LITE = "us.amazon.nova-lite-v1:0"
_OWN_PROFILE = f"arn:aws:bedrock:{REGION}:{ACCOUNT}:application-inference-profile/t7u1o0r4m2a8"

CONVERSE = Dialect("Converse", (_LITE, _HAIKU, _OWN_PROFILE), _converse)
STREAM = Dialect("ConverseStream", ("global.amazon.nova-2-lite-v1:0", _LITE), _converse)
NOVA = Dialect("InvokeModel", (_PROFILE + _LITE, "amazon.nova-micro-v1:0"), _nova)
CLAUDE_IDS = (_PROFILE + _HAIKU, "anthropic.claude-3-haiku-20240307-v1:0")
CLAUDE = Dialect("InvokeModel", CLAUDE_IDS, _anthropic_text)
CLAUDE_BLOCKS = Dialect("InvokeModel", CLAUDE_IDS, _anthropic_blocks)
GPT = Dialect("ChatCompletions", ("openai.gpt-oss-20b-1:0", "openai.gpt-oss-120b-1:0"), _chat)
RERANK = Dialect("InvokeModel", ("cohere.rerank-v3-5:0",), _rerank)

DIALECTS = {CONVERSE: 30, STREAM: 20, NOVA: 15, CLAUDE: 10, CLAUDE_BLOCKS: 10, GPT: 15}
"""The dialects of the tutor's callers, with their shares in percent."""
