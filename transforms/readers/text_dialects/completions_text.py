"""Text completions with choices, whole or streamed: DeepSeek R1, and imported models like OpenAI's.

Shape: AWS user guide, "DeepSeek models"; OpenAI API reference, "Create completion". Of several
choices, the first is taken.
"""

from msgspec import Raw, Struct
from msgspec.json import Decoder

from bedrock_sluice.transforms.chat.messages import Exchange
from bedrock_sluice.transforms.readers.completions import Piece, answer_keys, answers, text_exchange
from bedrock_sluice.transforms.readers.reader import Keys
from bedrock_sluice.transforms.readers.streams import Chunk

DIALECT = "completions_text"


class _Request(Struct):
    prompt: str


class _Choice(Struct):
    text: str | None = None
    finish_reason: str | None = None
    stop_reason: str | int | None = None
    index: int | None = None


class _Answer(Chunk):
    choices: list[_Choice] | None = None


_REQUEST = Decoder(_Request)
_RESPONSE = Decoder(_Answer | list[_Answer | str | None])


def claims(request: Keys, response: Keys | list[Raw]) -> bool:
    """A completion answers `choices` to a `prompt`, not to `messages`."""
    is_text = "prompt" in request and "messages" not in request
    return is_text and "choices" in answer_keys(response)


def read(request: bytes, response: bytes) -> Exchange:
    """Read a prompt and its choice."""
    request_body, response_body = _REQUEST.decode(request), answers(_RESPONSE.decode(response))
    firsts = [[c for c in answer.choices or () if not c.index][:1] for answer in response_body]
    pieces = [Piece(c.text, c.finish_reason or c.stop_reason) for first in firsts for c in first]
    return text_exchange(DIALECT, request_body.prompt, pieces)
