"""Meta Llama's native bodies, and those of imported models of its kind, whole or streamed.

Shape: AWS user guide, "Meta Llama models".
"""

from msgspec import Raw, Struct
from msgspec.json import Decoder

from bedrock_sluice.transforms.chat.messages import Exchange
from bedrock_sluice.transforms.readers.completions import Piece, answer_keys, answers, text_exchange
from bedrock_sluice.transforms.readers.reader import Keys
from bedrock_sluice.transforms.readers.streams import Chunk

DIALECT = "llama_text"


class _Request(Struct):
    prompt: str
    images: list[Raw] | None = None


class _Answer(Chunk):
    generation: str | None = None
    stop_reason: str | int | None = None


_REQUEST = Decoder(_Request)
_RESPONSE = Decoder(_Answer | list[_Answer | str | None])


def claims(request: Keys, response: Keys | list[Raw]) -> bool:
    """Llama answers a `generation` to a `prompt`."""
    return "prompt" in request and "generation" in answer_keys(response)


def read(request: bytes, response: bytes) -> Exchange:
    """Read a prompt and its generation."""
    request_body, response_body = _REQUEST.decode(request), answers(_RESPONSE.decode(response))
    pieces = [Piece(a.generation, a.stop_reason) for a in response_body]
    return text_exchange(DIALECT, request_body.prompt, pieces, has_media=bool(request_body.images))
