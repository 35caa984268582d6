"""Profiles of the two platforms: what AWS's documents say of the lines that a job takes.

Source: Amazon Bedrock user guide, "Prepare data for Amazon Nova models" and "Prepare data for
open-weight models". What they leave open (who speaks last, lists of blocks) is judged by what the
job does with a line, and by what AWS's own samples look like.
"""

from bedrock_sluice.rewards.conformance import chat_rules as rules
from bedrock_sluice.rewards.conformance.profile import Fix, Profile
from bedrock_sluice.transforms.chat.messages import JsonObject
from bedrock_sluice.transforms.settings import MAX_LINES, MIN_LINES

SHARED = (
    rules.MESSAGES,
    rules.roles_among(("system", "user", "assistant")),
    rules.USER_MISSING,
    rules.LAST_ROLE,
    rules.SYSTEM_FIRST.as_warning(),
    rules.SINGLE_TURN.as_warning(),
    rules.message_keys(("role", "content")).as_warning(),
    rules.CONTENT_BLANK,
    rules.CONTENT_TEXT,
    rules.CONTENT_LIST.as_warning(),
    rules.TOOLS_SHAPE,
    rules.TOOLS_EMPTY.as_warning(),
    rules.TOOLS_REPEATED.as_warning(),
    rules.ID.as_warning(),
    rules.REFERENCE_PLACE,
    rules.REFERENCE_MISSING.as_warning(),
    rules.REFERENCE_TYPE.as_warning(),
)


def _end_with_user(line: JsonObject) -> bool:
    """Take the answers off the end, if the user's message stands before them."""
    messages = line.get("messages")
    if not isinstance(messages, list):
        return False
    end = len(messages)
    while (
        end and isinstance(messages[end - 1], dict) and messages[end - 1].get("role") == "assistant"
    ):
        end -= 1
    if end == len(messages) or not end or not isinstance(messages[end - 1], dict):
        return False
    if messages[end - 1].get("role") != "user":
        return False
    line["messages"] = messages[:end]
    return True


_FIXES = (Fix("the assistant's messages at the end are taken off", _end_with_user, loses=True),)


def _platform(name: str, about: str) -> Profile:
    return Profile(name, "platform", about, SHARED, MIN_LINES, MAX_LINES, _FIXES)


PROFILES = (
    _platform("nova-docs", "AWS's documents on Amazon Nova"),
    _platform("open-weight-docs", "AWS's documents on open-weight models"),
)
