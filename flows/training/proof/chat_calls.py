"""Answers of models behind Bedrock's OpenAI-compatible API: of base models, jobs, checkpoints."""

from collections.abc import Mapping
from typing import Any

from bedrock_sluice.flows.training.proof.model_calls import (
    ATTEMPTS_PER_CALL,
    READ_TIMEOUT_SECONDS,
    TEMPERATURE,
    CallLine,
)
from bedrock_sluice.flows.training.proof.responses import ModelResponse
from bedrock_sluice.transforms.errors import ConfigError, OutsideError, SluiceError, TransientError

_HINTS: dict[int, tuple[type[SluiceError], str]] = {
    401: (OutsideError, "the API key is not valid or has expired; set AWS_BEARER_TOKEN_BEDROCK"),
    403: (OutsideError, "the key's role needs the policy AmazonBedrockMantleFullAccess"),
    404: (ConfigError, "see that the Region still has this model"),
    429: (TransientError, "run again: lines that are answered are not asked again"),
}


def chat_caller(api: Any, model: str, max_tokens: int) -> CallLine:
    """Return what has a model answer one line; `api` is a client of openai."""
    patient_api = api.with_options(max_retries=ATTEMPTS_PER_CALL - 1, timeout=READ_TIMEOUT_SECONDS)

    def call(line: Mapping[str, Any]) -> ModelResponse:
        import openai  # noqa: PLC0415 - an extra, and slow

        tools = {"tools": line["tools"]} if line.get("tools") else {}
        try:
            answer = patient_api.chat.completions.create(
                model=model,
                messages=line["messages"],
                max_tokens=max_tokens,
                temperature=TEMPERATURE,
                **tools,
            )
        except openai.APIStatusError as error:
            raise _refusal(error.status_code, model, line) from None
        except openai.APIConnectionError as error:
            name = type(error.__cause__ or error).__name__
            raise TransientError(f"Bedrock's OpenAI-compatible API: {name}; run again") from None
        return _response(answer, model, line)

    return call


def _response(answer: Any, model: str, line: Mapping[str, Any]) -> ModelResponse:
    """Its first choice; one without any, such as a blocked one, is an empty answer."""
    message = answer.choices[0].message if answer.choices else None
    text = (message.content if message else None) or ""
    calls = [
        {
            "id": each.id,
            "type": "function",
            "function": {"name": each.function.name, "arguments": each.function.arguments},
        }
        for each in (message.tool_calls if message else None) or ()
        if each.type == "function"
    ]
    return ModelResponse(
        id=str(line["id"]),
        response={"content": text, "tool_calls": calls} if calls else text,
        input_tokens=answer.usage.prompt_tokens if answer.usage else None,
        output_tokens=answer.usage.completion_tokens if answer.usage else None,
        model=model,
    )


def _refusal(status: int, model: str, line: Mapping[str, Any]) -> SluiceError:
    other = (ConfigError, "see that the model takes chats (and tools, if the line has some)")
    kind, hint = _HINTS.get(status, _HINTS[429] if status >= 500 else other)
    return kind(f"Bedrock refused to call {model} with line {line['id']} (HTTP {status}); {hint}")
