"""AI21 Jurassic-2, whole or streamed.

Shape: AWS user guide, "AI21 Labs Jurassic-2 models"; of several completions, the first is taken.
"""

from msgspec import Raw, Struct
from msgspec.json import Decoder

from bedrock_sluice.transforms.chat.messages import Exchange
from bedrock_sluice.transforms.readers.completions import Piece, answer_keys, answers, text_exchange
from bedrock_sluice.transforms.readers.reader import Keys
from bedrock_sluice.transforms.readers.streams import Chunk

DIALECT = "ai21_text"


class _Request(Struct):
    prompt: str


class _Data(Struct):
    text: str | None = None


class _Finish(Struct):
    reason: str | None = None


class _Completion(Struct, rename="camel"):
    data: _Data
    finish_reason: _Finish | None = None


class _Answer(Chunk):
    completions: list[_Completion] | None = None


_REQUEST = Decoder(_Request)
_RESPONSE = Decoder(_Answer | list[_Answer | str | None])


def claims(request: Keys, response: Keys | list[Raw]) -> bool:
    """Jurassic answers `completions` to a `prompt`."""
    return "prompt" in request and "completions" in answer_keys(response)


def read(request: bytes, response: bytes) -> Exchange:
    """Read a prompt and its completion."""
    request_body, response_body = _REQUEST.decode(request), answers(_RESPONSE.decode(response))
    pieces = list[Piece]()
    for answer in response_body:
        for completion in (answer.completions or [])[:1]:
            finish = completion.finish_reason
            pieces.append(Piece(completion.data.text, finish.reason if finish else None))
    return text_exchange(DIALECT, request_body.prompt, pieces)
