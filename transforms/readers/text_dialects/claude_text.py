"""Claude's Text Completions through InvokeModel, whole or streamed.

Shape: AWS user guide, "Anthropic Claude Text Completions API".
"""

from msgspec import Raw, Struct
from msgspec.json import Decoder

from bedrock_sluice.transforms.chat.messages import Exchange
from bedrock_sluice.transforms.readers.completions import Piece, answer_keys, answers, text_exchange
from bedrock_sluice.transforms.readers.reader import Keys
from bedrock_sluice.transforms.readers.streams import Chunk

DIALECT = "claude_text"


class _Request(Struct):
    prompt: str


class _Answer(Chunk):
    completion: str | None = None
    stop_reason: str | None = None


_REQUEST = Decoder(_Request)
_RESPONSE = Decoder(_Answer | list[_Answer | str | None])


def claims(request: Keys, response: Keys | list[Raw]) -> bool:
    """Text Completions answers a `completion` to a `prompt`."""
    return "prompt" in request and "completion" in answer_keys(response)


def read(request: bytes, response: bytes) -> Exchange:
    """Read a prompt and its completion."""
    request_body, response_body = _REQUEST.decode(request), answers(_RESPONSE.decode(response))
    pieces = [Piece(a.completion, a.stop_reason) for a in response_body]
    return text_exchange(DIALECT, request_body.prompt, pieces)
