"""Profiles of the two validators that AWS publishes; they contradict the documents and each other.

`forge-sdk`: the check of RFT datasets in the Amazon Nova Forge SDK, which AWS has deprecated: the
profile is retired, and stays for those who still call it. `nova-samples`: the script in
amazon-nova-samples for datasets of Nova's understanding models, with the task RFT; it counts the
lines of train and validation together, which one file does not show.
"""

from bedrock_sluice.rewards.conformance import chat_rules as rules
from bedrock_sluice.rewards.conformance.profile import ParsedLine, Profile, Rule
from bedrock_sluice.transforms.settings import MAX_LINES, MIN_LINES

RESERVED = (
    *("system:", "user:", "bot:", "assistant:"),
    *("thought:thought:[eos]", "<image>", "<video>", "<unk>"),  # its list lacks two commas
)  # in capitals or not, and inside of words too


def _has_reserved(parsed_line: ParsedLine) -> bool:
    for message in parsed_line.messages:
        content = message.get("content")
        if isinstance(content, str):
            text = content.lower()
            if any(word in text for word in RESERVED):
                return True
    return False


_SHARED = (
    rules.MESSAGES,
    rules.USER_MISSING,
    rules.ID,
    rules.TOOLS_SHAPE,
    rules.TOOLS_DETAIL,
    rules.TOOLS_REPEATED,
    rules.REFERENCE_TYPE,
    rules.REFERENCE_EMPTY,
)


def _has_wrong_call(parsed_line: ParsedLine) -> bool:
    return any(
        not isinstance(message.get("tool_calls"), list | None)
        or not isinstance(message.get("tool_call_id"), str | None)
        for message in parsed_line.messages
    )


def _is_required_wrong(parsed_line: ParsedLine) -> bool:
    name_lists = [schema.get("required") for schema in rules.tool_schemas(parsed_line)]
    return not all(
        names is None or (isinstance(names, list) and all(isinstance(n, str) for n in names))
        for names in name_lists
    )


FORGE = Profile(
    name="forge-sdk",
    kind="validator",
    about="validator of the Nova Forge SDK (retired: AWS deprecated it)",
    rules=(
        *_SHARED,
        rules.system_not_first("system", "developer"),
        Rule(
            "tool-turns",
            "`tool_calls` of a message is not a list, or `tool_call_id` not a text",
            "write them as OpenAI chat completions do",
            _has_wrong_call,
            reads="chat",
        ),
        Rule(
            "tools-required",
            "`required` in the parameters of a tool is not a list of texts",
            "list the names of the parameters, or leave `required` out",
            _is_required_wrong,
            reads="fields",
        ),
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
            reads="fields",
        ),
    ),
    min_lines=MIN_LINES,
    max_lines=MAX_LINES,
    all_or_none=("id", "tools", "reference_answer"),
)

NOVA_SAMPLES = Profile(
    name="nova-samples",
    kind="validator",
    about="validator of amazon-nova-samples",
    rules=(
        *_SHARED,
        rules.system_not_first("system"),
        rules.roles_like(("system", "user", "assistant")),
        rules.CONTENT_STRING,
        rules.TOOLS_MISSING,
        Rule(
            "reserved-word",
            "a message holds a word that is reserved, such as a role with a colon, or <image>",
            "write these words another way",
            _has_reserved,
        ),
    ),
    min_lines=MIN_LINES,
    max_lines=MAX_LINES,
)

PROFILES = (FORGE, NOVA_SAMPLES)
