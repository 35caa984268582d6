"""Profiles of the two validators that AWS publishes; they contradict the documents and each other.

`forge-sdk`: the check of RFT datasets in the Amazon Nova Forge SDK. `nova-samples`: the script in
amazon-nova-samples for datasets of Nova's understanding models, with the task RFT; it counts the
lines of train and validation together, which one file does not show.
"""

from bedrock_sluice.rewards import chat_rules as rules
from bedrock_sluice.rewards.profile import Profile, Rule, Sample
from bedrock_sluice.transforms.budget import MAX_LINES, MIN_LINES

RESERVED = (
    *("system:", "user:", "bot:", "assistant:", "thought:"),
    *("[eos]", "<image>", "<video>", "<unk>"),
)  # in capitals or not, and inside of words too


def _has_reserved(sample: Sample) -> bool:
    for message in sample.messages:
        content = message.get("content")
        if isinstance(content, str):
            lowered = content.lower()
            if any(word in lowered for word in RESERVED):
                return True
    return False


_SHARED = (
    rules.MESSAGES,
    rules.USER_MISSING,
    rules.SYSTEM_NOT_FIRST,
    rules.ID,
    rules.TOOLS_SHAPE,
    rules.TOOLS_DETAIL,
    rules.TOOLS_REPEATED,
    rules.REFERENCE_TYPE,
    rules.REFERENCE_EMPTY,
)

FORGE = Profile(
    name="forge-sdk",
    kind="validator",
    about="validator of the Nova Forge SDK",
    rules=(
        *_SHARED,
        rules.roles_like(("system", "user", "assistant", "tool", "bot", "developer")),
        rules.message_keys(("role", "content", "tool_calls", "tool_call_id")),
        rules.CONTENT_LOOSE,
        rules.TOOLS_EMPTY,
        Rule(
            "reference-object",
            "`reference_answer` is text: the SDK's own JSON schema wants an object",
            "nothing, unless you use that schema; then put the text into an object",
            lambda s: isinstance(s.reference, str),
            "warning",
        ),
    ),
    min_lines=MIN_LINES,
    max_lines=MAX_LINES,
)

NOVA_SAMPLES = Profile(
    name="nova-samples",
    kind="validator",
    about="validator of amazon-nova-samples",
    rules=(
        *_SHARED,
        rules.roles_like(("system", "user", "assistant")),
        rules.CONTENT_STRING,
        rules.TOOLS_MISSING,
        Rule(
            "reserved-word",
            "a message holds a word that is reserved, such as a role with a colon, or [EOS]",
            "write these words another way",
            _has_reserved,
        ),
    ),
    min_lines=MIN_LINES,
    max_lines=MAX_LINES,
)

PROFILES = (FORGE, NOVA_SAMPLES)
