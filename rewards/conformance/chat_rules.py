"""Rules that several profiles share: the shape of messages, tools, ids and references.

Each is written for lines of any shape: a rule has nothing to say about what another one tells.
"""

from collections.abc import Iterable
from typing import Any, Literal

from bedrock_sluice.rewards.conformance.profile import ParsedLine, Rule

ContentKind = Literal["text", "null", "blank", "blocks", "media", "other"]


def content_kind(content: object) -> ContentKind:
    """What the content of a message is; `blocks` are texts alone, `media` is a list with others."""
    if isinstance(content, str):
        return "text" if content and not content.isspace() else "blank"
    if content is None:
        return "null"
    if not isinstance(content, list):
        return "other"
    if not all(is_text_block(block) for block in content):
        return "media"
    return "blocks" if any(block["text"].strip() for block in content) else "blank"


def is_text_block(block: object) -> bool:
    """Whether a block of content is `{"type": "text", "text": …}`."""
    if not isinstance(block, dict) or block.get("type") != "text":
        return False
    return isinstance(block.get("text"), str)


def is_blank(value: object) -> bool:
    """Whether a value is absent, null, blank text or an empty object."""
    return value is None or value == {} or (isinstance(value, str) and not value.strip())


def _has(kinds: Iterable[ContentKind], parsed_line: ParsedLine) -> bool:
    return any(content_kind(message.get("content")) in kinds for message in parsed_line.messages)


# --- messages

MESSAGES = Rule(
    "messages",
    "`messages` is not a list of objects with at least one in it",
    "give the prompt as messages of OpenAI chat completions",
    lambda s: not s.messages,
    reads="chat",
)
USER_MISSING = Rule(
    "user-missing",
    "no message is the user's",
    "put what is asked into a message of role user",
    lambda s: bool(s.messages) and not any(_is_role(role, "user") for role in s.roles),
    reads="chat",
)
LAST_ROLE = Rule(
    "last-role",
    "the last message is not the user's: the job appends the answer there",
    "end the prompt with the user's message",
    lambda s: bool(s.messages) and s.roles[-1] != "user",
    reads="chat",
)
SINGLE_TURN = Rule(
    "single-turn",
    "it has earlier turns, which AWS documents as unsupported for Nova in SageMaker AI",
    "keep system and user alone, or try a job with few lines first",
    lambda s: s.roles.count("user") > 1 or "assistant" in s.roles[:-1],
)
SYSTEM_FIRST = Rule(
    "system-first",
    "a system message stands behind others",
    "put one system message first",
    lambda s: any(_is_role(role, "system") for role in s.roles[1:]),
    reads="chat",
)


def system_not_first(*names: str) -> Rule:
    """Where a role is one of the names, the first one is."""
    return Rule(
        "system-first",
        "there is a system message, and the first message is not one",
        "put the system message first",
        lambda s: (
            any(_is_role(role, *names) for role in s.roles) and not _is_role(s.roles[0], *names)
        ),
        reads="chat",
    )


def _is_role(role: object, *names: str) -> bool:
    return isinstance(role, str) and role.lower() in names


def roles_among(names: Iterable[str]) -> Rule:
    """Every role is one of the names, to the letter."""
    valid = frozenset(names)
    return Rule(
        "role",
        f"a role is none of {', '.join(sorted(valid))}",
        "rename or take out the messages of other roles",
        lambda s: any(not isinstance(role, str) or role not in valid for role in s.roles),
        reads="chat",
    )


def roles_like(names: Iterable[str]) -> Rule:
    """Every role that is given is one of the names, in capitals or not."""
    valid = frozenset(names)
    return Rule(
        "role",
        f"a role is none of {', '.join(sorted(valid))}",
        "rename or take out the messages of other roles",
        lambda s: any(
            role is not None and not (isinstance(role, str) and role.lower() in valid)
            for role in s.roles
        ),
        reads="chat",
    )


def message_keys(names: Iterable[str]) -> Rule:
    """A message has no other keys."""
    valid = frozenset(names)
    return Rule(
        "message-keys",
        f"a message has keys besides {', '.join(sorted(valid))}",
        "take the other keys out of the messages",
        lambda s: any(not valid.issuperset(message) for message in s.messages),
        reads="chat",
    )


# --- content

CONTENT_BLANK = Rule(
    "content-blank",
    "the content of a message is missing, null or blank",
    "take blank messages out, or give them content",
    lambda s: _has(("null", "blank"), s),
    reads="chat",
)
CONTENT_TEXT = Rule(
    "content-text",
    "the content of a message is neither text nor text blocks: RFT takes no media",
    "leave the line out, or describe in words what was shown",
    lambda s: _has(("media", "other"), s),
    reads="chat",
)
CONTENT_LIST = Rule(
    "content-list",
    "the content of a message is a list of blocks: AWS's samples and graders use text",
    "join the blocks to one text",
    lambda s: _has(("blocks",), s),
    reads="chat",
)
CONTENT_STRING = Rule(
    "content-string",
    "the content of a message is neither null nor text that is not blank",
    "join blocks to one text, and take blank messages out",
    lambda s: _has(("blank", "blocks", "media", "other"), s),
    reads="chat",
)
CONTENT_LOOSE = Rule(
    "content",
    "the content of a message is blank, an empty list, or neither text nor a list",
    "give the message text, or take it out",
    lambda s: any(
        content_kind(content) in {"blank", "other"} and not (content and isinstance(content, list))
        for content in (message.get("content") for message in s.messages)
    ),
    reads="chat",
)


