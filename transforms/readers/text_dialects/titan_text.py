"""Amazon Titan Text, whole or streamed.

Shape: AWS user guide, "Amazon Titan Text models"; of several results, the first is taken.
"""

from msgspec import Raw, Struct
from msgspec.json import Decoder

from bedrock_sluice.transforms.chat.messages import Exchange
from bedrock_sluice.transforms.readers.completions import Piece, answer_keys, answers, text_exchange
from bedrock_sluice.transforms.readers.reader import Keys
from bedrock_sluice.transforms.readers.streams import Chunk

DIALECT = "titan_text"


class _Request(Struct, rename="camel"):
    input_text: str


class _Result(Struct, rename="camel"):
    output_text: str | None = None
    completion_reason: str | None = None


class _Answer(Chunk, rename="camel"):
    results: list[_Result] | None = None
    output_text: str | None = None
    completion_reason: str | None = None


_REQUEST = Decoder(_Request)
_RESPONSE = Decoder(_Answer | list[_Answer | str | None])


def claims(request: Keys, response: Keys | list[Raw]) -> bool:
    """Titan answers `results` to an `inputText`; each chunk of a stream is a result itself."""
    return "inputText" in request and not answer_keys(response).isdisjoint(
        {"results", "outputText"}
    )


def read(request: bytes, response: bytes) -> Exchange:
    """Read an input text and its result."""
    request_body, response_body = _REQUEST.decode(request), answers(_RESPONSE.decode(response))
    results = [r for a in response_body for r in ([a] if a.results is None else a.results[:1])]
    pieces = [Piece(result.output_text, result.completion_reason) for result in results]
    return text_exchange(DIALECT, request_body.input_text, pieces)
