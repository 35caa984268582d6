"""Answers of one model to the validation lines, as a file holds them."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

import msgspec

from bedrock_sluice.transforms.errors import ConfigError, OutsideError

MAX_FILE_BYTES = 1 << 30
MAX_IDS_SHOWN = 3


class ModelResponse(msgspec.Struct, frozen=True):
    """One answer: a text or an assistant message; its tokens and its model where they are known."""

    id: str
    response: str | dict[str, Any]
    input_tokens: int | None = None
    output_tokens: int | None = None
    model: str | None = None

    @property
    def message(self) -> dict[str, Any]:
        """The answer as an assistant message."""
        if isinstance(self.response, str):
            return {"role": "assistant", "content": self.response}
        return {"role": "assistant", **self.response}


def read_responses(path: Path, ids: Collection[str]) -> dict[str, ModelResponse]:
    """Read a JSONL file with one answer per line of the release, by id.

    Answers to other ids are ignored, so that one file can serve several releases.

    Raises:
        ConfigError: The file is not such a file, or lacks an answer to one of `ids`.
        OutsideError: The file cannot be read.
    """
    responses = dict[str, ModelResponse]()
    decoder = msgspec.json.Decoder(ModelResponse)
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise ConfigError(f"larger than {MAX_FILE_BYTES >> 30} GiB", place=str(path))
        with path.open("rb") as file:
            for number, text in enumerate(file, start=1):
                if text.strip():
                    _add(responses, _decode(decoder, text, f"{path}:{number}"), f"{path}:{number}")
    except OSError as error:
        raise OutsideError(error.strerror or "cannot be read", place=str(path)) from None
    missing = sorted(set(ids) - responses.keys())
    if missing:
        raise ConfigError(
            f"{len(missing):,} of {len(ids):,} validation lines have no answer, such as "
            f"{', '.join(missing[:MAX_IDS_SHOWN])}",
            place=str(path),
            hint="add an answer for each line of validation.jsonl",
        )
    return responses


def _decode(decoder: msgspec.json.Decoder[ModelResponse], text: bytes, place: str) -> ModelResponse:
    try:
        return decoder.decode(text)
    except (ValueError, RecursionError):  # its message may quote the answer
        raise ConfigError(
            'not a JSON object {"id": text, "response": text or assistant message}', place=place
        ) from None


def _add(responses: dict[str, ModelResponse], response: ModelResponse, place: str) -> None:
    if response.id in responses:
        raise ConfigError("this id has an answer already", place=place, hint="keep one of them")
    responses[response.id] = response
