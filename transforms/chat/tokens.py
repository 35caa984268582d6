"""How long a prompt is, in estimated tokens.

The tokenizers of the models that RFT trains are not public, so this is an estimate: a token is
taken as 4 bytes of UTF-8, with 4 more tokens a message for its frame. Tool definitions count too.
"""

from collections.abc import Sequence

import msgspec

from bedrock_sluice.transforms.chat.messages import JsonObject, Message

BYTES_PER_TOKEN = 4
FRAME_TOKENS_PER_MESSAGE = 4


def estimate_tokens(messages: Sequence[Message], tools: Sequence[JsonObject] = ()) -> int:
    """Estimated tokens of a prompt, rounded up."""
    size = len(msgspec.json.encode(tools)) if tools else 0
    for message in messages:
        text = message.content or ""
        size += len(text) if text.isascii() else len(text.encode())
        for call in message.tool_calls:
            size += len(call.function.name) + len(call.function.arguments)
    return -(-size // BYTES_PER_TOKEN) + FRAME_TOKENS_PER_MESSAGE * len(messages)