# --- tools

TOOLS_EMPTY = Rule(
    "tools-empty",
    "`tools` is there, and empty",
    "leave `tools` out",
    lambda s: s.tools == [],
    reads="fields",
)
TOOLS_MISSING = Rule(
    "tools-missing",
    "there are no `tools`: this validator asks for some, although AWS's own samples have none",
    "nothing, unless you have to pass this validator; then name a tool",
    lambda s: s.tools is None or s.tools == [],
    reads="fields",
)
TOOLS_SHAPE = Rule(
    "tools-shape",
    '`tools` is not a list of {"type": "function", "function": {"name": …}}',
    "describe tools as OpenAI chat completions do",
    lambda s: s.tools is not None and not (
        isinstance(s.tools, list) and all(_function_name(tool) for tool in s.tools)
    ),
    reads="fields",
)  # fmt: skip
TOOLS_DETAIL = Rule(
    "tools-detail",
    "a tool has no description, or its parameters are not the schema of an object with properties",
    "give each tool `description` and `parameters` of type object with `properties`",
    lambda s: isinstance(s.tools, list) and not all(_is_described(tool) for tool in s.tools),
    reads="fields",
)
TOOLS_REPEATED = Rule(
    "tools-repeated",
    "two tools have one name",
    "give each tool a name of its own",
    lambda s: len(set(names := tool_names(s))) < len(names),
    reads="fields",
)


def tool_names(parsed_line: ParsedLine) -> list[str]:
    """The names of the tools, of those that are shaped like one."""
    tools = parsed_line.tools if isinstance(parsed_line.tools, list) else []
    return [name for name in map(_function_name, tools) if name]


def tool_schemas(parsed_line: ParsedLine) -> list[dict[str, Any]]:
    """The parameters of the tools, of those that are objects."""
    functions = map(_function, parsed_line.tools if isinstance(parsed_line.tools, list) else [])
    schemas = [function.get("parameters") for function in functions if function]
    return [schema for schema in schemas if isinstance(schema, dict)]


def _function(tool: object) -> dict[str, Any] | None:
    if not isinstance(tool, dict) or tool.get("type") != "function":
        return None
    function = tool.get("function")
    return function if isinstance(function, dict) else None


def _function_name(tool: object) -> str | None:
    function = _function(tool)
    name = function.get("name") if function else None
    return name if isinstance(name, str) and name.strip() else None


def _is_described(tool: object) -> bool:
    function = _function(tool)
    if function is None:
        return True  # another rule tells
    description, schema = function.get("description"), function.get("parameters")
    if not isinstance(description, str) or not description.strip():
        return False
    if not isinstance(schema, dict) or schema.get("type") != "object":
        return False
    return isinstance(schema.get("properties"), dict)


# --- id and reference

ID = Rule(
    "id",
    "`id` is present, but is not a text or is blank",
    "make `id` a text, or leave it out",
    lambda s: (
        (line_id := s.line.get("id")) is not None
        and not (isinstance(line_id, str) and bool(line_id.strip()))
    ),
    reads="fields",
)
REFERENCE_PLACE = Rule(
    "reference-place",
    "`reference_answer` stands in `metadata`: the service puts it there itself, for the grader",
    "put `reference_answer` at the top level of the line",
    lambda s: s.reference is None and metadata_reference(s.line) is not None,
    reads="fields",
)
REFERENCE_MISSING = Rule(
    "reference-missing",
    "there is no `reference_answer`: a grader that compares has nothing to compare with",
    "add `reference_answer`, unless the reward function needs none",
    lambda s: is_blank(s.reference) and not REFERENCE_PLACE.is_broken(s),
    reads="fields",
)
REFERENCE_TYPE = Rule(
    "reference-type",
    "`reference_answer` is neither text nor an object",
    "put it into an object or a text, as the grader reads it",
    lambda s: s.reference is not None and not isinstance(s.reference, str | dict),
    reads="fields",
)
REFERENCE_EMPTY = Rule(
    "reference-empty",
    "`reference_answer` is there, and blank",
    "fill it, or leave it out",
    lambda s: s.reference is not None and is_blank(s.reference),
    reads="fields",
)


def metadata_reference(line: dict[str, Any]) -> object:
    """The `reference_answer` in the line's `metadata`; None if there is none."""
    metadata = line.get("metadata")
    return metadata.get("reference_answer") if isinstance(metadata, dict) else None
