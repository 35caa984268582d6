"""The texts of exchanges, as curation reads them."""

import msgspec
import polars as pl

from bedrock_sluice.transforms.chat import Message

TEXTS = pl.Schema(
    {
        "last_user": pl.String,  # what the user said last
        "turns": pl.String,  # all that was said, but for the system message
        "prompt": pl.String,  # with the system message
        "response": pl.String,
    }
)

_MESSAGES = msgspec.json.Decoder(list[Message])
_MESSAGE = msgspec.json.Decoder(Message)


def prompt_texts(exchanges: pl.DataFrame) -> pl.DataFrame:
    """The texts (`TEXTS`) of `messages` and `response` (JSON), a row for each, in their order."""
    pairs = exchanges.select("messages", "response").iter_rows()
    rows = [_texts(_MESSAGES.decode(asked), _MESSAGE.decode(told)) for asked, told in pairs]
    return pl.DataFrame(rows, schema=TEXTS, orient="row")


def _texts(messages: list[Message], response: Message) -> tuple[str, str, str, str]:
    said = [(message.role, message.content or "") for message in messages]
    last = next((text for role, text in reversed(said) if role == "user"), "")
    turns = "\n".join([text for role, text in said if role != "system"])
    prompt = "\n".join([*(text for role, text in said if role == "system"), turns])
    return last, turns, prompt, response.content or ""
