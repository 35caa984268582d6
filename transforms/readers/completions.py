"""Text completions: a raw prompt, and the text that a model went on with, as an exchange.

What the readers of text dialects share; what differs between them is the names of the fields.
"""

from collections.abc import Sequence, Set
from typing import NamedTuple, TypeVar

from msgspec import Raw

from bedrock_sluice.transforms.chat.messages import (
    UNSTATED,
    Exchange,
    Message,
    Unreadable,
    split_reasoning,
    stop_word,
)
from bedrock_sluice.transforms.readers.prompt_templates import (
    OPEN_THOUGHT,
    split_channels,
    split_prompt,
)
from bedrock_sluice.transforms.readers.reader import Keys
from bedrock_sluice.transforms.readers.streams import Chunk, opening, refuse_failure

_Answer = TypeVar("_Answer", bound=Chunk)


class Piece(NamedTuple):
    """A piece of the text that was said, and why it ended there, if it did.

    Imported models may log the number of the token that they stopped at.
    """

    text: str | None
    stop_reason: str | int | None


def answer_keys(response: Keys | list[Raw]) -> Set[str]:
    """The top-level keys of a response, or of the first chunks of a stream."""
    if not isinstance(response, list):
        return response.keys()
    return {key for chunk in opening(response) for key in chunk}


def answers(response: _Answer | list[_Answer | str | None]) -> list[_Answer]:
    """A response as a list: of itself, or of the chunks of a stream without marks (`[DONE]`).

    Raises:
        chat.Unreadable: a chunk tells of an error.
    """
    if not isinstance(response, list):
        return [response]
    chunks = [chunk for chunk in response if chunk is not None and not isinstance(chunk, str)]
    for chunk in chunks:
        refuse_failure(chunk)
    return chunks


def text_exchange(
    dialect: str, prompt: str, pieces: Sequence[Piece], *, has_media: bool = False
) -> Exchange:
    """The exchange of a raw prompt and the pieces of its answer, in order.

    Raises:
        chat.Unreadable: there is no piece.
    """
    if not pieces:
        raise Unreadable("no text")
    messages = split_prompt(prompt, dialect)
    text = "".join(piece.text or "" for piece in pieces)
    is_open = prompt.rstrip().endswith(OPEN_THOUGHT)
    reply_text, reasoning = split_channels(prompt, text) or split_reasoning(text, is_open=is_open)
    # Blanks between a template and what follows it are the template's.
    reply_text = reply_text if messages is None else reply_text.strip()
    words = [piece.stop_reason for piece in pieces if piece.stop_reason]
    return Exchange(
        messages=[Message("user", prompt)] if messages is None else messages,
        response=Message("assistant", reply_text),
        tools=[],
        stop_reason=stop_word(words[-1] if words else None, UNSTATED),
        reasoning=reasoning,
        has_media=has_media,
    )
