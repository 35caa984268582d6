"""Mistral AI's text completion, whole or streamed.

Shape: AWS user guide, "Mistral AI text completion"; of several outputs, the first is taken.
"""

from msgspec import Raw, Struct
from msgspec.json import Decoder

from bedrock_sluice.transforms.chat.messages import Exchange
from bedrock_sluice.transforms.readers.completions import Piece, answer_keys, answers, text_exchange
from bedrock_sluice.transforms.readers.reader import Keys
from bedrock_sluice.transforms.readers.streams import Chunk

DIALECT = "mistral_text"


class _Request(Struct):
    prompt: str


class _Output(Struct):
    text: str | None = None
    stop_reason: str | None = None


class _Answer(Chunk):
    outputs: list[_Output] | None = None


_REQUEST = Decoder(_Request)
_RESPONSE = Decoder(_Answer | list[_Answer | str | None])


def claims(request: Keys, response: Keys | list[Raw]) -> bool:
    """Mistral answers `outputs` to a `prompt`."""
    return "prompt" in request and "outputs" in answer_keys(response)


def read(request: bytes, response: bytes) -> Exchange:
    """Read a prompt and its output."""
    request_body, response_body = _REQUEST.decode(request), answers(_RESPONSE.decode(response))
    outputs = [output for answer in response_body for output in (answer.outputs or [])[:1]]
    return text_exchange(
        DIALECT, request_body.prompt, [Piece(o.text, o.stop_reason) for o in outputs]
    )
