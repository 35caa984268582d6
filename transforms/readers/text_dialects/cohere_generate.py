"""Cohere Command (the older, which generates), whole or streamed.

Shape: AWS user guide, "Cohere Command models"; of several generations, the first is taken.
"""

from msgspec import Raw, Struct
from msgspec.json import Decoder

from bedrock_sluice.transforms.chat.messages import Exchange
from bedrock_sluice.transforms.readers.completions import Piece, answer_keys, answers, text_exchange
from bedrock_sluice.transforms.readers.reader import Keys
from bedrock_sluice.transforms.readers.streams import Chunk

DIALECT = "cohere_generate"


class _Request(Struct):
    prompt: str


class _Generation(Chunk):
    text: str | None = None
    finish_reason: str | None = None
    index: int | None = None


class _Response(Struct):
    generations: list[_Generation] | None = None


_REQUEST = Decoder(_Request)
_WHOLE = Decoder(_Response)
_STREAM = Decoder(list[_Generation | str | None])


def claims(request: Keys, response: Keys | list[Raw]) -> bool:
    """Command answers `generations` to a `prompt`; the chunks of a stream tell if it is over."""
    marker_key = "is_finished" if isinstance(response, list) else "generations"
    return "prompt" in request and marker_key in answer_keys(response)


def read(request: bytes, response: bytes) -> Exchange:
    """Read a prompt and its generation."""
    request_body = _REQUEST.decode(request)
    if response.lstrip().startswith(b"["):
        generations = [g for g in answers(_STREAM.decode(response)) if not g.index]
    else:
        generations = (_WHOLE.decode(response).generations or [])[:1]
    return text_exchange(
        DIALECT, request_body.prompt, [Piece(g.text, g.finish_reason) for g in generations]
    )
